//! What all services of hcnode said last.

use crate::node::part::Part;
use contract::{Blame, Code, Reason, Stage};
use std::{collections::BTreeMap, fs, io, path::Path};

/// Every part in `folder`, by its service. One that cannot be read says so itself.
///
/// # Errors
/// When the folder is there and cannot be listed.
pub fn read(folder: &Path) -> io::Result<BTreeMap<String, Part>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut parts = BTreeMap::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(service) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
        match Part::read_in(folder, service) {
            Ok(Some(part)) => drop(parts.insert(service.to_owned(), part)),
            Ok(None) => {}
            Err(error) => drop(parts.insert(service.to_owned(), unreadable(service, &error))),
        }
    }
    Ok(parts)
}

fn unreadable(service: &str, error: &io::Error) -> Part {
    let text = format!("what {service} says of itself cannot be read: {error}");
    let reason = Reason { code: Code::P01, area: "status".to_owned(), text, blame: Blame::Node };
    let next = format!("restart it: systemctl restart hcimage-{service}");
    Part { stage: Stage::Degraded, reason: Some(reason), next, probes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("missing")).unwrap().is_empty());
        let part = Part { stage: Stage::Ready, reason: None, next: String::new(), probes: Vec::new() };
        part.write_in(dir.path(), "health").unwrap();
        std::fs::write(dir.path().join("join.json"), "{").unwrap();
        std::fs::write(dir.path().join("later.json.new"), "half a fi").unwrap();
        let parts = read(dir.path()).unwrap();
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["health", "join"]);
        assert_eq!(parts["health"], part);
        assert!(parts["join"].reason.as_ref().unwrap().text.contains("what join says"));
    }
}
