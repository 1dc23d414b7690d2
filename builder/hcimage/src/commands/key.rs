//! `hcimage key new`.

use crate::{args::KeyCommand, error::Failure, printer::Printer, signing::SecretKey};

pub(crate) fn run(command: &KeyCommand, json: bool, printer: &Printer) -> Result<(), Failure> {
    let KeyCommand::New { dir } = command;
    let key = SecretKey::draw()?;
    key.save(dir)?;
    if json {
        let paths =
            serde_json::json!({ "secret": dir.join("hcimage.key"), "public": dir.join("hcimage.pub") });
        return printer.data(&format!("{paths}\n"));
    }
    printer.table(&[
        ("secret key".to_owned(), dir.join("hcimage.key").display().to_string()),
        ("public key".to_owned(), dir.join("hcimage.pub").display().to_string()),
    ]);
    printer.say("Keep the secret key off the network and back it up; give the public key to everyone who flashes or updates.");
    Ok(())
}
