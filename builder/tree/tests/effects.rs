//! Each effect on a small tree.

#![allow(clippy::unwrap_used)]

use contract::{Digest, Epoch};
use std::collections::BTreeMap;
use tree::{
    Content, ImagePath, Kind, Node, Origin, Tree,
    effects::{
        accounts::{self, Accounts, Ledger},
        alternatives, frame, pam, shells, tmpfiles, units,
    },
    recipe::Alternative,
};

type Map = BTreeMap<Digest, Vec<u8>>;

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

/// A tree of texts; a text that begins with `-> ` is a symbolic link.
fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (name, text) in files {
        let origin = Origin::Package("p".into());
        let node = match text.strip_prefix("-> ") {
            Some(target) => Node::symlink(target, origin),
            None => Node::file(Content::bytes(*text), 0o644, origin),
        };
        tree.insert(&path(name), node).unwrap();
    }
    tree
}

/// Every link of the tree below `directory`, as `path target`.
fn links(tree: &Tree, directory: &str) -> Vec<String> {
    let links = tree.below(&path(directory)).filter_map(|(path, node)| match &node.kind {
        Kind::Symlink(target) => Some(format!("{path} {target}")),
        _ => None,
    });
    links.collect()
}

fn text(tree: &Tree, name: &str) -> String {
    tree.read_text(&path(name), &Map::new()).unwrap()
}

const GROUPS: &str = "root:*:0:\nadm:*:4:\nshadow:*:42:\nnogroup:*:65534:\n";
const USERS: &str = "root:*:0:0:root:/root:/bin/bash\n";

fn accounts(sysusers: &str) -> (Tree, Accounts) {
    let mut tree = tree(&[
        ("/usr/share/base-passwd/group.master", GROUPS),
        ("/usr/share/base-passwd/passwd.master", USERS),
        ("/usr/lib/sysusers.d/a.conf", sysusers),
    ]);
    let mut accounts = Accounts::default();
    accounts.read(&mut tree, &Map::new()).unwrap();
    (tree, accounts)
}

