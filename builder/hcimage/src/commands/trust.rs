//! `hcimage trust`: the file that says whose updates nodes believe.

use crate::{
    args::{KeySet, TrustCommand},
    error::Failure,
    printer::Printer,
    signing::SecretKey,
};
use contract::{
    signature::{PublicKey, key_id_of, show_key_id},
    trust::{Chain, SignedTrust, Trust, TrustError},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn run(command: &TrustCommand, json: bool, printer: &Printer) -> Result<(), Failure> {
    let file = match command {
        TrustCommand::New { file, keys } => {
            if file.exists() {
                return Err(Failure::with_hint(
                    format!("{} is there already", file.display()),
                    "nodes follow one chain: add a version to it with `hcimage trust next`",
                ));
            }
            let trust = new_trust(1, keys)?;
            save(file, &Chain(vec![SignedTrust { trust, signatures: Vec::new() }]))?;
            file
        }
        TrustCommand::Next { file, keys } => {
            let mut chain = load(file)?;
            let newest = chain.newest().map_err(|error| {
                Failure::with_hint(
                    format!("{}: {error}", file.display()),
                    "the newest version must be signed before there can be a next one: `hcimage trust sign`",
                )
            })?;
            let newest = newest.ok_or_else(|| empty(file))?;
            chain.0.push(SignedTrust { trust: new_trust(newest.version + 1, keys)?, signatures: Vec::new() });
            save(file, &chain)?;
            file
        }
        TrustCommand::Sign { file, key } => {
            sign(file, key)?;
            file
        }
        TrustCommand::Show { file } => file,
    };
    show(file, &load(file)?, json, printer)
}

fn new_trust(version: u32, keys: &KeySet) -> Result<Trust, Failure> {
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
        PublicKey::parse(&text).map_err(|source| Failure::Signature { file: file.clone(), source })
    };
    let public = keys.pubkey.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Trust::new(version, keys.threshold, &public).map_err(|error| Failure::refused(error.to_string()))
}

fn empty(file: &Path) -> Failure {
    Failure::with_hint(format!("{} has no trust", file.display()), "`hcimage trust new` makes one")
}

pub(super) fn load(file: &Path) -> Result<Chain, Failure> {
    let bytes = fs::read(file).map_err(Failure::file("read", file))?;
    Chain::parse(&bytes).map_err(|error| Failure::refused(format!("{}: {error}", file.display())))
}

/// Whole or not at all.
fn save(file: &Path, chain: &Chain) -> Result<(), Failure> {
    let partial = PathBuf::from(format!("{}.partial", file.display()));
    fs::write(&partial, chain.render()).map_err(Failure::file("write", &partial))?;
    fs::rename(&partial, file).map_err(Failure::file("write", file))
}

fn sign(file: &Path, key_file: &Path) -> Result<(), Failure> {
    let mut chain = load(file)?;
    let [.., before, last] = &mut chain.0[..] else {
        return Err(Failure::with_hint(
            format!("{}: version 1 needs no signature: nodes have it in their image", file.display()),
            "`hcimage trust next` adds a version that does",
        ));
    };
    let key = SecretKey::load(key_file)?;
    let public = key.public()?;
    let known = before.trust.public_keys().map_err(|error| Failure::refused(error.to_string()))?;
    if !known.contains(&public) {
        let ids: Vec<String> = known.iter().map(|key| show_key_id(key.id)).collect();
        return Err(Failure::with_hint(
            format!(
                "{}: key {} is not among the keys of version {} ({})",
                key_file.display(),
                show_key_id(public.id),
                before.trust.version,
                ids.join(", ")
            ),
            "a version is signed by keys of the version before it",
        ));
    }
    let comment = format!("hcimage trust version {}", last.trust.version);
    let signature = key.sign_in_form(&last.trust.render(), &comment)?;
    if !last.signatures.contains(&signature) {
        last.signatures.push(signature);
    }
    save(file, &chain)
}

fn show(file: &Path, chain: &Chain, json: bool, printer: &Printer) -> Result<(), Failure> {
    let newest = chain.newest();
    if json {
        let said = serde_json::json!({
            "file": file, "chain": chain,
            "believed": newest.as_ref().ok().and_then(|newest| newest.as_ref()).map(|newest| newest.version),
            "fault": newest.as_ref().err().map(ToString::to_string),
        });
        return printer.data(&format!("{said:#}\n"));
    }
    for SignedTrust { trust, signatures } in &chain.0 {
        let keys = trust.public_keys().map_err(|error| Failure::refused(error.to_string()))?;
        let ids: Vec<String> = keys.iter().map(|key| show_key_id(key.id)).collect();
        let mut signed: Vec<String> =
            signatures.iter().filter_map(|text| key_id_of(text).ok()).map(show_key_id).collect();
        if signed.is_empty() {
            signed.push(if trust.version == 1 { "nobody: it is in the image" } else { "nobody" }.to_owned());
        }
        printer.say(&printer.bold(&format!("version {}", trust.version)));
        printer.table(&[
            ("must sign".to_owned(), format!("{} of {}", trust.threshold, ids.join(", "))),
            ("signed by".to_owned(), signed.join(", ")),
        ]);
    }
    printer.say(&match newest {
        Ok(Some(newest)) => format!("\n{}: nodes come to version {}", file.display(), newest.version),
        Ok(None) => return Err(empty(file)),
        Err(error @ TrustError::TooFew { .. }) => {
            format!("\n{error}\nNext: hcimage trust sign {} --key KEY", file.display())
        }
        Err(error) => return Err(Failure::refused(format!("{}: {error}", file.display()))),
    });
    Ok(())
}
