//! `/etc/ssl/certs`: the bundle, and for each certificate a link by name and one by the hash of its subject,
//! by which OpenSSL finds it. The way of `update-ca-certificates` and `openssl rehash`.

use super::{EffectError, Hand, x509};
use crate::{Contents, ImagePath, Kind, Tree};
use std::collections::BTreeMap;

const SHIPPED: &str = "/usr/share/ca-certificates";
const LOCAL: &str = "/usr/local/share/ca-certificates";
const CERTS: &str = "/etc/ssl/certs";
const BUNDLE: &str = "ca-certificates.crt";

/// Makes bundle, links and `/etc/ca-certificates.conf` of what ca-certificates and overlays ship; nothing when
/// there is no certificate.
///
/// # Errors
/// When a file is no certificate.
pub fn apply(tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "certificates");
    let shipped = below(&hand, SHIPPED)?;
    let local = below(&hand, LOCAL)?;
    if shipped.is_empty() && local.is_empty() {
        return Ok(());
    }
    let mut bundle = String::new();
    let mut links: BTreeMap<String, (ImagePath, String)> = BTreeMap::new();
    for path in shipped.iter().chain(&local) {
        let text = hand.tree.read_text(path, contents).map_err(|source| hand.refused(source))?;
        let refused = |why| EffectError::Certificate { path: path.clone(), why };
        let hash = x509::from_pem(&text).and_then(|der| x509::subject_hash(&der)).map_err(refused)?;
        links.insert(link_name(path.name()), (path.clone(), hash));
        bundle.push_str(&text);
        if !text.ends_with('\n') {
            bundle.push('\n');
        }
    }
    hand.write(&format!("{CERTS}/{BUNDLE}"), bundle, 0o644)?;
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, (path, hash)) in &links {
        hand.symlink(&hand.path(&format!("{CERTS}/{name}"))?, &path.to_string())?;
        // Certificates of one subject are numbered, by name.
        let number = taken.entry(hash).or_default();
        hand.symlink(&hand.path(&format!("{CERTS}/{hash}.{number}"))?, name)?;
        *number += 1;
    }
    let names = shipped.iter().map(|path| format!("{}\n", &path.as_str()[SHIPPED.len()..]));
    hand.write("/etc/ca-certificates.conf", names.collect::<String>(), 0o644)
}

fn below(hand: &Hand<'_>, directory: &str) -> Result<Vec<ImagePath>, EffectError> {
    let directory = hand.path(directory)?;
    let files = hand.tree.below(&directory);
    let files =
        files.filter(|(path, node)| path.name().ends_with(".crt") && !matches!(node.kind, Kind::Directory));
    Ok(files.map(|(path, _)| path.clone()).collect())
}

/// `X Y(Z).crt` is `X_Y=Z=.pem` among the links.
fn link_name(file: &str) -> String {
    let stem = file.strip_suffix(".crt").unwrap_or(file);
    let letter = |letter| match letter {
        ' ' | ',' => '_',
        '(' | ')' => '=',
        other => other,
    };
    stem.chars().map(letter).collect::<String>() + ".pem"
}
