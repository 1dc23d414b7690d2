//! Every line that a debhelper tool writes into `preinst` and `postinst`, and what it means at a fresh
//! installation. A line that is not here stops the build: debhelper is trusted for what it is known to write,
//! not for its name.
//!
//! Source: the `autoscripts` of debhelper 13.11 to 13.24 and the scripts of Debian 12 and 13 themselves.

use super::{Alternative, Slave};

/// What a generated block, or a recipe, asks of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Declared {
    /// `deb-systemd-helper enable`: the unit, unless a preset says no.
    Enable(String),
    /// The same for units of users' service managers.
    EnableForUsers(String),
    /// `deb-systemd-helper debian-installed`: enables in the same block are for upgrades only.
    OnlyUpgraded(String),
    /// `update-alternatives --install`.
    Alternative(Alternative),
    /// A service in a line of `/etc/nsswitch.conf`.
    Nss {
        /// Which line, such as `hosts`.
        database: String,
        /// What to put in, such as `resolve [!UNAVAIL=return]`.
        service: String,
        /// Where.
        position: NssPosition,
    },
    /// A directory below `/usr/local`, owned by root with mode `0755`.
    LocalDirectory(String),
    /// An empty file which a local AppArmor profile may replace.
    EmptyFile(String),
    /// A thing that is deliberately not done, with the reason.
    Waived(&'static str),
}

/// Where a service goes in a line of `/etc/nsswitch.conf`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NssPosition {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Right before this service.
    Before(String),
    /// Right behind this service.
    After(String),
}

/// What a line means; the holes `{}` of its pattern are given in order.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// Nothing at a fresh installation into a tree where nothing runs, or done by an effect for all packages.
    Nothing,
    Waived(&'static str),
    Enable,
    EnableForUsers,
    OnlyUpgraded,
    Alternative,
    Nss,
    LocalDirectory,
    EmptyFile,
}
use Meaning::{
    Alternative as Alt, EmptyFile, Enable, EnableForUsers, LocalDirectory, Nothing, Nss, OnlyUpgraded, Waived,
};

pub(super) type Grammar = &'static [(&'static str, Meaning)];

const SYSTEM_V: &str = "links of System V init are not made: systemd starts native units only";
const XML: &str = "the registry of XML and SGML catalogues is not made: nothing in an image validates XML";
const ICONS: &str = "icon caches are not made: an image has no desktop";
const MENU: &str = "menus are not made: an image has no desktop";
const PYTHON: &str = "Python byte code is not made: it would hold times, and the root is read-only";
const RUNIT: &str = "runit's service links are not made: systemd is the init";

/// Conditions that are true at a fresh installation, and the shell's own words.
const COMMON: Grammar = &[
    ("", Nothing),
    ("fi", Nothing),
    ("else", Nothing),
    (
        "if [ \"$1\" = \"configure\" ] || [ \"$1\" = \"abort-upgrade\" ] || [ \"$1\" = \"abort-deconfigure\" ] || [ \"$1\" = \"abort-remove\" ] ; then",
        Nothing,
    ),
    (
        "if [ \"$1\" = \"configure\" ] || [ \"$1\" = \"abort-upgrade\" ] || [ \"$1\" = \"abort-deconfigure\" ] || [ \"$1\" = \"abort-remove\" ]; then",
        Nothing,
    ),
    ("if [ \"$1\" = \"configure\" ]; then", Nothing),
    ("if [ \"$1\" = \"configure\" ] ; then", Nothing),
    ("if [ -n \"$2\" ]; then", Nothing),
    ("_dh_action=restart", Nothing),
    ("_dh_action=start", Nothing),
    ("_dh_action=try-restart", Nothing),
    ("if [ -d /run/systemd/system ]; then", Nothing),
    ("if [ -d /run/systemd/system ] ; then", Nothing),
    ("if [ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]; then", Nothing),
    ("if [ -z \"$DPKG_ROOT\" ] && [ \"$1\" = upgrade ] && [ -d /run/systemd/system ] ; then", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ] && [ -d /run/systemd/system ]; then", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ] && [ \"$1\" = upgrade ] && [ -d /run/systemd/system ] ; then", Nothing),
    ("if [ -z \"$DPKG_ROOT\" ]; then", Nothing),
    ("if [ -z \"$DPKG_ROOT\" ] ; then", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ]; then", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ] ; then", Nothing),
];

