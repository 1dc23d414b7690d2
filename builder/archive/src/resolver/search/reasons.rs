//! Why something cannot be taken, and why something was.

use super::{Frame, Origin, Place, Search, Taken, candidates::provides, show};
use crate::{
    relation::{self, Relation},
    resolver::{DeadEnd, Fallen, ResolveError, Why, explain::similar},
};
use std::sync::Arc;

impl Search<'_> {
    /// Why `place` cannot be taken now, and which frames are to blame (none: it never can).
    pub(super) fn obstacle(&self, place: Place) -> Result<Option<(Fallen, Vec<usize>)>, ResolveError> {
        let package = &self.catalog.packages()[place];
        if self.request.exclude.contains(package.name) {
            return Ok(Some((Fallen::Excluded { package: package.name.to_owned() }, Vec::new())));
        }
        if let Some(taken) = self.taken.get(package.name) {
            let fallen =
                Fallen::OtherVersion { package: show(package), chosen: self.with_chain(taken.place) };
            return Ok(Some((fallen, vec![taken.frame])));
        }
        let provides = provides(package)?;
        for (verb, relation) in self.enemies(package)? {
            if let Some(enemy) = self.taken_match(&relation, package.name) {
                let conflict = format!(
                    "{} {verb} `{relation}`, and {} is chosen",
                    show(package),
                    self.with_chain(enemy.place)
                );
                return Ok(Some((Fallen::Conflict { package: show(package), conflict }, vec![enemy.frame])));
            }
        }
        let own = std::iter::once((package.name, Some(package.version)));
        for (name, version) in own.chain(provides) {
            for (enemy, verb, relation) in self.against.get(name).into_iter().flatten() {
                let enemy_package = &self.catalog.packages()[*enemy];
                if relation.admits(version) && enemy_package.name != package.name {
                    let enemy_name = self.with_chain(*enemy);
                    let conflict = format!("{enemy_name} {verb} `{relation}`, which is {}", show(package));
                    let frame = self.taken.get(enemy_package.name).map(|taken| taken.frame);
                    return Ok(Some((
                        Fallen::Conflict { package: show(package), conflict },
                        frame.into_iter().collect(),
                    )));
                }
            }
        }
        Ok(self.learned_obstacle(place))
    }

    /// A set of packages that was found impossible before, of which all but `place` are taken.
    pub(super) fn learned_obstacle(&self, place: Place) -> Option<(Fallen, Vec<usize>)> {
        let taken = |member: &Place| {
            let taken = self.taken.get(self.catalog.packages()[*member].name);
            taken.filter(|taken| taken.place == *member).map(|taken| taken.frame)
        };
        self.nogoods_of.get(&place)?.iter().map(|index| &self.nogoods[*index]).find_map(|nogood| {
            let others = nogood.members.iter().filter(|member| **member != place);
            let frames: Vec<_> = others.map(taken).collect::<Option<_>>()?;
            let package = show(&self.catalog.packages()[place]);
            Some((Fallen::Leads { package, to: Arc::clone(&nogood.dead_end) }, frames))
        })
    }

    /// A taken package, other than `except`, that a negative relation is about.
    pub(super) fn taken_match(&self, relation: &Relation<'_>, except: &str) -> Option<Taken> {
        let real = self.taken.get(relation.name).map(|taken| (taken.place, None)).into_iter();
        let provided =
            self.provided.get(relation.name).into_iter().flatten().copied().map(|(p, v)| (p, Some(v)));
        real.chain(provided).find_map(|(place, provided)| {
            let package = &self.catalog.packages()[place];
            let version = provided.unwrap_or(Some(package.version));
            let hit = package.name != except && relation.admits(version);
            hit.then(|| self.taken.get(package.name).copied()).flatten()
        })
    }
}

/// What is said about the search.
impl Search<'_> {
    pub(super) fn why(&self, requirement: usize) -> Why {
        let requirement = &self.requirements[requirement];
        match (requirement.origin, requirement.owner) {
            (Origin::Field(kind), Some(owner)) => Why::Needed {
                by: self.catalog.packages()[owner].name.to_owned(),
                kind,
                relation: relation::show(&requirement.group),
            },
            (Origin::Essential, _) => Why::Essential,
            _ => Why::Root,
        }
    }

    /// The packages that need `place`, from itself up to a root.
    pub(super) fn chain(&self, place: Place) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = Some(place);
        while let Some(place) = next {
            let package = &self.catalog.packages()[place];
            chain.push(show(package));
            let taken = self.taken.get(package.name);
            next = taken.and_then(|taken| self.requirements[taken.requirement].owner);
        }
        chain
    }

    /// A taken package and who needs it.
    pub(super) fn with_chain(&self, place: Place) -> String {
        let chain = self.chain(place);
        match chain.split_first() {
            Some((package, [])) => format!("{package} (asked for)"),
            Some((package, above)) => format!("{package} (needed by {})", above.join(" <- ")),
            None => String::new(),
        }
    }

    pub(super) fn dead_end(&self, frame: &mut Frame) -> DeadEnd {
        let requirement = &self.requirements[frame.requirement];
        let mut fallen = Vec::new();
        for relation in &requirement.group {
            fallen.extend(self.without_candidate(relation, requirement.origin));
        }
        fallen.append(&mut frame.fallen);
        let need = match requirement.origin {
            Origin::Field(need) => Some(need),
            _ => None,
        };
        let needed_by = requirement.owner.map_or_else(Vec::new, |place| self.chain(place));
        DeadEnd { relation: relation::show(&requirement.group), needed_by, need, fallen }
    }

    /// Why an alternative has no candidate at all, if it has none.
    pub(super) fn without_candidate(&self, relation: &Relation<'_>, origin: Origin) -> Option<Fallen> {
        let packages = self.catalog.packages();
        let real: Vec<_> = self.catalog.range(relation.name).collect();
        let providers = self.catalog.provider_places(relation.name);
        if real.iter().any(|place| self.meets(*place, Some(packages[*place].version), relation)) {
            return None;
        }
        let providing: Vec<_> =
            providers.iter().filter(|(p, v)| self.meets(*p, *v, relation)).map(|(place, _)| *place).collect();
        if real.is_empty() && providers.is_empty() {
            let similar = similar(relation.name, packages.iter().map(|package| package.name));
            return Some(Fallen::Unknown { name: relation.name.to_owned(), similar });
        }
        if !providing.is_empty() {
            let names = self.names(&providing);
            let several = origin == Origin::Root && names.len() > 1;
            let providers = names.into_iter().map(str::to_owned).collect();
            return several.then(|| Fallen::Virtual { name: relation.name.to_owned(), providers });
        }
        let foreign = |place: &Place| relation.admits(Some(packages[*place].version));
        if real.iter().any(foreign) {
            return Some(Fallen::OtherArch { relation: relation.to_string() });
        }
        let mut available: Vec<_> =
            real.iter().map(|p| format!("{} has {}", packages[*p].suite, show(&packages[*p]))).collect();
        available.extend(providers.iter().map(|(place, version)| {
            let version =
                version.map_or_else(|| "without a version".to_owned(), |v| format!("in version {v}"));
            format!("{} provides `{}` {version}", show(&packages[*place]), relation.name)
        }));
        available.truncate(6);
        Some(Fallen::WrongVersion { available })
    }
}
