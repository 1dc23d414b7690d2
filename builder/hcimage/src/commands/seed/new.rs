//! `hcimage seed new`: writes a node's settings, from flags and from answers.

use super::{
    ask::{AtTerminal, Person},
    check::bounded,
    plan,
};
use crate::{
    args::{RoleArg, SeedNewArgs},
    error::Failure,
    printer::Printer,
};
use contract::{
    Seed,
    seed::{self, Cluster, DataDisk, Identity, Network, Role, Secret, Ssh, StatusPage, Time, Wifi},
};
use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

pub(super) fn run(args: &SeedNewArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let file = &args.file;
    if !args.force && fs::symlink_metadata(file).is_ok() {
        return Err(Failure::with_hint(
            format!("{} is there already", file.display()),
            "name another file, or say --force to replace it",
        ));
    }
    let mut draft = Draft::of(args)?;
    if !args.no_ask
        && let Some(mut person) = AtTerminal::find()
    {
        draft.ask(args, &own_keys(), &mut person)?;
    }
    let made = draft.token.is_none() && draft.role == Some(Role::Server) && draft.server.is_none();
    if made {
        draft.token = Some(drawn()?);
    }
    let seed = draft.seed(args)?;
    let text = seed.render();
    valid(&text)?;
    write(file, &text, args.force)?;
    if json {
        return printer.data(&format!(
            "{:#}\n",
            serde_json::json!({ "file": file, "warnings": plan::warnings(&seed) })
        ));
    }
    printer.table(&plan::rows(&seed));
    for warning in plan::warnings(&seed) {
        printer.warn(&warning);
    }
    if made {
        printer.say(
            "A token was made for the new cluster. It is in the file, and on the server once that runs.",
        );
    }
    printer.say(&format!(
        "{} is written. Next: copy it to the card's boot partition under the name {}, and put the card into the node.\n\
         It holds secrets: delete your copy when the node has joined.",
        file.display(),
        seed::FILE
    ));
    Ok(())
}

/// What is known so far of what may be asked for.
#[derive(Debug, Default)]
struct Draft {
    hostname: Option<String>,
    keys: Vec<String>,
    role: Option<Role>,
    server: Option<String>,
    token: Option<Secret>,
    wifi_password: Option<Secret>,
    identity: Option<Identity>,
}

impl Draft {
    fn of(args: &SeedNewArgs) -> Result<Self, Failure> {
        let stdin = Path::new("-");
        let both = [&args.token_file, &args.wifi_password_file];
        if both.iter().all(|file| file.as_deref() == Some(stdin)) {
            return Err(Failure::refused(
                "only one of --token-file and --wifi-password-file can be standard input",
            ));
        }
        let identity = match &args.escrow {
            None => None,
            Some(file) => {
                let named = |error: seed::SeedError| Failure::Seed(error.in_file(file.display().to_string()));
                Some(Identity::parse(&bounded(file)?).map_err(named)?)
            }
        };
        Ok(Self {
            hostname: args.hostname.clone(),
            keys: keys(&args.ssh_key)?,
            role: args.role.and_then(role),
            server: args.server.clone(),
            token: args.token_file.as_deref().map(secret).transpose()?,
            wifi_password: args.wifi_password_file.as_deref().map(secret).transpose()?,
            identity,
        })
    }

    /// Asks for what no flag said, until each answer is right.
    fn ask(
        &mut self,
        args: &SeedNewArgs,
        offers: &[PathBuf],
        person: &mut dyn Person,
    ) -> Result<(), Failure> {
        while self.hostname.is_none() && self.identity.is_none() {
            let name = person.answer("The node's name, such as nas1")?;
            let tried = Seed { hostname: Some(name.clone()), ..Seed::default() };
            match valid(&tried.render()) {
                Ok(()) => self.hostname = Some(name),
                Err(why) => person.tell(&why.to_string())?,
            }
        }
        while self.keys.is_empty() {
            for (index, offer) in offers.iter().enumerate() {
                person.tell(&format!("  {}  {}", index + 1, offer.display()))?;
            }
            let answer =
                person.answer("Who may log in: a number of this list or a .pub file (empty: nobody)")?;
            if answer.is_empty() {
                break;
            }
            let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let file = number.and_then(|index| offers.get(index)).cloned().unwrap_or_else(|| answer.into());
            match keys(&[file]) {
                Ok(keys) => self.keys = keys,
                Err(why) => person.tell(&why.to_string())?,
            }
        }
        if args.role.is_none() {
            self.role = loop {
                match person.answer("Its place in a cluster: agent, server or none (none)")?.as_str() {
                    "" | "none" => break None,
                    "agent" => break Some(Role::Agent),
                    "server" => break Some(Role::Server),
                    _ => person.tell("agent, server or none")?,
                }
            };
        }
        self.ask_cluster(person)
    }

    fn ask_cluster(&mut self, person: &mut dyn Person) -> Result<(), Failure> {
        let Some(role) = self.role else { return Ok(()) };
        while self.server.is_none() {
            let first = if role == Role::Server { " (empty: this is the first server)" } else { "" };
            let answer = person.answer(&format!("The server that it joins, https://HOST[:PORT]{first}"))?;
            if answer.is_empty() && role == Role::Server {
                break;
            }
            match seed::Endpoint::parse(&answer) {
                Ok(_) => self.server = Some(answer),
                Err(why) => person.tell(&format!("this {why}"))?,
            }
        }
        while self.token.is_none() && self.server.is_some() {
            let token = Secret::new(person.secret("The join token, the line that `hcnode token` prints")?);
            match seed::Token::parse(&token) {
                Ok(_) => self.token = Some(token),
                Err(why) => person.tell(&why.to_string())?,
            }
        }
        Ok(())
    }

