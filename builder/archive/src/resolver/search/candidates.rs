//! What could meet a requirement, and what is against what.

use super::{Origin, Place, Requirement, Search, show};
use crate::{
    packages::{MultiArch, Package},
    relation::{self, Alternatives, Relation},
    resolver::ResolveError,
    version::Version,
};
use std::collections::BTreeSet;

impl<'q> Search<'q> {
    /// Conflicts and Breaks of `package` that count on our architecture, with the verb for each.
    pub(super) fn enemies(
        &self,
        package: &Package<'q>,
    ) -> Result<Vec<(&'static str, Relation<'q>)>, ResolveError> {
        let mut enemies = Vec::new();
        for (verb, name, field) in
            [("conflicts with", "Conflicts", package.conflicts), ("breaks", "Breaks", package.breaks)]
        {
            let relations = parsed(package, name, field)?.into_iter().flatten();
            enemies.extend(relations.filter(|r| self.is_ours(r)).map(|relation| (verb, relation)));
        }
        Ok(enemies)
    }

    /// Whether the relation can be about packages of our architecture.
    pub(super) fn is_ours(&self, relation: &Relation<'_>) -> bool {
        let ours = relation.qualifier.is_none_or(|q| q == "any" || q == "native" || q == self.catalog.arch());
        ours && relation.applies_to(self.catalog.arch())
    }

    /// Whether `place`, in `version` (its own or a provided one), meets a positive relation.
    pub(super) fn meets(&self, place: Place, version: Option<Version<'_>>, relation: &Relation<'_>) -> bool {
        let allowed = self.catalog.packages()[place].multi_arch == MultiArch::Allowed;
        self.is_ours(relation) && (relation.qualifier != Some("any") || allowed) && relation.admits(version)
    }

    pub(super) fn is_met(&self, group: &[Relation<'_>]) -> bool {
        group.iter().any(|relation| {
            let version = |place: Place| Some(self.catalog.packages()[place].version);
            let real = self.taken.get(relation.name).map(|taken| taken.place);
            let provided = self.provided.get(relation.name).map_or(&[][..], Vec::as_slice);
            real.is_some_and(|place| self.meets(place, version(place), relation))
                || provided.iter().any(|(place, version)| self.meets(*place, *version, relation))
        })
    }

    /// All packages that could meet the requirement, the best first: what the old lock has, then candidates in
    /// the order of the alternatives (a real package before those that provide it), then other versions.
    pub(super) fn options(&self, requirement: &Requirement<'q>) -> Vec<Place> {
        let mut all = Vec::new();
        for relation in &requirement.group {
            let mut real: Vec<_> = self.catalog.range(relation.name).collect();
            real.retain(|place| self.meets(*place, Some(self.catalog.packages()[*place].version), relation));
            let mut provided = self.admissible_providers(relation);
            if requirement.origin == Origin::Root && (!real.is_empty() || self.names(&provided).len() > 1) {
                provided.clear();
            }
            all.append(&mut real);
            all.append(&mut provided);
        }
        // Stable: within each class the order stays.
        all.sort_by_key(|place| {
            let package = &self.catalog.packages()[*place];
            let kept = self.request.keep.get(package.name).is_some_and(|v| v == package.version.as_str());
            match (kept, self.is_candidate(*place)) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            }
        });
        let mut seen = BTreeSet::new();
        all.retain(|place| seen.insert(*place));
        all
    }

    pub(super) fn admissible_providers(&self, relation: &Relation<'q>) -> Vec<Place> {
        let providers = self.catalog.provider_places(relation.name).iter();
        let mut places: Vec<_> = providers
            .filter(|(place, version)| self.meets(*place, *version, relation))
            .map(|(place, _)| *place)
            .collect();
        places.sort_by_key(|place| {
            let package = &self.catalog.packages()[*place];
            (!package.essential, package.priority, *place)
        });
        places
    }

    pub(super) fn names(&self, places: &[Place]) -> BTreeSet<&'q str> {
        places.iter().map(|place| self.catalog.packages()[*place].name).collect()
    }

    pub(super) fn is_candidate(&self, place: Place) -> bool {
        place == 0 || self.catalog.packages()[place - 1].name != self.catalog.packages()[place].name
    }
}

pub(super) fn parsed<'q>(
    package: &Package<'q>,
    field: &'static str,
    text: &'q str,
) -> Result<Vec<Alternatives<'q>>, ResolveError> {
    relation::parse(text).map_err(|source| ResolveError::Relation { package: show(package), field, source })
}

pub(super) fn provides<'q>(
    package: &Package<'q>,
) -> Result<Vec<(&'q str, Option<Version<'q>>)>, ResolveError> {
    let failed = |source| ResolveError::Relation { package: show(package), field: "Provides", source };
    relation::parse_provides(package.provides).map_err(failed)
}
