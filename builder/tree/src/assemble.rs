//! The whole way from packages to a tree, one step after the other.

use crate::{
    Contents, Diversion, DropRules, Dropped, ImagePath, MergeError, Origin, Overlay, OverlayError, Package,
    Tree,
    effects::{
        EffectError, Hand,
        accounts::{Accounts, Group, Id, Ids, Ledger, Needed, User},
        alternatives, certificates, frame, hwdb,
        identity::{self, Identity},
        nss, pam, recipes, shells, status, tmpfiles, units,
    },
    merge,
    recipe::{self, Action, Alternative, Asked, Declared, Line, Recipe, Uncovered, coverage},
};
use contract::Epoch;
use std::collections::BTreeSet;

/// Everything that a tree is made of.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// The packages of the lock; their order does not matter.
    pub packages: Vec<Package>,
    /// The profile's overlays, in its order.
    pub overlays: Vec<Overlay>,
    /// All recipes that may apply: [`recipe::embedded`] and the overlays'.
    pub recipes: Vec<Recipe>,
    /// The lock's ids.
    pub ledger: Ledger,
    /// What is not wanted of the packages.
    pub drop: DropRules,
    /// The image's names.
    pub identity: Identity,
    /// The moment of the build.
    pub epoch: Epoch,
}

/// A tree, and how it came about.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The root file system. Not frozen: the build adds modules' indexes and the linker's cache.
    pub tree: Tree,
    /// What each drop rule took out.
    pub dropped: Vec<Dropped>,
    /// How each script is covered.
    pub coverage: Vec<Line>,
    /// What was deliberately not done, sorted: `package: reason`.
    pub notes: Vec<String>,
    /// Names to numbers.
    pub ids: Ids,
}