    fn seed(self, args: &SeedNewArgs) -> Result<Seed, Failure> {
        let wired = args.interface.is_some() || !args.address.is_empty() || !args.dns.is_empty();
        let network = wired.then(|| Network {
            interface: args.interface.clone(),
            addresses: args.address.clone(),
            gateway: args.gateway,
            dns: args.dns.clone(),
        });
        let wifi = match (&args.wifi_ssid, &args.wifi_country) {
            (Some(ssid), Some(country)) => vec![Wifi {
                ssid: ssid.clone(),
                password: self.wifi_password,
                country: country.clone(),
                hidden: args.wifi_hidden,
            }],
            _ => Vec::new(),
        };
        let cluster = match (self.role, self.token) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Failure::with_hint(
                    "the node needs a token to join its cluster",
                    "give it with --token-file FILE, or --token-file - and standard input",
                ));
            }
            (Some(role), Some(token)) => Some(Cluster {
                role,
                server: self.server,
                token,
                allow_unpinned: args.allow_unpinned,
                labels: labels(&args.label)?,
                taints: args.taint.clone(),
                node_ip: args.node_ip,
                tls_san: args.tls_san.clone(),
                virtual_ip: args.virtual_ip,
            }),
        };
        let data = args.data_disk.clone().map(|disk| DataDisk { disk, format: args.format });
        Ok(Seed {
            hostname: self.hostname.or_else(|| self.identity.as_ref().map(|identity| identity.name.clone())),
            ssh: Ssh { authorized_keys: self.keys },
            network,
            wifi,
            time: Time { servers: args.time_server.clone() },
            data,
            cluster,
            status: StatusPage { page: args.page },
            identity: self.identity,
        })
    }
}

fn role(role: RoleArg) -> Option<Role> {
    match role {
        RoleArg::None => None,
        RoleArg::Agent => Some(Role::Agent),
        RoleArg::Server => Some(Role::Server),
    }
}

/// What the node itself would say to it.
fn valid(text: &str) -> Result<(), Failure> {
    Seed::parse(text.as_bytes()).map(|_| ()).map_err(|error| {
        // The lines are those of a file that is not there.
        let said: Vec<_> = error.problems.into_iter().map(|problem| problem.message).collect();
        Failure::refused(said.join("\n"))
    })
}

/// The public keys in these files.
fn keys(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let keys: Result<Vec<_>, Failure> = files.iter().map(|file| public_keys(file)).collect();
    Ok(keys?.concat())
}

/// The public SSH keys of a file, one a line.
///
/// # Errors
/// When it cannot be read, or holds anything else.
pub(crate) fn public_keys(file: &Path) -> Result<Vec<String>, Failure> {
    let refuse = |why: &dyn fmt::Display| Failure::refused(format!("{} {why}", file.display()));
    let text =
        String::from_utf8(bounded(file)?).map_err(|_| refuse(&"is no text: give the .pub file of a key"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    keys.iter().try_for_each(|key| seed::public_key(key)).map_err(|why| refuse(&why))?;
    if keys.is_empty() { Err(refuse(&"holds no public SSH key")) } else { Ok(keys) }
}

/// A secret, from a file or from standard input, without the line end behind it.
fn secret(file: &Path) -> Result<Secret, Failure> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let most = u64::try_from(seed::LIMIT).unwrap_or(u64::MAX);
        io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(Failure::file("read", "standard input"))?;
        bytes
    } else {
        bounded(file)?
    };
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{} is not UTF-8", file.display())))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failure::refused(format!("--label {text}: write KEY=VALUE")))
    };
    texts.iter().map(pair).collect()
}

/// The public keys of whoever runs this.
fn own_keys() -> Vec<PathBuf> {
    let Some(home) = std::env::home_dir() else { return Vec::new() };
    // A folder that is not there has none to offer; nothing is lost.
    let entries = fs::read_dir(home.join(".ssh")).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "pub"))
        .collect();
    files.sort();
    files
}

/// A token for a cluster that is still to be made: nobody can guess it, and k3s cannot take it for anything else.
fn drawn() -> Result<Secret, Failure> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let drawn = rustix::rand::getrandom(&mut bytes[filled..], flags);
        filled += drawn.map_err(|error| Failure::file("read", "the kernel's random source")(error.into()))?;
    }
    Ok(Secret::new(hex::encode(bytes)))
}

/// Readable by its owner alone; whole or not at all.
fn write(file: &Path, text: &str, replace: bool) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |source: io::Error| Failure::file("write", file)(source);
    let mut draft = tempfile::Builder::new().prefix(".hcimage-").tempfile_in(folder).map_err(cannot)?;
    draft.write_all(text.as_bytes()).map_err(cannot)?;
    draft.as_file().sync_all().map_err(cannot)?;
    let done = if replace { draft.persist(file) } else { draft.persist_noclobber(file) };
    done.map(|_| ()).map_err(|error| cannot(error.error))
}

#[cfg(test)]
mod tests;
