//! `hcimage permit`: one release that nodes may go back to.

use super::bundle::read_head;
use crate::{args::PermitArgs, error::Failure, printer::Printer, signing::SecretKey};
use contract::{
    bundle::{Head, Header},
    update::{PERMIT_SCHEMA, Permit, SignedPermit},
};
use std::fs;

pub(crate) fn run(args: &PermitArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let PermitArgs { bundle, floor, key, out } = args;
    let (_, bytes) = read_head(bundle)?;
    let head = Head::unverified(&bytes)
        .map_err(|error| Failure::refused(format!("{}: {error}", bundle.display())))?;
    let Header { product, arch, sequence, root, version, .. } = head.header;
    let permit = Permit {
        schema: PERMIT_SCHEMA.to_owned(),
        product: product.clone(),
        arch,
        sequence,
        root_hash: root.root_hash,
        floor: *floor,
    };
    if *floor <= sequence {
        return Err(Failure::with_hint(
            format!(
                "this release has sequence {sequence}, which a floor of {floor} admits: no permit is needed"
            ),
            "--floor takes the floor that the node named when it refused",
        ));
    }
    let comment = format!("hcimage permit {product} {arch} {version}");
    let sign = |file| SecretKey::load(file)?.sign_in_form(&permit.render(), &comment);
    let signatures = key.iter().map(|file| sign(file)).collect::<Result<Vec<_>, _>>()?;
    fs::write(out, SignedPermit { permit, signatures }.render()).map_err(Failure::file("write", out))?;
    if json {
        return printer.data(&format!("{}\n", serde_json::json!({ "permit": out })));
    }
    printer.say(&format!(
        "{}: {product} {arch} {version}, for nodes with a floor up to {floor}\nNext, on a node: hcnode update --to BUNDLE --permit {}",
        out.display(),
        out.display()
    ));
    Ok(())
}
