//! The search: requirements in three queues, one frame per choice, backjumping over frames.

use super::{DeadEnd, Fallen, Need, Request, ResolveError, Why, explain::similar};
use crate::{
    packages::{Catalog, MultiArch, Package},
    relation::{self, Alternatives, Operator, Relation},
    version::Version,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many packages a search may try. Debian's largest metapackages need some ten thousand.
const MOST_STEPS: usize = 200_000;

/// The place of a package in [`Catalog::packages`].
type Place = usize;

struct Requirement<'q> {
    /// The package that requires it; `None` for roots and Essential packages.
    owner: Option<Place>,
    origin: Origin,
    group: Alternatives<'q>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Root,
    Essential,
    Field(Need),
}

/// A list that is read from the front and cut at the back when the search goes back.
#[derive(Default)]
struct Queue {
    items: Vec<usize>,
    head: usize,
}

/// The state of the queues when a frame began.
#[derive(Clone, Copy)]
struct Mark {
    requirements: usize,
    queues: [(usize, usize); 3],
}

/// One choice: a requirement that was not met, and the package that was taken for it.
struct Frame {
    requirement: usize,
    mark: Mark,
    options: Vec<Place>,
    next: usize,
    taken: Option<Place>,
    /// Earlier frames that are to blame for the options that fell.
    blame: BTreeSet<usize>,
    fallen: Vec<Fallen>,
}

#[derive(Clone, Copy)]
struct Taken {
    place: Place,
    frame: usize,
    requirement: usize,
}

/// Packages that cannot be chosen together, learned from a dead end.
struct Nogood {
    members: Vec<Place>,
    dead_end: Arc<DeadEnd>,
}

/// A set of more packages than this hardly comes about again: not worth the memory.
const LARGEST_NOGOOD: usize = 16;

struct Search<'q> {
    catalog: &'q Catalog<'q>,
    request: &'q Request,
    requirements: Vec<Requirement<'q>>,
    /// Requirements with one way to meet them, with several, and Recommends; served in this order.
    queues: [Queue; 3],
    frames: Vec<Frame>,
    taken: BTreeMap<&'q str, Taken>,
    /// Names that taken packages provide.
    provided: BTreeMap<&'q str, Vec<(Place, Option<Version<'q>>)>>,
    /// Conflicts and Breaks of taken packages, by the name that they are against.
    against: BTreeMap<&'q str, Vec<(Place, &'static str, Relation<'q>)>>,
    nogoods: Vec<Nogood>,
    /// Package -> places in `nogoods` of the sets that it is in.
    nogoods_of: BTreeMap<Place, Vec<usize>>,
    steps: usize,
}

pub(super) fn search(catalog: &Catalog<'_>, request: &Request) -> Result<Vec<(Place, Why)>, ResolveError> {
    let mut search = Search {
        catalog,
        request,
        requirements: Vec::new(),
        queues: Default::default(),
        frames: Vec::new(),
        taken: BTreeMap::new(),
        provided: BTreeMap::new(),
        against: BTreeMap::new(),
        nogoods: Vec::new(),
        nogoods_of: BTreeMap::new(),
        steps: 0,
    };
    for root in &request.roots {
        search.require(None, Origin::Root, vec![parse_root(root)?]);
    }
    let essential = |p: &&Package<'_>| p.essential && !request.exclude.contains(p.name);
    let mut last = "";
    for package in catalog.packages().iter().filter(essential) {
        // An older version may be Essential where the candidate no longer is.
        if package.name != last && catalog.candidate(package.name).is_some_and(|p| p.essential) {
            let relation =
                Relation { name: package.name, qualifier: None, version: None, restrictions: Vec::new() };
            search.require(None, Origin::Essential, vec![relation]);
        }
        last = package.name;
    }
    search.run()?;
    Ok(search.taken.values().map(|taken| (taken.place, search.why(taken.requirement))).collect())
}

fn parse_root(root: &str) -> Result<Relation<'_>, ResolveError> {
    let (name, version) = root.split_once('=').map_or((root, None), |(name, version)| (name, Some(version)));
    let version = version.map(Version::parse).transpose();
    let version = version.map_err(|fault| ResolveError::Root { root: root.to_owned(), fault })?;
    Ok(Relation {
        name,
        qualifier: None,
        version: version.map(|v| (Operator::Equal, v)),
        restrictions: Vec::new(),
    })
}

