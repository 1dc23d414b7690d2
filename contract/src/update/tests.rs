use super::*;

#[test]
fn windows_may_reach_over_midnight() {
    let window: Window = "22:30-04:00".parse().unwrap();
    assert_eq!(window.to_string(), "22:30-04:00");
    let held =
        [(22 * 60 + 29, false), (22 * 60 + 30, true), (0, true), (239, true), (240, false), (720, false)];
    for (minute, expected) in held {
        assert_eq!(window.holds(minute), expected, "{minute}");
    }
    let day: Window = "03:00-03:00".parse().unwrap();
    assert!(day.holds(0) && day.holds(1439));
    for wrong in ["", "22:30", "24:00-01:00", "1:00-02:00", "01:60-02:00", "+1:00-02:00", "01:00-02:00 "] {
        let error = wrong.parse::<Window>().unwrap_err().to_string();
        assert_eq!(
            error,
            format!("`{wrong}` is not a window: expected `HH:MM-HH:MM`, such as `02:00-05:00`")
        );
    }
}

use crate::bundle::testing::{Recipe, TestKey, trust};

fn permit(floor: u64) -> (SignedPermit, crate::bundle::Header) {
    let header = Recipe::default().make().header;
    let permit = Permit {
        schema: PERMIT_SCHEMA.to_owned(),
        product: header.product.clone(),
        arch: header.arch,
        sequence: header.sequence,
        root_hash: header.root.root_hash,
        floor,
    };
    (sign(permit, 1), header)
}

fn sign(permit: Permit, key: u8) -> SignedPermit {
    let signatures = vec![TestKey::new(key).sign(&permit.render())];
    SignedPermit { permit, signatures }
}

#[test]
fn a_permit_is_for_one_release_and_the_floors_that_it_knew() {
    let (good, header) = permit(100);
    let trust = trust(1, 1, &[1, 2]);
    let read = SignedPermit::parse(&good.render()).unwrap();
    assert_eq!(read.allows(&trust, &header, 100), Ok(()));
    let text = read.allows(&trust, &header, 101).unwrap_err().to_string();
    assert!(text.starts_with("the permit overrides floors up to 100, the floor here is 101: "), "{text}");

    let changed = |change: &dyn Fn(&mut Permit)| {
        let mut permit = good.permit.clone();
        change(&mut permit);
        sign(permit, 1).allows(&trust, &header, 100).unwrap_err().to_string()
    };
    for (text, expected) in [
        (changed(&|it| it.product = "other".to_owned()), "the permit is for product other, this is nas"),
        (changed(&|it| it.arch = Arch::Aarch64), "the permit is for architecture aarch64, this is x86_64"),
        (changed(&|it| it.sequence = 7), "the permit is for sequence 7, this is 1788596000"),
        (changed(&|it| it.root_hash = Digest([0; 32])), "the permit is for root hash 0000"),
    ] {
        assert!(text.starts_with(expected), "{text}");
    }
    let stranger = sign(good.permit.clone(), 9).allows(&trust, &header, 100).unwrap_err().to_string();
    assert!(stranger.starts_with("the permit: 0 of the 1 signatures"), "{stranger}");
    let mut altered = good;
    altered.permit.floor = 1000;
    let text = altered.allows(&trust, &header, 100).unwrap_err().to_string();
    assert!(text.starts_with("the permit: the signature does not match"), "{text}");
}

#[test]
fn a_channel_is_advice_that_points_below_itself() {
    let channel = |bundle: &str, wave: Option<u8>, halt: bool| Channel {
        schema: CHANNEL_SCHEMA.to_owned(),
        version: "1".to_owned(),
        sequence: 1,
        bundle: bundle.to_owned(),
        size: 1,
        root_hash: Digest::of(b"root"),
        halt,
        wave,
    };
    for good in ["nas.hcb", "bundles/nas-x86_64-20260905-081320-0123abcd.hcb"] {
        let offered = channel(good, Some(30), false);
        assert_eq!(Channel::parse(&offered.render()).unwrap(), offered);
    }
    for bad in ["", "/nas.hcb", "../nas.hcb", "a/../b", "http://x/y", "a//b", "a b", "a/", ".nas"] {
        let error = Channel::parse(&channel(bad, None, false).render()).unwrap_err().to_string();
        assert!(error.ends_with(&format!("bundle `{bad}` is not a plain relative path")), "{error}");
    }
    let more =
        String::from_utf8(channel("a", None, false).render()).unwrap().replace("{\n", "{\"new\": 1,\n");
    assert!(Channel::parse(more.as_bytes()).is_ok());

    let node = |number: u64| Digest::of(&number.to_le_bytes());
    let admitted = |wave, halt| (0..1000).filter(|it| channel("a", wave, halt).admits(&node(*it))).count();
    assert_eq!((admitted(None, false), admitted(Some(100), false)), (1000, 1000));
    assert_eq!((admitted(None, true), admitted(Some(0), false)), (0, 0));
    let third = admitted(Some(30), false);
    assert!((250..350).contains(&third), "{third}");
}

#[test]
fn what_is_installed_says_so_in_one_file() {
    let installed = Installed {
        schema: INSTALLED_SCHEMA.to_owned(),
        product: "nas".to_owned(),
        arch: Arch::X86_64,
        board: "uefi".to_owned(),
        layout: "ab-1".to_owned(),
        version: "1".to_owned(),
        sequence: 5,
        floor: 3,
        url: Some("http://updates.example/nas".to_owned()),
        auto: true,
        window: Some("02:00-05:00".parse().unwrap()),
        trust: Some(trust(1, 1, &[1])),
    };
    let text = installed.render();
    assert_eq!(Installed::parse(&text).unwrap(), installed);
    assert_eq!(installed.channel_name(), "nas-x86_64-uefi.json");
    let change = |from: &str, to: &str| {
        Installed::parse(String::from_utf8(text.clone()).unwrap().replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string()
    };
    let error = change("hcimage-update-1", "hcimage-update-2");
    assert_eq!(error, "update.json has schema `hcimage-update-2`, this program reads `hcimage-update-1`");
    assert!(change("\"floor\"", "\"flour\"").contains("unknown field `flour`"));
    assert!(change("\"threshold\": 1", "\"threshold\": 2").contains("a threshold of 2 with 1 keys"));
    assert!(change("02:00-05:00", "2-5").contains("`2-5` is not a window"));
}
