//! `config.yaml` and `config.yaml.d/*.yaml`: JSON, which is YAML, or the part of YAML that our images write:
//! `key: value`, `key+: value`, lists of scalars, as `- item` lines or in brackets; comments; quotes around a scalar.

use crate::{Error, Result};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Settings: each key has its values; a scalar is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    values: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// Reads a file and what is beside it in `NAME.d`, in the order of the names. A missing file is empty.
    pub fn read(file: &Path) -> Result<Self> {
        let mut config = Self::default();
        let mut dir = file.as_os_str().to_owned();
        dir.push(".d");
        let mut files: Vec<PathBuf> = match fs::read_dir(&dir) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::file("list", dir)(error)),
        };
        files.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
        files.sort();
        for path in [file.to_owned()].into_iter().chain(files) {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    config.add(&text).map_err(|why| Error::Settings(format!("{}: {why}", path.display())))?
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("read", path)(error)),
            }
        }
        Ok(config)
    }

    /// Lays a text over what is there: the last one wins, `key+` appends.
    pub fn add(&mut self, text: &str) -> std::result::Result<(), String> {
        let pairs = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(object)) => object
                .into_iter()
                .map(|(key, value)| Ok((key, scalars(value)?)))
                .collect::<Result<_, String>>()?,
            Ok(_) => return Err("is no mapping".to_owned()),
            Err(_) => lines(text)?,
        };
        for (key, mut values) in pairs {
            match key.strip_suffix('+') {
                Some(key) => self.values.entry(key.to_owned()).or_default().append(&mut values),
                None => drop(self.values.insert(key, values)),
            }
        }
        Ok(())
    }

    /// The last value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.last().map(String::as_str)
    }

    /// All values of a key.
    #[must_use]
    pub fn all(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// `KEY`, or the content of the file that `KEY-file` names.
    pub fn secret(&self, key: &str) -> Result<Option<String>> {
        if let Some(text) = self.get(key) {
            return Ok(Some(text.to_owned()));
        }
        let Some(file) = self.get(&format!("{key}-file")) else { return Ok(None) };
        let text = fs::read_to_string(file).map_err(Error::file("read", file))?;
        Ok(Some(text.trim().to_owned()))
    }
}

fn scalars(value: Value) -> std::result::Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        Value::Bool(_) | Value::Number(_) => Ok(vec![value.to_string()]),
        Value::Array(list) => Ok(list.into_iter().map(scalars).collect::<Result<Vec<_>, _>>()?.concat()),
        Value::Object(_) => Err("has a mapping in a mapping, which no option of k3s takes".to_owned()),
    }
}

fn lines(text: &str) -> std::result::Result<Vec<(String, Vec<String>)>, String> {
    let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line =
            if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) };
        let odd = || format!("line {}: `{line}` is not what the stand-in reads", number + 1);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed == "---" {
            continue;
        }
        if let Some(item) = trimmed.strip_prefix("- ") {
            pairs.last_mut().ok_or_else(odd)?.1.push(scalar(item));
            continue;
        }
        let (key, value) = trimmed.split_once(':').ok_or_else(odd)?;
        if line.starts_with(' ') || !(value.is_empty() || value.starts_with(' ')) {
            return Err(odd());
        }
        let value = value.trim();
        let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let values = match inner {
            Some(inner) => inner.split(',').map(scalar).filter(|item| !item.is_empty()).collect(),
            None if value.is_empty() => Vec::new(),
            None => vec![scalar(value)],
        };
        pairs.push((scalar(key), values));
    }
    Ok(pairs)
}

fn scalar(text: &str) -> String {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_win_and_may_append() {
        let mut config = Config::default();
        config.add("# base\nresolv-conf: /run/x # why\nkubelet-arg:\n  - \"a=b\"\ndisable: [traefik, 'x']\nflag: true\n").unwrap();
        config.add(r#"{"server":"https://10.0.0.1:6443","node-label+":["a=b"],"kubelet-arg+":["c=d"],"flag":false}"#).unwrap();
        assert_eq!(config.get("resolv-conf"), Some("/run/x"));
        assert_eq!(config.get("server"), Some("https://10.0.0.1:6443"));
        assert_eq!(config.get("flag"), Some("false"));
        assert_eq!(config.all("kubelet-arg"), ["a=b", "c=d"]);
        assert_eq!(config.all("disable"), ["traefik", "x"]);
        assert_eq!(config.all("node-label"), ["a=b"]);
        assert!(config.add("a:\n  b: c\n").unwrap_err().contains("line 2"));
    }
}