const SYSTEMD: Grammar = &[
    ("deb-systemd-helper unmask '{}' >/dev/null || true", Nothing),
    ("if deb-systemd-helper --quiet was-enabled '{}'; then", Nothing),
    ("deb-systemd-helper enable '{}' >/dev/null || true", Enable),
    ("deb-systemd-helper update-state '{}' >/dev/null || true", Nothing),
    ("if deb-systemd-helper debian-installed '{}'; then", OnlyUpgraded),
    ("systemctl --system daemon-reload >/dev/null || true", Nothing),
    ("deb-systemd-invoke {} >/dev/null || true", Nothing),
];

const SYSTEMD_USER: Grammar = &[
    ("deb-systemd-helper --user unmask '{}' >/dev/null || true", Nothing),
    ("if deb-systemd-helper --quiet --user was-enabled '{}' ; then", Nothing),
    ("deb-systemd-helper --user enable '{}' >/dev/null || true", EnableForUsers),
    ("deb-systemd-helper --user update-state '{}' >/dev/null || true", Nothing),
    ("if deb-systemd-helper --user debian-installed '{}' ; then", OnlyUpgraded),
    ("systemctl --global daemon-reload >/dev/null || true", Nothing),
    ("deb-systemd-invoke --user {} >/dev/null || true", Nothing),
];

/// `tmpfiles.d`, `sysusers.d`, modules, udev: done for all packages by effects, from the files themselves.
const TMPFILES: Grammar = &[
    ("if [ -x \"$(command -v systemd-tmpfiles)\" ]; then", Nothing),
    ("systemd-tmpfiles ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} --create {} || true", Nothing),
    ("systemd-tmpfiles --create {} || true", Nothing),
];
const SYSUSERS: Grammar = &[("systemd-sysusers ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} {}.conf", Nothing)];
const UDEV: Grammar = &[("udevadm {} || true", Nothing)];
const MODULES: Grammar = &[("depmod {}", Nothing)];

const INIT: Grammar = &[
    ("if [ -z \"$DPKG_ROOT\" ] && [ -x \"/etc/init.d/{}\" ]; then", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ] && [ -x \"/etc/init.d/{}\" ]; then", Nothing),
    ("if [ -x \"/etc/init.d/{}\" ]; then", Nothing),
    ("if [ \"$1\" = \"install\" ] && [ -n \"$2\" ] && [ -e \"/etc/init.d/{}\" ] ; then", Nothing),
    ("chmod +x \"/etc/init.d/{}\" >/dev/null || true", Nothing),
    ("update-rc.d {} >/dev/null", Waived(SYSTEM_V)),
    ("update-rc.d {} >/dev/null || exit 1", Waived(SYSTEM_V)),
    ("invoke-rc.d {} || exit 1", Nothing),
    ("systemd-tmpfiles --create {} >/dev/null || true", Nothing),
];

const MAINTSCRIPT: Grammar = &[
    // All four act on upgrades only.
    ("dpkg-maintscript-helper rm_conffile {} -- \"$@\"", Nothing),
    ("dpkg-maintscript-helper mv_conffile {} -- \"$@\"", Nothing),
    ("dpkg-maintscript-helper dir_to_symlink {} -- \"$@\"", Nothing),
    ("dpkg-maintscript-helper symlink_to_dir {} -- \"$@\"", Nothing),
];

const ALTERNATIVES: Grammar = &[("update-alternatives --install {}", Alt)];

const NSS: Grammar = &[
    ("# Installing {}/{} from {} in position {}", Nss),
    ("if [ \"$1\" = install ]; then", Nothing),
    ("touch \"${DPKG_ROOT}/etc/nsswitch.conf.nss.${DPKG_MAINTSCRIPT_PACKAGE}-will-install\"", Nothing),
    (
        "if [ \"$1\" = \"configure\" ] && [ -f \"${DPKG_ROOT}/etc/nsswitch.conf.nss.${DPKG_MAINTSCRIPT_PACKAGE}-will-install\" ] && [ -e \"${DPKG_ROOT}/etc/nsswitch.conf\" ] ; then",
        Nothing,
    ),
    ("if ! grep -q -E {} \"${DPKG_ROOT}/etc/nsswitch.conf\" ; then", Nothing),
    ("sed -E -i \"${DPKG_ROOT}/etc/nsswitch.conf\" -e {}", Nothing),
    ("rm \"${DPKG_ROOT}/etc/nsswitch.conf.nss.${DPKG_MAINTSCRIPT_PACKAGE}-will-install\"", Nothing),
];

