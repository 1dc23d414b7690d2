//! dpkg's triggers: a package is told that others touched something. Each name that Debian's packages use is
//! here with what becomes of it; a name that is not here stops the build.

use crate::Package;

/// Names of triggers, and who does in a build what the interested package's script would do.
const KNOWN: &[(&str, &str)] = &[
    ("ldconfig", "the build writes the dynamic linker's cache from the whole tree"),
    ("libc-upgrade", "nothing runs yet that would need a restart"),
    ("libc-bin", "as ldconfig"),
    ("/usr/lib32", "as ldconfig"),
    ("/usr/lib64", "as ldconfig"),
    ("/usr/libo32", "as ldconfig"),
    ("/usr/libx32", "as ldconfig"),
    ("update-initramfs", "the build makes the initial RAM disk itself"),
    ("update-ca-certificates", "the effect `certificates` writes bundle and links"),
    ("update-ca-certificates-fresh", "the effect `certificates` writes bundle and links"),
    ("update-ca-certificates-java", "an image has no Java"),
    ("update-sgmlcatalog", "nothing in an image validates SGML"),
    ("/etc/sgml", "nothing in an image validates SGML"),
    ("/usr/share/sgml", "nothing in an image validates SGML"),
    ("/usr/share/xml", "nothing in an image validates XML"),
    ("/usr/share/glib-2.0/schemas", "settings schemas are for desktops"),
    ("gio/modules", "the module cache only saves time at start"),
    ("/etc/dbus-1/system.d", "the bus reads its policy at start"),
    ("/usr/share/dbus-1/system.d", "the bus reads its policy at start"),
    ("/usr/share/dbus-1/system-services", "the bus reads its services at start"),
    ("/etc/rsyslog.d", "rsyslog reads its configuration at start"),
    ("/lib/udev/hwdb.d", "the effect `hwdb` compiles the hardware database"),
    ("/usr/lib/udev/hwdb.d", "the effect `hwdb` compiles the hardware database"),
    ("/usr/lib/systemd/catalog", "journald's catalogue is made on state, at run time"),
    ("/usr/lib/binfmt.d", "systemd-binfmt reads it at start"),
    ("/usr/lib/sysctl.d", "systemd-sysctl reads it at start"),
    ("/usr/lib/sysusers.d", "the effect `accounts` reads it"),
    ("/usr/lib/tmpfiles.d", "the effect `tmpfiles` and systemd read it"),
    ("/usr/share/debianutils/shells.d", "the effect `shells` reads it"),
    ("/usr/share/man", "man's index only saves time"),
    ("/usr/share/info", "an index of info pages is not made"),
    ("/usr/share/mime/packages", "MIME caches are for desktops"),
    ("/usr/share/applications", "menus are for desktops"),
    ("/usr/share/icons/hicolor", "icon caches are for desktops"),
    ("/etc/init.d", "System V scripts are not run"),
    ("/lib/systemd/system", "systemd reads its units at start"),
    ("/usr/lib/systemd/system", "systemd reads its units at start"),
    ("/usr/lib/python3/dist-packages", "Python byte code is not made"),
    ("/usr/lib/python3.13", "Python byte code is not made"),
    ("/usr/share/polkit-1/actions", "polkit reads its actions at start"),
    ("/boot", "the build writes the boot partitions itself"),
    ("linux-update", "the build writes the boot partitions itself"),
    ("linux-update-6.12", "the build writes the boot partitions itself"),
    ("flash-kernel", "the build writes the boot partitions itself"),
    ("nodejs", "no byte code is made"),
    ("dracut", "the build makes the initial RAM disk itself"),
];

/// A trigger that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{package}: the trigger `{name}` is not known; find out what it does, then add it to the tree crate's recipe/triggers.rs"
)]
pub struct UnknownTrigger {
    /// The package.
    pub package: String,
    /// The trigger's name.
    pub name: String,
}

/// The triggers of `packages` which are not in the table, in the packages' order.
pub(super) fn unknown(packages: &[Package]) -> Vec<UnknownTrigger> {
    let mut found = Vec::new();
    for package in packages {
        for line in package.triggers.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(directive) = words.next() else { continue };
            let name = words.next().unwrap_or(directive);
            let known = directive.starts_with("interest") || directive.starts_with("activate");
            if !known || becomes(name).is_none() {
                found.push(UnknownTrigger { package: package.name.clone(), name: name.to_owned() });
            }
        }
    }
    found
}

/// What becomes of the trigger `name` in a build.
#[must_use]
pub fn becomes(name: &str) -> Option<&'static str> {
    // Below /usr/lib/<multiarch>/.
    let name = if name.ends_with("/gio/modules") { "gio/modules" } else { name };
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, why)| *why)
}