/// The steps, in order, for a progress report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Maintainer scripts are read.
    Scripts,
    /// Packages are merged.
    Merge,
    /// Users, groups, recipes and overlays.
    Overlays,
    /// Everything else.
    Effects,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// Scripts or triggers that nothing covers.
    #[error(transparent)]
    Uncovered(#[from] Uncovered),
    /// Packages do not fit together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// An overlay does not fit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// An effect cannot be had.
    #[error(transparent)]
    Effect(#[from] EffectError),
}

/// Makes the tree.
///
/// # Errors
/// When a script is not covered, packages or overlays do not fit together, or an effect cannot be had.
pub fn assemble(
    assembly: &Assembly,
    contents: &dyn Contents,
    report: &mut dyn FnMut(Step),
) -> Result<Assembled, AssembleError> {
    let Assembly { packages, overlays, ledger, identity, epoch, .. } = assembly;
    report(Step::Scripts);
    let (lines, asked) = covered(assembly)?;
    let wishes = Wishes::of(&asked, overlays);

    report(Step::Merge);
    let (mut tree, dropped) = merge(packages, &wishes.diversions, &assembly.drop)?;
    frame::apply(&mut tree)?;

    report(Step::Overlays);
    let accounts = wishes.accounts(&mut tree, contents)?;
    let ids = accounts.ids(ledger)?;
    wishes.small_files(&mut tree, contents)?;
    recipes::apply(&mut tree, contents, &asked.scripts, &ids)?;
    for overlay in overlays {
        overlay.lay(&mut tree, contents, &ids)?;
    }

    report(Step::Effects);
    accounts.write(&mut tree, contents, &ids, *epoch)?;
    tmpfiles::apply(&mut tree, contents, &ids)?;
    alternatives::apply(&mut tree, contents, &wishes.alternatives)?;
    nss::apply(&mut tree, contents, &wishes.nss)?;
    shells::apply(&mut tree, contents, &wishes.shells)?;
    pam::apply(&mut tree, contents)?;
    certificates::apply(&mut tree, contents)?;
    units::apply(&mut tree, contents, &wishes.units)?;
    hwdb::apply(&mut tree, contents)?;
    status::apply(&mut tree, contents, packages)?;
    identity::apply(&mut tree, contents, identity)?;
    frame::move_var(&mut tree)?;
    Ok(Assembled { tree, dropped, coverage: lines, notes: wishes.notes.into_iter().collect(), ids })
}

/// The users and groups for which the lock must have ids: what `hcimage lock` gives to
/// [`crate::effects::accounts::allocate`].
///
/// # Errors
/// As [`assemble`], whose first steps it takes.
pub fn needed(assembly: &Assembly, contents: &dyn Contents) -> Result<Needed, AssembleError> {
    let (_, asked) = covered(assembly)?;
    let wishes = Wishes::of(&asked, &assembly.overlays);
    let (mut tree, _) = merge(&assembly.packages, &wishes.diversions, &DropRules::default())?;
    Ok(wishes.accounts(&mut tree, contents)?.needed()?)
}

fn covered(assembly: &Assembly) -> Result<(Vec<Line>, Asked<'_>), Uncovered> {
    let (lines, asked) = coverage(&assembly.packages, &assembly.recipes);
    Uncovered::none_in(&lines, &assembly.packages)?;
    Ok((lines, asked))
}

/// What scripts and overlays ask for, sorted by effect.
#[derive(Default)]
struct Wishes {
    diversions: Vec<Diversion>,
    users: Vec<(String, recipe::User)>,
    groups: Vec<(String, String)>,
    members: Vec<(String, recipe::Member)>,
    alternatives: Vec<(String, Alternative)>,
    nss: Vec<nss::Service>,
    shells: Vec<ImagePath>,
    units: units::Wishes,
    directories: Vec<String>,
    empty_files: Vec<String>,
    notes: BTreeSet<String>,
}

impl Wishes {
    fn of(asked: &Asked<'_>, overlays: &[Overlay]) -> Self {
        let mut wishes = Self::default();
        for (package, declared) in &asked.declared {
            wishes.declared(package, declared);
        }
        for (package, script) in &asked.scripts {
            for action in &script.actions {
                wishes.action(package, action);
            }
        }
        for overlay in overlays {
            let by = format!("overlay {}", overlay.name);
            let named =
                |units: &[String]| units.iter().map(|unit| (unit.clone(), by.clone())).collect::<Vec<_>>();
            wishes.units.enable.extend(named(&overlay.enable));
            wishes.units.disable.extend(named(&overlay.disable));
            wishes.units.mask.extend(named(&overlay.mask));
            wishes.users.extend(overlay.users.iter().map(|user| (by.clone(), user.clone())));
        }
        wishes
    }

    fn declared(&mut self, package: &str, declared: &Declared) {
        match declared.clone() {
            Declared::Enable(unit) => self.units.preset.push((unit, package.to_owned())),
            Declared::EnableForUsers(unit) => self.units.preset_for_users.push((unit, package.to_owned())),
            Declared::Alternative(alternative) => self.alternatives.push((package.to_owned(), alternative)),
            Declared::Nss { database, service, position } => {
                self.nss.push(nss::Service { database, service, position });
            }
            Declared::LocalDirectory(path) => self.directories.push(path),
            Declared::EmptyFile(path) => self.empty_files.push(path),
            Declared::Waived(why) => drop(self.notes.insert(format!("{package}: {why}"))),
            // Settled when the block was read.
            Declared::OnlyUpgraded(_) => {}
        }
    }

    fn action(&mut self, package: &str, action: &Action) {
        let by = format!("recipe {package}");
        match action.clone() {
            Action::User(user) => self.users.push((by, user)),
            Action::Group(group) => self.groups.push((by, group.name)),
            Action::Member(member) => self.members.push((by, member)),
            Action::Alternative(alternative) => self.alternatives.push((by, alternative)),
            Action::Divert(divert) => {
                self.diversions.push(Diversion { by: package.to_owned(), path: divert.path, to: divert.to });
            }
            Action::Shell(path) => self.shells.push(path),
            Action::Enable(unit) => self.units.preset.push((unit, by)),
            // Steps that change files: the effect `recipes`.
            Action::Copy(_)
            | Action::File(_)
            | Action::Directory(_)
            | Action::Symlink(_)
            | Action::Remove(_)
            | Action::Owner(_) => {}
        }
    }

    fn accounts(&self, tree: &mut Tree, contents: &dyn Contents) -> Result<Accounts, EffectError> {
        let mut accounts = Accounts::default();
        accounts.read(tree, contents)?;
        for (by, name) in &self.groups {
            accounts.group(Group { name: name.clone(), id: Id::Ledger, by: by.clone() });
        }
        for (by, user) in &self.users {
            accounts.user(User {
                name: user.name.clone(),
                id: Id::Ledger,
                group: user.group.clone().unwrap_or_else(|| user.name.clone()),
                gecos: user.gecos.clone(),
                home: user.home.clone(),
                shell: user.shell.clone(),
                closed: false,
                by: by.clone(),
            });
            for group in &user.groups {
                accounts.member(&user.name, group, by);
            }
        }
        for (by, member) in &self.members {
            accounts.member(&member.user, &member.group, by);
        }
        Ok(accounts)
    }

    /// Directories and empty files that generated blocks make.
    fn small_files(&self, tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
        let hand = Hand::new(tree, contents, "debhelper");
        let origin = Origin::Effect("debhelper".to_owned());
        for path in &self.directories {
            let path = hand.path(path)?;
            if hand.tree.get(&path).is_none() {
                let node = crate::Node::directory(0o755, origin.clone());
                hand.tree.insert(&path, node).map_err(|source| hand.refused(source))?;
            }
        }
        for path in &self.empty_files {
            let path = hand.path(path)?;
            if hand.tree.get(&path).is_none() {
                let node = crate::Node::file(crate::Content::bytes(Vec::new()), 0o644, origin.clone());
                hand.tree.insert(&path, node).map_err(|source| hand.refused(source))?;
            }
        }
        Ok(())
    }
}
