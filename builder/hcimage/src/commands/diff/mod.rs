//! `hcimage diff`: what an update changes, for a person who has to decide about it, and what it costs to fetch.

mod changes;
mod download;
mod listing;
mod scripts;
mod side;

use crate::{
    args::DiffArgs,
    config::size,
    error::Failure,
    printer::Printer,
    settings::{cache_folder, only_cache},
};
use changes::{Change, between};
use download::Download;
use side::Side;
use std::path::Path;

/// What may change, in the order in which it matters to who decides.
#[derive(Debug, serde::Serialize)]
struct Section {
    name: &'static str,
    changes: Vec<Change>,
}

pub(crate) fn run(args: &DiffArgs, global: &crate::args::Global, printer: &Printer) -> Result<(), Failure> {
    let old = Side::open(&args.old)?;
    let (sections, download) = if is_bundle(&args.new) {
        (Vec::new(), download::of_bundle(&old, &args.new)?)
    } else {
        let new = Side::open(&args.new)?;
        let cache = only_cache(cache_folder(global)?)?;
        (sections(&old, &new, cache.as_ref())?, download::of_builds(&old, &new)?)
    };
    if global.json {
        let value = serde_json::json!({
            "old": old.release.version, "new": download.version, "sections": sections, "download": download,
        });
        return printer.data(&format!("{value:#}\n"));
    }
    printer.data(&show(&old, &sections, &download, is_bundle(&args.new)))
}

fn is_bundle(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "hcb")
}

fn sections(old: &Side, new: &Side, cache: Option<&store::Cache>) -> Result<Vec<Section>, Failure> {
    let section = |name, changes| Section { name, changes };
    Ok(vec![
        section("image", between(&old.image(), &new.image())),
        section("kernel", between(&old.kernel(), &new.kernel())),
        section("packages", between(&old.packages, &new.packages)),
        section("maintainer scripts", scripts::changed(&old.sources, &new.sources, cache)?),
        section("programs and artifacts", between(&old.programs(), &new.programs())),
        section("users", between(&old.users, &new.users)),
        section("groups", between(&old.groups, &new.groups)),
        section("systemd units", between(&old.listing.units(), &new.listing.units())),
        section("enabled units", between(&old.listing.enabled(), &new.listing.enabled())),
        section("ports", between(&old.ports(), &new.ports())),
        section(
            "setuid, setgid, capabilities",
            between(&old.listing.privileged(), &new.listing.privileged()),
        ),
        section("probes", between(&old.probes, &new.probes)),
        section("sizes", between(&old.sizes(), &new.sizes())),
    ])
}

fn show(old: &Side, sections: &[Section], download: &Download, bundle: bool) -> String {
    let mut text = format!("{} {} -> {}\n", old.release.profile, old.release.version, download.version);
    for Section { name, changes } in sections.iter().filter(|section| !section.changes.is_empty()) {
        let width = changes.iter().map(|change| change.what.chars().count()).max().unwrap_or(0);
        text += &format!("\n{name} ({})\n", changes.len());
        for change in changes {
            text += &change.line(width);
        }
    }
    let same: Vec<&str> = sections.iter().filter(|it| it.changes.is_empty()).map(|it| it.name).collect();
    if !same.is_empty() {
        text += &format!("\nunchanged: {}\n", same.join(", "));
    }
    if bundle {
        text +=
            "\nA bundle has no list of packages: compare the folders of both builds for what else changes.\n";
    }
    let Download { root_changed, root_blocks, kernel_changed, kernel_blocks, bytes, full, exact, .. } =
        download;
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    let share = if *full == 0 { 0.0 } else { *bytes as f64 * 100.0 / *full as f64 };
    text += &format!(
        "\nblocks       {root_changed} of {root_blocks} of the root, {kernel_changed} of {kernel_blocks} of the kernel image\n\
         download     {}{} of {} ({share:.1} %)\n",
        if *exact { "" } else { "at most " },
        size::show(*bytes),
        size::show(*full),
    );
    text
}
