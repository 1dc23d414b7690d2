//! `/etc/passwd`, `group`, `shadow` and `gshadow`: base-passwd's masters, every package's `sysusers.d`, and the
//! users of recipes and overlays. Ids that no file fixes come from a ledger in the lock and nowhere else.

use super::{EffectError, Hand, sysusers};
use crate::{Contents, Tree, suggest};
use contract::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// Highest id that the ledger gives out: the end of Debian's range for system accounts.
const LAST_SYSTEM_ID: u32 = 999;
/// Lowest: below are the ids that are the same on every Debian.
const FIRST_SYSTEM_ID: u32 = 100;

/// Which name has which id, for ever: the lock keeps it, and names are never taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Users by name.
    #[serde(default)]
    pub users: BTreeMap<String, u32>,
    /// Groups by name.
    #[serde(default)]
    pub groups: BTreeMap<String, u32>,
}

/// A user or group that a build needs and whose id nothing fixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Names of users.
    pub users: BTreeSet<String>,
    /// Names of groups.
    pub groups: BTreeSet<String>,
    /// Ids that packages fix, which must not be given out.
    pub taken: BTreeSet<u32>,
}

/// Names that a build needs and that the ledger does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock has no ids for {}: run `hcimage lock`", list(.users, .groups))]
pub struct MissingIds {
    /// Users without an id.
    pub users: Vec<String>,
    /// Groups without an id.
    pub groups: Vec<String>,
}

/// The range of ids is used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no id from 100 to 999 is left for `{0}`: the ledger never gives one back")]
pub struct NoIdLeft(pub String);

fn list(users: &[String], groups: &[String]) -> String {
    let named =
        |what: &str, names: &[String]| names.iter().map(|name| format!("{what} {name}")).collect::<Vec<_>>();
    let all: Vec<String> = [named("user", users), named("group", groups)].concat();
    all.join(", ")
}

/// Gives each name of `needed` that has none an id: the highest one that no name has or ever had. A user and
/// its group of the same name get the same one.
///
/// # Errors
/// When the range is used up.
pub fn allocate(needed: &Needed, ledger: &mut Ledger) -> Result<(), NoIdLeft> {
    let names: BTreeSet<&String> = needed.users.iter().chain(&needed.groups).collect();
    let mut used: BTreeSet<u32> = needed.taken.clone();
    used.extend(ledger.users.values().chain(ledger.groups.values()));
    for name in names {
        let wants_user = needed.users.contains(name) && !ledger.users.contains_key(name);
        let wants_group = needed.groups.contains(name) && !ledger.groups.contains_key(name);
        if !wants_user && !wants_group {
            continue;
        }
        let free = (FIRST_SYSTEM_ID..=LAST_SYSTEM_ID).rev().find(|id| !used.contains(id));
        let id = free.ok_or_else(|| NoIdLeft(name.clone()))?;
        used.insert(id);
        if wants_user {
            ledger.users.insert(name.clone(), id);
        }
        if wants_group {
            ledger.groups.insert(name.clone(), id);
        }
    }
    Ok(())
}

/// How an account's id is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// The same everywhere.
    Fixed(u32),
    /// From the ledger.
    Ledger,
}

/// A user as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Id,
    /// Its primary group: a name, or an id.
    pub group: String,
    /// Its description.
    pub gecos: String,
    /// Its home directory.
    pub home: String,
    /// Its shell.
    pub shell: String,
    /// Whether not even a key opens it: `!` before the password, and the account expired.
    pub closed: bool,
    /// Who declares it.
    pub by: String,
}

/// A group as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Id,
    /// Who declares it.
    pub by: String,
}

/// All accounts of an image, as declared. The first declaration of a name holds, as in systemd-sysusers.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
    members: Vec<(String, String, String)>,
}

/// Accounts with their ids: names to numbers, for owners of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Users.
    pub users: BTreeMap<String, u32>,
    /// Groups.
    pub groups: BTreeMap<String, u32>,
}

impl Ids {
    /// The id of the user `name` (or the number that it is), which `by` names.
    ///
    /// # Errors
    /// When there is none.
    pub fn user(&self, name: &str, by: &str) -> Result<u32, EffectError> {
        find(&self.users, "user", name, by)
    }

