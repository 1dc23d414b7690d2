use super::*;
use crate::testing::{FakeArchive, FakeDeb, FakeSuite, PUBLIC_KEY, sign, sign_with};

const STRANGER: &[u8] = include_bytes!("../../tests/keys/stranger.asc");
const EXPIRED: &[u8] = include_bytes!("../../tests/keys/expired.asc");
const REVOKED: &[u8] = include_bytes!("../../tests/keys/revoked.asc");
const REVOKED_SECRET: &[u8] = include_bytes!("../../tests/keys/revoked-secret.asc");
/// 2026-11-20T00:00:00Z
const NOW: Epoch = Epoch(1_795_132_800);
const DAY: i64 = 86_400;

fn keyring() -> Keyring {
    Keyring::parse(&[PUBLIC_KEY]).unwrap()
}

fn suite() -> FakeSuite {
    let mut suite = FakeSuite::new("trixie", Epoch(NOW.0 - DAY), vec![FakeDeb::new("a", "1")]);
    suite.valid_until = Some(Epoch(NOW.0 + DAY));
    suite
}

fn in_release(suite: &FakeSuite) -> Vec<u8> {
    FakeArchive::default().with(suite).files["dists/trixie/InRelease"].clone()
}

fn refusal(message: &[u8], keyring: &Keyring) -> String {
    verify(message, keyring, "trixie", NOW).unwrap_err().to_string()
}

#[test]
fn a_good_signature_gives_the_release() {
    let release = verify(&in_release(&suite()), &keyring(), "trixie", NOW).unwrap();
    assert_eq!((release.codename.as_str(), release.origin.as_str()), ("trixie", "Test"));
    assert_eq!((release.date, release.valid_until), (Epoch(NOW.0 - DAY), Some(Epoch(NOW.0 + DAY))));
    assert_eq!(release.signed_by, ["C5D669200E2C1AD8CD409E9BB625AE9BEB59C56B"]);
    let index = release.index("main", "arm64").unwrap();
    assert_eq!(index.path, "main/binary-arm64/Packages.xz");
    assert_eq!(index.by_hash, Some(format!("main/binary-arm64/by-hash/SHA256/{}", index.sha256)));
    let error = release.index("main", "riscv64").unwrap_err().to_string();
    assert_eq!(error, "`trixie` has no `main/binary-riscv64/Packages`; its architectures are: amd64 arm64");
}

#[test]
fn strangers_and_bad_keys_are_named() {
    let text = "Suite: trixie\nCodename: trixie\n";
    let at = Epoch(NOW.0 - DAY);
    let trusted = "trusted are F233A94317503C23, B625AE9BEB59C56B";
    let error = refusal(&sign_with(STRANGER, text, at), &keyring());
    assert_eq!(
        error,
        format!("no valid signature by a trusted key: key E5E11C438562520E is not a trusted key; {trusted}")
            .replace("E5E11C438562520E", &key_id(STRANGER))
    );

    // A secret key holds the certificate, too, and the certificate alone is what we trust.
    let certificate = |key: &[u8]| {
        use pgp::composed::{ArmorOptions, Deserializable, SignedSecretKey};
        let (key, _) = SignedSecretKey::from_armor_single(key).unwrap();
        key.to_public_key().to_armored_bytes(ArmorOptions::default()).unwrap()
    };
    let expired = Keyring::parse(&[&certificate(EXPIRED)]).unwrap();
    let error = refusal(&sign_with(EXPIRED, text, at), &expired);
    assert!(error.contains(" expired at 2020-12-31T00:00:00Z; trusted are"), "{error}");

    let revoked = Keyring::parse(&[REVOKED]).unwrap();
    let error = refusal(&sign_with(REVOKED_SECRET, text, at), &revoked);
    assert!(error.contains("key 5DDAA1BF2E2970AD is revoked; trusted are"), "{error}");

    let error = refusal(&sign(text, Epoch(NOW.0 + 2 * DAY)), &keyring());
    assert!(error.contains("signed at an impossible time (2026-11-22T00:00:00Z)"), "{error}");
    let error = refusal(&sign(text, Epoch(1_600_000_000)), &keyring());
    assert!(error.contains("signed at an impossible time (2020-09-13T12:26:40Z)"), "{error}");
}

fn key_id(secret: &[u8]) -> String {
    use pgp::{
        composed::{Deserializable, SignedSecretKey},
        types::KeyDetails,
    };
    let (key, _) = SignedSecretKey::from_armor_single(secret).unwrap();
    key.legacy_key_id().to_string().to_uppercase()
}