impl<'q> Search<'q> {
    fn run(&mut self) -> Result<(), ResolveError> {
        while let Some(requirement) = self.queues.iter_mut().find_map(Queue::take) {
            if self.is_met(&self.requirements[requirement].group) {
                continue;
            }
            let options = self.options(&self.requirements[requirement]);
            self.frames.push(Frame {
                requirement,
                mark: self.mark(),
                options,
                next: 0,
                taken: None,
                blame: BTreeSet::new(),
                fallen: Vec::new(),
            });
            self.choose()?;
        }
        Ok(())
    }

    /// Takes the next possible option of the last frame; where there is none, goes back to a frame to blame.
    fn choose(&mut self) -> Result<(), ResolveError> {
        while let Some(mut frame) = self.frames.pop() {
            let index = self.frames.len();
            let mut possible = None;
            while possible.is_none() && frame.next < frame.options.len() {
                let place = frame.options[frame.next];
                frame.next += 1;
                match self.obstacle(place)? {
                    None => possible = Some(place),
                    Some((fallen, to_blame)) => {
                        frame.fallen.push(fallen);
                        frame.blame.extend(to_blame);
                    }
                }
            }
            let requirement = frame.requirement;
            let optional = self.requirements[requirement].origin == Origin::Field(Need::Recommends);
            if possible.is_some() || optional {
                frame.taken = possible;
                self.frames.push(frame);
                return possible.map_or(Ok(()), |place| self.take(place, index, requirement));
            }
            let dead_end = self.dead_end(&mut frame);
            let owner = self.requirements[requirement].owner;
            let owner = owner.and_then(|place| self.taken.get(self.catalog.packages()[place].name));
            frame.blame.extend(owner.map(|taken| taken.frame));
            self.restore(frame.mark);
            self.go_back(frame.blame, dead_end)?;
        }
        Ok(())
    }