const LOCAL: Grammar = &[
    ("(", Nothing),
    ("default_mode=0755", Nothing),
    ("default_user=root", Nothing),
    ("default_group=root", Nothing),
    ("if [ -e /etc/staff-group-for-usr-local ]; then", Nothing),
    ("default_mode=02775", Nothing),
    ("default_group=staff", Nothing),
    ("while read line; do", Nothing),
    ("set -- $line", Nothing),
    ("dir=\"$1\"; mode=\"$2\"; user=\"$3\"; group=\"$4\"", Nothing),
    ("if [ \"$mode\" = \"default\" ]; then", Nothing),
    ("mode=\"$default_mode\"", Nothing),
    ("user=\"$default_user\"", Nothing),
    ("group=\"$default_group\"", Nothing),
    ("if [ ! -e \"$dir\" ]; then", Nothing),
    ("if mkdir \"$dir\" 2>/dev/null; then", Nothing),
    ("if chown \"$user\":\"$group\" \"$dir\" ; then", Nothing),
    ("chmod \"$mode\" \"$dir\" || true", Nothing),
    ("done", Nothing),
    (") << DATA", Nothing),
    ("DATA", Nothing),
    ("/usr/local/{} default", LocalDirectory),
];

const APPARMOR: Grammar = &[
    ("APP_PROFILE=\"/etc/apparmor.d/{}\"", Nothing),
    ("if [ -f \"$APP_PROFILE\" ]; then", Nothing),
    ("LOCAL_APP_PROFILE=\"{}\"", EmptyFile),
    ("test -e \"$LOCAL_APP_PROFILE\" || {", Nothing),
    ("mkdir -p `dirname \"$LOCAL_APP_PROFILE\"`", Nothing),
    ("mkdir -p $(dirname \"$LOCAL_APP_PROFILE\")", Nothing),
    ("install --mode 644 /dev/null \"$LOCAL_APP_PROFILE\"", Nothing),
    ("}", Nothing),
    ("if aa-enabled --quiet 2>/dev/null; then", Nothing),
    ("apparmor_parser -r -T -W \"$APP_PROFILE\" || true", Nothing),
];

const PYTHON3: Grammar = &[
    ("if command -v {} >/dev/null 2>&1; then", Nothing),
    ("if which {} >/dev/null 2>&1; then", Nothing),
    ("py3compile -p {}", Waived(PYTHON)),
    ("pypy3compile -p {}", Waived(PYTHON)),
];

const MENUS: Grammar = &[
    (
        "if [ \"$1\" = \"configure\" ] && [ -x \"`{} update-menus`\" ] && [ -x \"$DPKG_ROOT`{} update-menus`\" ]; then",
        Nothing,
    ),
    ("if [ \"$1\" = \"configure\" ] && [ -x \"`{} update-menus`\" ]; then", Nothing),
    ("update-menus", Waived(MENU)),
];

const ICON_CACHES: Grammar = &[
    ("if command -v update-icon-caches >/dev/null; then", Nothing),
    ("update-icon-caches {}", Waived(ICONS)),
];

const XML_CATALOGUES: Grammar = &[("update-xmlcatalog {}", Waived(XML))];
const SGML_CATALOGUES: Grammar = &[
    ("rm -f {}", Nothing),
    ("for ordcat in {}; do", Nothing),
    ("update-catalog {}", Waived(XML)),
    ("done", Nothing),
    ("if [ \"$1\" = \"upgrade\" ]; then", Nothing),
    ("if [ \"$1\" = \"install\" ]; then", Nothing),
];

const RUNIT_LINKS: Grammar = &[
    ("if [ ! -e /usr/lib/runit-helper/runit-helper ]; then", Nothing),
    ("echo \"warning: {}\"", Nothing),
    ("if [ -z \"${DPKG_ROOT:-}\" ] && [ -x /usr/lib/runit-helper/runit-helper ]; then", Nothing),
    ("{} /usr/lib/runit-helper/runit-helper postinst \"$@\"", Waived(RUNIT)),
];

/// The grammar of `tool`.
pub(super) fn of(tool: &str) -> Option<Grammar> {
    Some(match tool {
        "dh_installsystemd" | "dh_systemd_enable" | "dh_systemd_start" => SYSTEMD,
        "dh_installsystemduser" => SYSTEMD_USER,
        "dh_installtmpfiles" => TMPFILES,
        "dh_installsysusers" => SYSUSERS,
        "dh_installudev" => UDEV,
        "dh_installmodules" => MODULES,
        "dh_installinit" => INIT,
        "dh_installdeb" => MAINTSCRIPT,
        "dh_installalternatives" => ALTERNATIVES,
        "dh_installnss" => NSS,
        "dh_usrlocal" => LOCAL,
        "dh_apparmor" => APPARMOR,
        "dh_python3" | "dh_pypy" => PYTHON3,
        "dh_installmenu" => MENUS,
        "dh_icons" => ICON_CACHES,
        "dh_installxmlcatalogs" => XML_CATALOGUES,
        "dh_installcatalogs" => SGML_CATALOGUES,
        "dh_runit" => RUNIT_LINKS,
        _ => return None,
    })
}