#[test]
fn one_byte_changed_or_added_is_refused() {
    let good = in_release(&suite());
    let text = String::from_utf8(good.clone()).unwrap();
    let tampered = text.replace("Acquire-By-Hash: yes", "Acquire-By-Hash: no ");
    let error = refusal(tampered.as_bytes(), &keyring());
    assert!(error.contains("key B625AE9BEB59C56B did not sign this text: it was tampered with"), "{error}");

    for (message, expected) in [
        (format!("Evil: yes\n{text}"), "there is unsigned text before the signed message"),
        (format!("{text}Evil: yes\n"), "there is unsigned text behind the signed message"),
        (format!("{text}{text}"), "there is unsigned text behind the signed message"),
        (text.replace("-----END PGP SIGNATURE-----", ""), "it is cut off within its signature"),
        (text.replace("\n\nOrigin", "\nEvil: yes\n\nOrigin"), "not a clear-signed Release file"),
        ("Suite: trixie\n".to_owned(), "there is no `BEGIN PGP SIGNED MESSAGE` line"),
        (String::new(), "there is no `BEGIN PGP SIGNED MESSAGE` line"),
    ] {
        let error = refusal(message.as_bytes(), &keyring());
        assert!(error.contains(expected), "{error}\n{message}");
    }
    for place in (0..good.len()).step_by(7) {
        let mut flipped = good.clone();
        flipped[place] ^= 1;
        if let Ok(release) = verify(&flipped, &keyring(), "trixie", NOW) {
            // Some bytes of the armour carry nothing; the text must not change by them.
            let original = verify(&good, &keyring(), "trixie", NOW).unwrap();
            assert_eq!(release, original, "byte {place}");
        }
    }
}

#[test]
fn stale_future_and_wrong_suites_are_refused() {
    let message = in_release(&suite());
    let later = Epoch(NOW.0 + 2 * DAY);
    let error = verify(&message, &keyring(), "trixie", later).unwrap_err().to_string();
    assert!(
        error.contains("expired: valid until 2026-11-21T00:00:00Z, now it is 2026-11-22T00:00:00Z"),
        "{error}"
    );
    let error = verify(&message, &keyring(), "sid", NOW).unwrap_err().to_string();
    assert_eq!(error, "expected the Release file of `sid`, found suite `trixie` (codename `trixie`)");

    let text = "Suite: trixie\nCodename: trixie\nDate: Mon, 30 Nov 2026 00:00:00 UTC\nSHA256:\n";
    let digest = Digest::of(b"");
    let error = refusal(&sign(&format!("{text} {digest} 0 main/x\n"), NOW), &keyring());
    assert!(error.contains("from the future: dated 2026-11-30T00:00:00Z, now it is 2026-11-20"), "{error}");
}

#[test]
fn malformed_fields_are_named() {
    let good =
        format!("Suite: a\nDate: Fri, 20 Nov 2026 00:00:00 UTC\nSHA256:\n {} 7 main/x\n", Digest::of(b""));
    assert_eq!(Release::parse(&good).unwrap().files["main/x"].0, 7);
    for (text, message) in [
        (good.replace("Fri", "Thu"), "Date has `Thu, 20 Nov 2026 00:00:00 UTC`"),
        (good.replace("SHA256", "MD5Sum"), "has no `SHA256` field"),
        (good.replace(" 7 ", " x "), "SHA256 has `"),
        (good.replace("main/x", "../x"), "SHA256 has `"),
        (good.replace("main/x", "main/x y"), "SHA256 has `"),
        (good.clone() + "\nMore: 1\n", "expected one paragraph, found 2"),
    ] {
        let error = Release::parse(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn debians_own_keys_can_sign() {
    let keyring = Keyring::parse(DEBIAN_TRIXIE).unwrap();
    let expected =
        ["225629DF75B188BD", "78DBA3BC47EF2265", "9904613D4CCE68C6", "8E9F831205B4BA95", "762F67A0B2C39DE4"];
    assert_eq!(keyring.key_ids(), expected);
    assert!(keyring.keys.iter().all(|key| key.expires.is_some() && !key.revoked));
    // Armour and several certificates in one file give the same.
    let joined = DEBIAN_TRIXIE.concat();
    assert_eq!(Keyring::parse(&[&joined]).unwrap().key_ids(), expected);
    assert!(Keyring::parse(&[b"garbage"]).unwrap_err().to_string().contains("keyring file 1"));
    assert!(matches!(Keyring::parse(&[]), Err(KeyringError::NoSigningKey)));
}
