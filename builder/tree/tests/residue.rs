//! Maintainer scripts taken apart.

#![allow(clippy::unwrap_used)]

use tree::recipe::{Declared, NssPosition, ResidueError, residue};

fn block(tool: &str, body: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\n# Automatically added by {tool}\n{body}# End automatically added section\n\nexit 0\n"
    )
}

#[test]
fn a_script_of_debhelper_alone_leaves_nothing() {
    let script = block(
        "dh_installsystemd/13.24.2",
        "if deb-systemd-helper --quiet was-enabled 'a.service'; then\n\
         \tdeb-systemd-helper enable 'a.service' >/dev/null || true\nfi\n",
    );
    let residue = residue(script.as_bytes()).unwrap();
    assert_eq!(residue.text, "");
    assert_eq!(residue.blocks[0].version, "13.24.2");
    assert_eq!(residue.blocks[0].declares, [Declared::Enable("a.service".into())]);
}

#[test]
fn what_a_block_declares() {
    let cases = [
        (
            "dh_installnss/1.7",
            "# Installing hosts/resolve[!UNAVAIL=return] from libnss-resolve in position before=dns\n",
            Declared::Nss {
                database: "hosts".into(),
                service: "resolve [!UNAVAIL=return]".into(),
                position: NssPosition::Before("dns".into()),
            },
        ),
        (
            "dh_usrlocal",
            "/usr/local/share/x default\n",
            Declared::LocalDirectory("/usr/local/share/x".into()),
        ),
        (
            "dh_apparmor/4.1",
            "    LOCAL_APP_PROFILE=\"/etc/apparmor.d/local/x\"\n",
            Declared::EmptyFile("/etc/apparmor.d/local/x".into()),
        ),
    ];
    for (tool, body, declared) in cases {
        assert_eq!(residue(block(tool, body).as_bytes()).unwrap().blocks[0].declares, [declared]);
    }
    let alternatives = "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  --slave /usr/bin/nawk nawk /usr/bin/mawk\n";
    let residue = residue(block("dh_installalternatives/1", alternatives).as_bytes()).unwrap();
    let [Declared::Alternative(one)] = &residue.blocks[0].declares[..] else { panic!("{residue:?}") };
    assert_eq!((one.name.as_str(), one.priority, one.slaves[0].name.as_str()), ("awk", 5, "nawk"));
}

#[test]
fn units_that_are_enabled_at_upgrades_only_are_not_enabled() {
    let script = block(
        "dh_installsystemd/1",
        "if deb-systemd-helper debian-installed 'a.service'; then\n\
         deb-systemd-helper enable 'a.service' >/dev/null || true\nfi\n",
    );
    assert_eq!(residue(script.as_bytes()).unwrap().blocks[0].declares, []);
}

#[test]
fn comments_stay_where_they_could_be_text() {
    let plain = residue(b"#!/bin/sh\n# why\nset -e\n\n  mkdir /x  \n").unwrap();
    assert_eq!(plain.text, "  mkdir /x\n");
    let here = residue(b"#!/bin/sh\ncat <<E\n# text\nE\n").unwrap();
    assert_eq!(here.text, "cat <<E\n# text\nE\n");
    let perl = residue(b"#!/usr/bin/perl\n# why\n").unwrap();
    assert_eq!(perl.text, "#!/usr/bin/perl\n# why\n");
}

#[test]
fn what_is_not_understood_is_refused() {
    let error = residue(block("dh_magic/1", "fi\n").as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("line 3: dh_magic is no debhelper tool"), "{error}");
    let error = residue(block("dh_installsystemd/1", "fi\nrm -rf /\n").as_bytes()).unwrap_err();
    assert!(
        error.to_string().starts_with("line 5: dh_installsystemd never wrote `rm -rf /` before"),
        "{error}"
    );
    let error = residue(b"#!/bin/sh\n# Automatically added by dh_installdeb/1\nfi\n").unwrap_err();
    assert!(matches!(error, ResidueError::Unterminated { line: 2, .. }), "{error}");
}