    /// The id of the group `name` (or the number that it is), which `by` names.
    ///
    /// # Errors
    /// When there is none.
    pub fn group(&self, name: &str, by: &str) -> Result<u32, EffectError> {
        find(&self.groups, "group", name, by)
    }
}

fn find(ids: &BTreeMap<String, u32>, what: &'static str, name: &str, by: &str) -> Result<u32, EffectError> {
    if let Some(id) = ids.get(name).copied().or_else(|| name.parse().ok()) {
        return Ok(id);
    }
    let hint = suggest::did_you_mean(name, ids.keys().map(String::as_str));
    Err(EffectError::Unknown { by: by.to_owned(), what, name: name.to_owned(), hint })
}

impl Accounts {
    /// Adds a user, unless the name is taken; its own group too, unless that is.
    pub fn user(&mut self, user: User) {
        if self.users.iter().any(|known| known.name == user.name) {
            return;
        }
        if user.group == user.name {
            self.group(Group { name: user.name.clone(), id: user.id, by: user.by.clone() });
        }
        self.users.push(user);
    }

    /// Adds a group, unless the name is taken.
    pub fn group(&mut self, group: Group) {
        if !self.groups.iter().any(|known| known.name == group.name) {
            self.groups.push(group);
        }
    }

    /// Makes a user a member of a group.
    pub fn member(&mut self, user: &str, group: &str, by: &str) {
        let member = (group.to_owned(), user.to_owned(), by.to_owned());
        if !self.members.iter().any(|(group, user, _)| *group == member.0 && *user == member.1) {
            self.members.push(member);
        }
    }

