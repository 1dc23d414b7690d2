use super::*;
use crate::bundle::testing::{TestKey, signed, trust};

fn refused(trust: &Trust, chain: &[SignedTrust]) -> String {
    trust.follow(&Chain(chain.to_vec())).unwrap_err().to_string()
}

#[test]
fn a_chain_leads_from_any_version_that_is_known_to_its_newest() {
    let steps = [
        signed(trust(1, 1, &[1]), &[]),
        signed(trust(2, 2, &[1, 2, 3]), &[1]),
        signed(trust(3, 1, &[3, 4]), &[2, 3]),
        signed(trust(4, 1, &[4]), &[4, 9]),
    ];
    let chain = Chain(steps.to_vec());
    for step in &steps {
        assert_eq!(step.trust.follow(&chain).unwrap(), steps[3].trust, "from {}", step.trust.version);
    }
    assert_eq!(Chain::parse(&chain.render()).unwrap().newest().unwrap(), Some(steps[3].trust.clone()));
    assert_eq!(Chain::default().newest(), Ok(None));
    // A node that knows more than a bundle's chain stays where it is.
    let newer = trust(5, 1, &[5]);
    assert_eq!(newer.follow(&chain).unwrap(), newer);
}

#[test]
fn a_step_needs_a_threshold_of_different_keys_of_the_version_before_it() {
    let known = trust(1, 2, &[1, 2, 3]);
    let next = || trust(2, 1, &[4]);
    let id = |number: u8| show_key_id([number; 8]);
    let few = |count: usize, signed: &str| {
        format!(
            "trust version 2: {count} of the 2 signatures that trust version 1 asks for (signed by {signed}; its keys are {}, {}, {})",
            id(1),
            id(2),
            id(3)
        )
    };
    assert!(known.follow(&Chain(vec![signed(next(), &[1, 3])])).is_ok());
    for (by, expected) in [
        (vec![], few(0, "nobody")),
        (vec![1], few(1, &id(1))),
        (vec![2, 2], few(1, &id(2))),
        (vec![1, 4], few(1, &format!("{}, {}", id(1), id(4)))),
        (vec![4, 5], few(0, &format!("{}, {}", id(4), id(5)))),
    ] {
        assert_eq!(refused(&known, &[signed(next(), &by)]), expected, "signed by {by:?}");
    }
}

#[test]
fn versions_are_not_skipped_and_do_not_fork() {
    let known = trust(1, 1, &[1]);
    let text = refused(&known, &[signed(trust(3, 1, &[1]), &[1])]);
    assert_eq!(
        text,
        "trust version 3 comes after version 1, expected version 2: a version cannot be skipped, give the chain with all of them"
    );
    let text = refused(&known, &[signed(trust(1, 1, &[2]), &[1])]);
    assert!(
        text.starts_with("trust version 1 of the chain is not the version 1 that is believed here"),
        "{text}"
    );
}

#[test]
fn a_retired_key_and_a_false_one_count_nothing() {
    let [one, two] = [trust(1, 1, &[1]), trust(2, 1, &[2])];
    let chain = Chain(vec![signed(two.clone(), &[1])]);
    let newest = one.follow(&chain).unwrap();
    let message = b"a bundle";
    let error = newest.verify("the bundle", message, &[TestKey::new(1).sign(message)]).unwrap_err();
    assert!(error.to_string().starts_with("the bundle: 0 of the 1 signatures that trust version 2 asks for"));
    let both = [TestKey::new(1).sign(message), TestKey::new(2).sign(message)];
    assert_eq!(newest.verify("the bundle", message, &both).unwrap(), [[2; 8]]);
    let error = newest.verify("the bundle", message, &[TestKey::with_id(2, 7).sign(message)]).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "the bundle: the signature does not match: the file was changed after it was signed with key 0202020202020202"
    );
}

#[test]
fn sets_of_keys_that_cannot_be_are_refused() {
    let key = |number: u8| TestKey::new(number).public().to_string();
    let with = |change: &dyn Fn(&mut Trust)| {
        let mut trust = trust(1, 1, &[1, 2]);
        change(&mut trust);
        trust.public_keys().unwrap_err().to_string()
    };
    let twin = TestKey::with_id(3, 1).public().to_string();
    let namesake = TestKey::with_id(1, 3).public().to_string();
    for (text, expected) in [
        (
            with(&|it| it.schema = "hcimage-bundle-1".to_owned()),
            "schema is `hcimage-bundle-1`, expected `hcimage-trust-1`",
        ),
        (with(&|it| it.version = 0), "versions begin at 1"),
        (with(&|it| it.keys.clear()), "0 keys, expected 1 to 16"),
        (with(&|it| it.keys = (1..18).map(key).collect()), "17 keys, expected 1 to 16"),
        (with(&|it| it.threshold = 0), "a threshold of 0 with 2 keys"),
        (with(&|it| it.threshold = 3), "a threshold of 3 with 2 keys"),
        (with(&|it| it.keys[1] = it.keys[0].clone()), "key 0101010101010101 is there twice"),
        (with(&|it| it.keys[1] = twin.clone()), "key 0303030303030303 is there twice"),
        (with(&|it| it.keys[1] = namesake.clone()), "key 0101010101010101 is there twice"),
        (with(&|it| it.keys[1] = "untrusted".to_owned()), "its last line is not base64"),
        (with(&|it| it.keys[1] = format!("x\n{}", key(2))), "is not one line of base64"),
    ] {
        assert!(text.starts_with("trust version ") && text.ends_with(expected), "{text}");
    }
}

#[test]
fn a_signature_has_one_form() {
    let (trust, message) = (trust(1, 1, &[1]), b"message");
    let good = TestKey::new(1).sign(message);
    assert!(trust.verify("it", message, std::slice::from_ref(&good)).is_ok());
    for (other, wrong) in [
        (good.replacen("signed with", "signed by", 1), "another first line or line end"),
        (good.replace('\n', "\r\n"), "another first line or line end"),
        (format!("{good}\n"), "it does not have four lines"),
        (good.trim_end().to_owned(), "another first line or line end"),
        (String::new(), "it does not have four lines"),
        ("x".repeat(5000), "it does not have four lines"),
    ] {
        let text = trust.verify("it", message, &[other]).unwrap_err().to_string();
        assert!(
            text.starts_with("it: signature 1 is not in its one form: ") && text.contains(wrong),
            "{text}"
        );
    }
    let text = trust.verify("it", message, &vec![good; 33]).unwrap_err().to_string();
    assert_eq!(text, "it: signature 33 is not in its one form: there are at most 32");
}

#[test]
fn what_is_no_chain_is_refused() {
    for (text, expected) in [
        ("{}", "invalid type"),
        ("[1]", "invalid type"),
        (
            r#"[{"trust":{"schema":"hcimage-trust-1","version":1,"threshold":1,"keys":[],"more":1},"signatures":[]}]"#,
            "unknown field `more`",
        ),
    ] {
        let error = Chain::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the trust is not readable: ") && error.contains(expected), "{error}");
    }
    let error = Chain::parse(&vec![b' '; CHAIN_MAX + 1]).unwrap_err().to_string();
    assert_eq!(error, "the trust is not readable: 65537 bytes, at most 65536");
}
