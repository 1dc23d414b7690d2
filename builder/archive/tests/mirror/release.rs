use crate::fetch::{Mirror, SUITES, have, now};
use archive::release::{DEBIAN_TRIXIE, Keyring, verify};
use std::{fs, process::Command};

#[test]
fn gpgv_agrees_on_debians_signatures() {
    let test = "gpgv_agrees_on_debians_signatures";
    if !have(test, "gpgv") {
        return;
    }
    let Some(mirror) = Mirror::find(test) else { return };
    let directory = tempfile::tempdir().unwrap();
    let keyring_file = directory.path().join("trixie.gpg");
    fs::write(&keyring_file, DEBIAN_TRIXIE.concat()).unwrap();
    let keyring = Keyring::parse(DEBIAN_TRIXIE).unwrap();
    let gpgv = |path: &std::path::Path| {
        let output = Command::new("gpgv")
            .args(["--status-fd", "1", "--keyring"])
            .arg(&keyring_file)
            .arg(path)
            .output();
        let status = String::from_utf8(output.unwrap().stdout).unwrap();
        let mut good: Vec<_> = status
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] VALIDSIG ")?.split(' ').next())
            .map(str::to_owned)
            .collect();
        good.sort();
        good
    };
    for (suite, archive) in SUITES {
        let path = mirror.in_release(suite, archive);
        let bytes = fs::read(&path).unwrap();
        let mut signed_by = verify(&bytes, &keyring, suite, now()).unwrap().signed_by;
        signed_by.sort();
        assert!(!signed_by.is_empty());
        assert_eq!(signed_by, gpgv(&path), "{suite}");

        let tampered = String::from_utf8(bytes).unwrap().replacen("Suite: ", "Suite:  ", 1);
        let error = verify(tampered.as_bytes(), &keyring, suite, now()).unwrap_err().to_string();
        assert!(error.contains("did not sign this text"), "{error}");
        let path = directory.path().join("tampered");
        fs::write(&path, tampered).unwrap();
        assert_eq!(gpgv(&path), Vec::<String>::new());
    }
}