    /// Reads what the packages declare: base-passwd's masters first, then `sysusers.d`.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn read(&mut self, tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
        let hand = Hand::new(tree, contents, "accounts");
        self.master(&hand)?;
        sysusers::read(self, &hand)
    }

    fn master(&mut self, hand: &Hand<'_>) -> Result<(), EffectError> {
        let by = "base-passwd";
        for line in hand.text("/usr/share/base-passwd/group.master")?.unwrap_or_default().lines() {
            if let [name, _, id, members] = line.split(':').collect::<Vec<_>>()[..] {
                let id = id.parse().map_err(|_| master_line("group.master", line))?;
                self.group(Group { name: name.into(), id: Id::Fixed(id), by: by.into() });
                for member in members.split(',').filter(|member| !member.is_empty()) {
                    self.member(member, name, by);
                }
            }
        }
        for line in hand.text("/usr/share/base-passwd/passwd.master")?.unwrap_or_default().lines() {
            if let [name, _, id, group, gecos, home, shell] = line.split(':').collect::<Vec<_>>()[..] {
                self.user(User {
                    name: name.into(),
                    id: Id::Fixed(id.parse().map_err(|_| master_line("passwd.master", line))?),
                    group: group.into(),
                    gecos: gecos.into(),
                    home: home.into(),
                    shell: shell.into(),
                    closed: false,
                    by: by.into(),
                });
            }
        }
        Ok(())
    }

    /// The names whose ids only the ledger can give, and the ids that are not free.
    ///
    /// # Errors
    /// When two names have one fixed id, which no ledger can mend.
    pub fn needed(&self) -> Result<Needed, EffectError> {
        let mut needed = Needed::default();
        let mut fixed = Ids::default();
        for user in &self.users {
            match user.id {
                Id::Ledger => drop(needed.users.insert(user.name.clone())),
                Id::Fixed(id) => drop(fixed.users.insert(user.name.clone(), id)),
            }
        }
        for group in &self.groups {
            match group.id {
                Id::Ledger => drop(needed.groups.insert(group.name.clone())),
                Id::Fixed(id) => drop(fixed.groups.insert(group.name.clone(), id)),
            }
        }
        unique("user", &fixed.users)?;
        unique("group", &fixed.groups)?;
        needed.taken = fixed.users.into_values().chain(fixed.groups.into_values()).collect();
        Ok(needed)
    }

    /// Names to numbers.
    ///
    /// # Errors
    /// When the ledger lacks a name, or two names would have one id.
    pub fn ids(&self, ledger: &Ledger) -> Result<Ids, EffectError> {
        let mut missing = MissingIds { users: Vec::new(), groups: Vec::new() };
        let mut ids = Ids::default();
        for user in &self.users {
            match number(user.id, &user.name, &ledger.users) {
                Some(id) => drop(ids.users.insert(user.name.clone(), id)),
                None => missing.users.push(user.name.clone()),
            }
        }
        for group in &self.groups {
            match number(group.id, &group.name, &ledger.groups) {
                Some(id) => drop(ids.groups.insert(group.name.clone(), id)),
                None => missing.groups.push(group.name.clone()),
            }
        }
        if !missing.users.is_empty() || !missing.groups.is_empty() {
            return Err(missing.into());
        }
        unique("user", &ids.users)?;
        unique("group", &ids.groups)?;
        Ok(ids)
    }

    /// Writes the four files.
    ///
    /// # Errors
    /// When an id is missing, or a group or member is unknown.
    pub fn write(
        &self,
        tree: &mut Tree,
        contents: &dyn Contents,
        ids: &Ids,
        epoch: Epoch,
    ) -> Result<(), EffectError> {
        let mut hand = Hand::new(tree, contents, "accounts");
        let (mut passwd, mut shadow) = (String::new(), String::new());
        // When the password last changed, in days: shadow(5). A fixed day, so that it is never "now".
        let day = epoch.0.div_euclid(86_400);
        for user in &self.users {
            let User { name, gecos, home, shell, by, .. } = user;
            let (uid, gid) = (ids.user(name, by)?, ids.group(&user.group, by)?);
            passwd.push_str(&format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n"));
            // No password fits any of these; `!` says besides that the account is locked.
            let (password, expires) = match (user.closed, name.as_str()) {
                (true, _) => ("!*", "1"),
                (false, "root") => ("!*", ""),
                (false, _) => ("*", ""),
            };
            shadow.push_str(&format!("{name}:{password}:{day}:0:99999:7::{expires}:\n"));
        }
        let (mut group_file, mut gshadow) = (String::new(), String::new());
        for (group, user, by) in &self.members {
            ids.group(group, by)?;
            ids.user(user, by)?;
        }
        for Group { name, .. } in &self.groups {
            let members: Vec<&str> = self
                .members
                .iter()
                .filter(|(group, ..)| group == name)
                .map(|(_, user, _)| user.as_str())
                .collect();
            let (gid, members) = (ids.groups[name], members.join(","));
            group_file.push_str(&format!("{name}:x:{gid}:{members}\n"));
            gshadow.push_str(&format!("{name}:*::{members}\n"));
        }
        hand.write("/etc/passwd", passwd, 0o644)?;
        hand.write("/etc/group", group_file, 0o644)?;
        let shadow_group = ids.group("shadow", "accounts")?;
        for (path, text) in [("/etc/shadow", shadow), ("/etc/gshadow", gshadow)] {
            hand.write(path, text, 0o640)?;
            let path = hand.path(path)?;
            if let Some(node) = hand.tree.get_mut(&path) {
                node.gid = shadow_group;
            }
        }
        Ok(())
    }
}

fn master_line(file: &str, line: &str) -> EffectError {
    let by = format!("/usr/share/base-passwd/{file}");
    EffectError::Unknown { by, what: "number in the line", name: line.to_owned(), hint: String::new() }
}

fn number(id: Id, name: &str, ledger: &BTreeMap<String, u32>) -> Option<u32> {
    match id {
        Id::Fixed(id) => Some(id),
        Id::Ledger => ledger.get(name).copied(),
    }
}

fn unique(what: &'static str, ids: &BTreeMap<String, u32>) -> Result<(), EffectError> {
    let mut names: BTreeMap<u32, &String> = BTreeMap::new();
    for (name, id) in ids {
        if let Some(other) = names.insert(*id, name) {
            let (first, second) = (format!("has id {id}"), format!("`{other}` has it too"));
            return Err(EffectError::Clash { what, name: name.clone(), first, second });
        }
    }
    Ok(())
}