/// What `line` (its words separated by one space) declares; `None` when `grammar` does not have it.
pub(super) fn read(grammar: Grammar, line: &str) -> Option<Option<Declared>> {
    let found =
        grammar.iter().chain(COMMON).find_map(|(pattern, meaning)| Some((fit(pattern, line)?, *meaning)));
    match found {
        Some((holes, meaning)) => declared(meaning, &holes),
        None if line.starts_with("# Installing ") => None,
        None if line.starts_with('#') => Some(None),
        None => None,
    }
}

/// Drops the enables that are for upgrades only, and doubles.
pub(super) fn settle(declares: &mut Vec<Declared>) {
    let upgraded: Vec<String> = declares
        .iter()
        .filter_map(|one| if let Declared::OnlyUpgraded(unit) = one { Some(unit.clone()) } else { None })
        .collect();
    declares.retain(|one| match one {
        Declared::Enable(unit) | Declared::EnableForUsers(unit) => !upgraded.contains(unit),
        Declared::OnlyUpgraded(_) => false,
        _ => true,
    });
    let mut seen = Vec::new();
    declares.retain(|one| {
        !seen.contains(one) && {
            seen.push(one.clone());
            true
        }
    });
}

/// The texts in the holes of `pattern`, when `line` fits it. A hole takes as little as it can.
fn fit<'a>(pattern: &str, line: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split("{}");
    let mut rest = line.strip_prefix(parts.next()?)?;
    let mut holes = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() { rest.len().checked_sub(part.len())? } else { rest.find(part)? };
        if at == 0 || !rest.is_char_boundary(at) || &rest[at..at + part.len()] != part {
            return None;
        }
        holes.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(holes)
}

/// `None` when the holes do not make sense.
fn declared(meaning: Meaning, holes: &[&str]) -> Option<Option<Declared>> {
    let hole = |at: usize| holes.get(at).copied().map(str::to_owned);
    Some(Some(match meaning {
        Meaning::Nothing => return Some(None),
        Meaning::Waived(why) => Declared::Waived(why),
        Meaning::Enable => Declared::Enable(unit(holes)?),
        Meaning::EnableForUsers => Declared::EnableForUsers(unit(holes)?),
        Meaning::OnlyUpgraded => Declared::OnlyUpgraded(unit(holes)?),
        Meaning::Alternative => Declared::Alternative(alternative(holes.first()?)?),
        Meaning::LocalDirectory => Declared::LocalDirectory(format!("/usr/local/{}", hole(0)?)),
        Meaning::EmptyFile => Declared::EmptyFile(hole(0)?),
        Meaning::Nss => {
            let position = match *holes.get(3)? {
                "first" => NssPosition::First,
                "last" => NssPosition::Last,
                other => match other.split_once('=')? {
                    ("before", service) => NssPosition::Before(service.to_owned()),
                    ("after", service) => NssPosition::After(service.to_owned()),
                    _ => return None,
                },
            };
            let service = hole(1)?;
            // `resolve[!UNAVAIL=return]`: what to do next is a word of its own in the file.
            let service = service.replace('[', " [");
            Declared::Nss { database: hole(0)?, service, position }
        }
    }))
}

fn unit(holes: &[&str]) -> Option<String> {
    holes.first().filter(|unit| !unit.contains('\'')).map(|unit| (*unit).to_owned())
}

fn alternative(arguments: &str) -> Option<Alternative> {
    let words: Vec<&str> = arguments.split(' ').collect();
    let (master, mut slaves) = words.split_at_checked(4)?;
    let [link, name, path, priority] = master else { return None };
    let mut read = Alternative {
        name: (*name).to_owned(),
        link: (*link).to_owned(),
        path: (*path).to_owned(),
        priority: priority.parse().ok()?,
        slaves: Vec::new(),
    };
    while let ["--slave", link, name, path, rest @ ..] = slaves {
        read.slaves.push(Slave { name: (*name).into(), link: (*link).into(), path: (*path).into() });
        slaves = rest;
    }
    slaves.is_empty().then_some(read)
}
