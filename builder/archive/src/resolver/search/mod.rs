//! The search: requirements in three queues, one frame per choice, backjumping over frames.

mod candidates;
mod reasons;

use super::{DeadEnd, Fallen, Need, Request, ResolveError, Why};
use crate::{
    packages::{Catalog, Package},
    relation::{Alternatives, Operator, Relation},
    version::Version,
};
use candidates::{parsed, provides};
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
}

impl Queue {
    fn take(&mut self) -> Option<usize> {
        let item = self.items.get(self.head).copied()?;
        self.head += 1;
        Some(item)
    }
}

fn show(package: &Package<'_>) -> String {
    format!("{} {}", package.name, package.version)
}