#[test]
fn accounts_come_from_masters_sysusers_and_the_ledger() {
    let (mut tree, accounts) = accounts(
        "# text\nu! net - \"The Net\"\nu sshd -:nogroup \"sshd user\" /run/sshd\ng input -\nu root 0 - /root /bin/sh\nm net adm\nr - 500-900\n",
    );
    let error = accounts.ids(&Ledger::default()).unwrap_err().to_string();
    let expected = "the lock has no ids for user net, user sshd, group input, group net: run `hcimage lock`";
    assert_eq!(error, expected);
    let mut ledger = Ledger::default();
    accounts::allocate(&accounts.needed().unwrap(), &mut ledger).unwrap();
    let ids = accounts.ids(&ledger).unwrap();
    accounts.write(&mut tree, &Map::new(), &ids, Epoch(86_400 * 20_000 + 5)).unwrap();
    assert_eq!(
        text(&tree, "/etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\nnet:x:998:998:The Net:/:/usr/sbin/nologin\nsshd:x:997:65534:sshd user:/run/sshd:/usr/sbin/nologin\n"
    );
    assert_eq!(
        text(&tree, "/etc/group"),
        "root:x:0:\nadm:x:4:net\nshadow:x:42:\nnogroup:x:65534:\ninput:x:999:\nnet:x:998:\n"
    );
    assert_eq!(
        text(&tree, "/etc/shadow"),
        "root:!*:20000:0:99999:7:::\nnet:!*:20000:0:99999:7::1:\nsshd:*:20000:0:99999:7:::\n"
    );
    let shadow = tree.get(&path("/etc/shadow")).unwrap();
    assert_eq!((shadow.mode, shadow.gid), (0o640, 42));
}

#[test]
fn ids_are_never_given_twice_and_never_move() {
    let mut ledger = Ledger::default();
    let needed = |names: &[&str]| accounts::Needed {
        users: names.iter().map(|name| (*name).to_owned()).collect(),
        groups: names.iter().map(|name| (*name).to_owned()).collect(),
        taken: [999].into(),
    };
    accounts::allocate(&needed(&["b", "c"]), &mut ledger).unwrap();
    accounts::allocate(&needed(&["a", "c"]), &mut ledger).unwrap();
    let ids: Vec<_> = ledger.users.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    assert_eq!(ids, [("a", 996), ("b", 998), ("c", 997)]);
    assert_eq!(ledger.users, ledger.groups);
}

#[test]
fn the_highest_alternative_that_is_there_wins() {
    let offer = |path: &str, priority| {
        let link = "/usr/bin/editor".to_owned();
        let alternative =
            Alternative { name: "editor".into(), link, path: path.into(), priority, slaves: vec![] };
        ("p".to_owned(), alternative)
    };
    let mut tree = tree(&[("/usr/bin/nano", ""), ("/usr/bin/vim", "")]);
    let offers = [offer("/usr/bin/vim", 40), offer("/usr/bin/nano", 40), offer("/usr/bin/emacs", 90)];
    alternatives::apply(&mut tree, &Map::new(), &offers).unwrap();
    let expected = ["/etc/alternatives/editor /usr/bin/nano", "/usr/bin/editor /etc/alternatives/editor"];
    assert_eq!(links(&tree, "/"), expected);
}

const SSH: &str = "[Unit]\n[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\nAlso=keys.service\n";

fn units_tree() -> Tree {
    tree(&[
        ("/usr/lib/systemd/system/ssh.service", SSH),
        ("/usr/lib/systemd/system/keys.service", "[Install]\nRequiredBy=ssh.service\n"),
        (
            "/usr/lib/systemd/system/getty@.service",
            "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n",
        ),
        ("/usr/lib/systemd/system/static.service", "[Service]\n"),
        ("/usr/lib/systemd/system/wait.service", "[Install]\nWantedBy=sysinit.target\n"),
        ("/usr/lib/systemd/system-preset/90.preset", "enable getty@.service\ndisable wait.*\n"),
    ])
}

fn pairs(units: &[&str]) -> Vec<(String, String)> {
    units.iter().map(|unit| ((*unit).to_owned(), "overlay x".to_owned())).collect()
}

#[test]
fn units_are_linked_as_systemctl_would() {
    let mut tree = units_tree();
    let wishes = units::Wishes {
        preset: pairs(&["ssh.service", "getty@.service", "wait.service", "static.service"]),
        enable: pairs(&["getty@ttyS0.service"]),
        mask: pairs(&["static.service"]),
        ..units::Wishes::default()
    };
    units::apply(&mut tree, &Map::new(), &wishes).unwrap();
    assert_eq!(
        links(&tree, "/etc/systemd/system"),
        [
            "/etc/systemd/system/getty.target.wants/getty@tty1.service /usr/lib/systemd/system/getty@.service",
            "/etc/systemd/system/getty.target.wants/getty@ttyS0.service /usr/lib/systemd/system/getty@.service",
            "/etc/systemd/system/multi-user.target.wants/ssh.service /usr/lib/systemd/system/ssh.service",
            "/etc/systemd/system/ssh.service.requires/keys.service /usr/lib/systemd/system/keys.service",
            "/etc/systemd/system/sshd.service /usr/lib/systemd/system/ssh.service",
            "/etc/systemd/system/static.service /dev/null",
        ]
    );
}

#[test]
fn overlays_that_name_units_wrongly_are_refused() {
    let enable = |units: &[&str]| units::Wishes { enable: pairs(units), ..units::Wishes::default() };
    let cases = [
        (enable(&["shh.service"]), "overlay x: there is no unit `shh.service`; did you mean `ssh.service`?"),
        (
            enable(&["static.service"]),
            "overlay x: static.service has no `[Install]` section, so it cannot be enabled",
        ),
        (
            units::Wishes { disable: pairs(&["ssh.service"]), ..enable(&["ssh.service"]) },
            "unit `ssh.service`: overlay x enables it, but overlay x does not want it",
        ),
    ];
    for (wishes, expected) in cases {
        let error = units::apply(&mut units_tree(), &Map::new(), &wishes).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

const COMMON: &str = "# here are the per-package modules (the \"Primary\" block)\n$auth_primary\n# here's the fallback if no module succeeds\nauth\trequisite\tpam_deny.so\n# and here are more per-package modules (the \"Additional\" block)\n$auth_additional\n# end of pam-auth-update config\n";

#[test]
fn pam_modules_are_stacked_with_their_jumps() {
    let unix = "Name: Unix\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so try_first_pass\nAuth-Initial:\n\t[success=end default=ignore]\tpam_unix.so\n";
    let other = "Name: O\nDefault: yes\nPriority: 300\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_o.so\n";
    let off = "Name: Off\nDefault: no\nPriority: 900\nAuth-Type: Primary\nAuth:\n\trequired\tpam_off.so\n";
    let mut tree = tree(&[
        ("/usr/share/pam/common-auth", COMMON),
        ("/usr/share/pam-configs/unix", unix),
        ("/usr/share/pam-configs/other", other),
        ("/usr/share/pam-configs/off", off),
    ]);
    pam::apply(&mut tree, &Map::new()).unwrap();
    let text = text(&tree, "/etc/pam.d/common-auth");
    let modules: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        modules,
        [
            "auth\t[success=2 default=ignore]\tpam_o.so ",
            "auth\t[success=1 default=ignore]\tpam_unix.so try_first_pass",
            "auth\trequisite\tpam_deny.so",
        ]
    );
}

#[test]
fn shells_have_their_real_paths_too() {
    let mut tree = tree(&[
        ("/bin", "-> usr/bin"),
        ("/usr/bin/sh", ""),
        ("/usr/share/debianutils/shells", "# shells\n/bin/sh\n"),
        ("/usr/share/debianutils/shells.d/bash", "/bin/bash\n"),
    ]);
    shells::apply(&mut tree, &Map::new(), &[path("/usr/bin/zsh")]).unwrap();
    let expected = "# shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/usr/bin/zsh\n";
    assert_eq!(text(&tree, "/etc/shells"), expected);
}

#[test]
fn tmpfiles_lines_about_the_read_only_parts_are_done_now() {
    let mut tree = tree(&[(
        "/usr/lib/tmpfiles.d/x.conf",
        "d /etc/x 0750 root adm\nf /etc/x/y 0600 - - - some text\nL+ /etc/z - - - - ../a\nd /run/x\nd /var/x\nf^ /etc/c - - - - cred\nr! /etc/z.lock\n",
    )]);
    let ids =
        accounts::Ids { users: [("root".to_owned(), 0)].into(), groups: [("adm".to_owned(), 4)].into() };
    tmpfiles::apply(&mut tree, &Map::new(), &ids).unwrap();
    let x = tree.get(&path("/etc/x")).unwrap();
    assert_eq!((x.mode, x.gid), (0o750, 4));
    assert_eq!(text(&tree, "/etc/x/y"), "some text");
    assert_eq!(links(&tree, "/etc"), ["/etc/z ../a"]);
    assert!(["/run/x", "/var/x", "/etc/c"].iter().all(|name| tree.get(&path(name)).is_none()));
}

#[test]
fn var_moves_to_where_it_is_seeded_from() {
    let mut tree = tree(&[("/var/lib/x", "x"), ("/usr/share/factory/var/lib/y", "y")]);
    frame::apply(&mut tree).unwrap();
    frame::move_var(&mut tree).unwrap();
    assert_eq!(tree.below(&path("/var")).count(), 0);
    assert!(tree.get(&path("/var")).unwrap().is_directory());
    assert_eq!(text(&tree, "/usr/share/factory/var/lib/x"), "x");
    assert_eq!(text(&tree, "/usr/share/factory/var/lib/y"), "y");
    assert_eq!(tree.get(&path("/tmp")).unwrap().mode, 0o1777);
}
