use crate::fetch::{Mirror, catalog, have};
use archive::resolver::{Request, resolve};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

const NAS: &str = "systemd systemd-sysv systemd-resolved udev dbus openssh-server samba nfs-kernel-server syncthing \
                   systemd-boot-efi e2fsprogs nftables iproute2 ca-certificates login passwd bash coreutils kmod \
                   dosfstools gdisk";

/// An empty root in which apt knows the same indexes as we do.
struct Apt {
    root: tempfile::TempDir,
    arch: &'static str,
}

impl Apt {
    fn new(arch: &'static str, texts: &[(&'static str, String)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc/apt", "state/lists/partial", "cache/archives/partial", "log"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let mut sources = String::new();
        for (suite, text) in texts {
            let directory = root.path().join("repo").join(suite);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("Packages"), text).unwrap();
            sources += &format!("deb [trusted=yes] copy:{} ./\n", directory.display());
        }
        fs::write(root.path().join("etc/apt/sources.list"), sources).unwrap();
        fs::write(root.path().join("status"), "").unwrap();
        let apt = Self { root, arch };
        apt.run(&["update"]);
        apt
    }

    fn run(&self, arguments: &[&str]) -> String {
        let path = |name: &str| self.root.path().join(name).display().to_string();
        let options = [
            format!("Dir::Etc={}", path("etc/apt")),
            format!("Dir::State={}", path("state")),
            format!("Dir::State::status={}", path("status")),
            format!("Dir::Cache={}", path("cache")),
            format!("Dir::Log={}", path("log")),
            format!("APT::Architecture={}", self.arch),
            format!("APT::Architectures={}", self.arch),
            "APT::Sandbox::User=".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ];
        let options = options.iter().flat_map(|option| ["-o", option]);
        let config = Path::new("/dev/null");
        let output = Command::new("apt-get")
            .args(options)
            .args(arguments)
            .env("APT_CONFIG", config)
            .env("LC_ALL", "C")
            .output();
        let output = output.unwrap();
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "apt-get {arguments:?}\n{text}\n{errors}");
        text.into_owned()
    }

    /// What apt would install, name -> version; it must not remove anything.
    fn simulate(&self, packages: &[String]) -> BTreeMap<String, String> {
        let mut arguments = vec!["install", "--simulate", "--no-install-recommends", "--yes"];
        arguments.extend(packages.iter().map(String::as_str));
        let plan = self.run(&arguments);
        assert!(!plan.lines().any(|line| line.starts_with("Remv ")), "{plan}");
        let installed = plan.lines().filter_map(|line| line.strip_prefix("Inst ")).map(|line| {
            let (name, rest) = line.split_once(" (").unwrap();
            let name = name.split(':').next().unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        });
        installed.collect()
    }
}

#[test]
fn apt_installs_exactly_our_closure() {
    let test = "apt_installs_exactly_our_closure";
    if !have(test, "apt-get") {
        return;
    }
    let Some(mirror) = Mirror::find(test) else { return };
    for arch in ["amd64", "arm64"] {
        let texts = mirror.indexes(arch);
        let catalog = catalog(arch, &texts);
        let mut roots: Vec<_> = NAS.split_ascii_whitespace().map(str::to_owned).collect();
        roots.push(format!("linux-image-{arch}"));
        let selection = resolve(&catalog, &Request { roots: roots.clone(), ..Request::default() }).unwrap();
        let ours: BTreeMap<_, _> = selection
            .packages
            .values()
            .map(|chosen| (chosen.package.name.to_owned(), chosen.package.version.to_string()))
            .collect();
        assert!(ours.len() > 150, "{}", ours.len());

        let apt = Apt::new(arch, &texts);
        let exact: Vec<_> = ours.iter().map(|(name, version)| format!("{name}={version}")).collect();
        assert_eq!(apt.simulate(&exact), ours, "{arch}: apt completes our closure");

        // apt's own way to the same roots; Essential packages it takes for installed already.
        let essential = catalog.packages().iter().filter(|package| package.essential);
        roots.extend(essential.map(|package| package.name.to_owned()));
        assert_eq!(apt.simulate(&roots), ours, "{arch}: apt's own choice");
    }
}