    /// Undoes everything after the latest frame in `blame`, and that frame's choice.
    fn go_back(&mut self, mut blame: BTreeSet<usize>, dead_end: DeadEnd) -> Result<(), ResolveError> {
        let members: Vec<_> = blame.iter().filter_map(|frame| self.frames[*frame].taken).collect();
        let Some(target) = blame.pop_last() else {
            return Err(ResolveError::Unsatisfiable(Box::new(dead_end)));
        };
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(ResolveError::GaveUp { steps: self.steps, obstacle: Box::new(dead_end) });
        }
        let dead_end = Arc::new(dead_end);
        if members.len() <= LARGEST_NOGOOD {
            for member in &members {
                self.nogoods_of.entry(*member).or_default().push(self.nogoods.len());
            }
            self.nogoods.push(Nogood { members, dead_end: Arc::clone(&dead_end) });
        }
        while self.frames.len() > target {
            let Some(mut frame) = self.frames.pop() else { break };
            let Some(place) = frame.taken.take() else { continue };
            self.untake(place)?;
            self.restore(frame.mark);
            if self.frames.len() == target {
                let package = show(&self.catalog.packages()[place]);
                frame.fallen.push(Fallen::Leads { package, to: Arc::clone(&dead_end) });
                frame.blame.append(&mut blame);
                self.frames.push(frame);
                break;
            }
        }
        Ok(())
    }

    fn mark(&self) -> Mark {
        let queues = self.queues.each_ref().map(|queue| (queue.items.len(), queue.head));
        Mark { requirements: self.requirements.len(), queues }
    }

    fn restore(&mut self, mark: Mark) {
        self.requirements.truncate(mark.requirements);
        for (queue, (length, head)) in self.queues.iter_mut().zip(mark.queues) {
            queue.items.truncate(length);
            queue.head = head;
        }
    }

    fn require(&mut self, owner: Option<Place>, origin: Origin, group: Alternatives<'q>) {
        let requirement = Requirement { owner, origin, group };
        let names: BTreeSet<_> =
            self.options(&requirement).into_iter().map(|place| self.catalog.packages()[place].name).collect();
        let queue = match origin {
            Origin::Field(Need::Recommends) => 2,
            Origin::Field(_) if names.len() > 1 => 1,
            _ => 0,
        };
        self.queues[queue].items.push(self.requirements.len());
        self.requirements.push(requirement);
    }

    fn take(&mut self, place: Place, frame: usize, requirement: usize) -> Result<(), ResolveError> {
        self.steps += 1;
        let package = &self.catalog.packages()[place];
        self.taken.insert(package.name, Taken { place, frame, requirement });
        for (name, version) in provides(package)? {
            self.provided.entry(name).or_default().push((place, version));
        }
        for (verb, relation) in self.enemies(package)? {
            self.against.entry(relation.name).or_default().push((place, verb, relation));
        }
        let mut needs = vec![(Need::PreDepends, package.pre_depends), (Need::Depends, package.depends)];
        if self.request.recommends.counts_for(package.name) {
            needs.push((Need::Recommends, package.recommends));
        }
        for (need, field) in needs {
            let name = match need {
                Need::PreDepends => "Pre-Depends",
                Need::Depends => "Depends",
                Need::Recommends => "Recommends",
            };
            for mut group in parsed(package, name, field)? {
                group.retain(|relation| relation.applies_to(self.catalog.arch()));
                if !group.is_empty() {
                    self.require(Some(place), Origin::Field(need), group);
                }
            }
        }
        Ok(())
    }

    /// Takes the last taken package back: what it added is at the end of each list.
    fn untake(&mut self, place: Place) -> Result<(), ResolveError> {
        let package = &self.catalog.packages()[place];
        self.taken.remove(package.name);
        for (name, _) in provides(package)? {
            self.provided.get_mut(name).and_then(Vec::pop);
        }
        for (_, relation) in self.enemies(package)? {
            self.against.get_mut(relation.name).and_then(Vec::pop);
        }
        Ok(())
    }

    /// Conflicts and Breaks of `package` that count on our architecture, with the verb for each.
    fn enemies(&self, package: &Package<'q>) -> Result<Vec<(&'static str, Relation<'q>)>, ResolveError> {
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
    fn is_ours(&self, relation: &Relation<'_>) -> bool {
        let ours = relation.qualifier.is_none_or(|q| q == "any" || q == "native" || q == self.catalog.arch());
        ours && relation.applies_to(self.catalog.arch())
    }

    /// Whether `place`, in `version` (its own or a provided one), meets a positive relation.
    fn meets(&self, place: Place, version: Option<Version<'_>>, relation: &Relation<'_>) -> bool {
        let allowed = self.catalog.packages()[place].multi_arch == MultiArch::Allowed;
        self.is_ours(relation) && (relation.qualifier != Some("any") || allowed) && relation.admits(version)
    }

    fn is_met(&self, group: &[Relation<'_>]) -> bool {
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
    fn options(&self, requirement: &Requirement<'q>) -> Vec<Place> {
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

    fn admissible_providers(&self, relation: &Relation<'q>) -> Vec<Place> {
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

    fn names(&self, places: &[Place]) -> BTreeSet<&'q str> {
        places.iter().map(|place| self.catalog.packages()[*place].name).collect()
    }

    fn is_candidate(&self, place: Place) -> bool {
        place == 0 || self.catalog.packages()[place - 1].name != self.catalog.packages()[place].name
    }

    /// Why `place` cannot be taken now, and which frames are to blame (none: it never can).
    fn obstacle(&self, place: Place) -> Result<Option<(Fallen, Vec<usize>)>, ResolveError> {
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
    fn learned_obstacle(&self, place: Place) -> Option<(Fallen, Vec<usize>)> {
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
    fn taken_match(&self, relation: &Relation<'_>, except: &str) -> Option<Taken> {
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

impl Queue {
    fn take(&mut self) -> Option<usize> {
        let item = self.items.get(self.head).copied()?;
        self.head += 1;
        Some(item)
    }
}

/// What is said about the search.
impl Search<'_> {
    fn why(&self, requirement: usize) -> Why {
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
    fn chain(&self, place: Place) -> Vec<String> {
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
    fn with_chain(&self, place: Place) -> String {
        let chain = self.chain(place);
        match chain.split_first() {
            Some((package, [])) => format!("{package} (asked for)"),
            Some((package, above)) => format!("{package} (needed by {})", above.join(" <- ")),
            None => String::new(),
        }
    }

    fn dead_end(&self, frame: &mut Frame) -> DeadEnd {
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
    fn without_candidate(&self, relation: &Relation<'_>, origin: Origin) -> Option<Fallen> {
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

fn show(package: &Package<'_>) -> String {
    format!("{} {}", package.name, package.version)
}

fn parsed<'q>(
    package: &Package<'q>,
    field: &'static str,
    text: &'q str,
) -> Result<Vec<Alternatives<'q>>, ResolveError> {
    relation::parse(text).map_err(|source| ResolveError::Relation { package: show(package), field, source })
}

fn provides<'q>(package: &Package<'q>) -> Result<Vec<(&'q str, Option<Version<'q>>)>, ResolveError> {
    let failed = |source| ResolveError::Relation { package: show(package), field: "Provides", source };
    relation::parse_provides(package.provides).map_err(failed)
}
