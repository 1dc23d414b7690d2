//! Whether this node takes a release. A table of values: no clock, no network, no state that may be missing decides.

use super::reasons::short;
use contract::{
    Digest,
    bundle::Header,
    trust::Trust,
    update::{Installed, SignedPermit, UpdateError},
    verity::{BLOCK, tree_size},
};

/// What the node knows of itself.
#[derive(Clone, Debug)]
pub struct Node<'n> {
    /// What its running root says of itself.
    pub installed: &'n Installed,
    /// The root hash that runs.
    pub running: Digest,
    /// The floor that earlier releases left behind.
    pub floor: u64,
    /// Bytes of the other slot's root and verity partitions.
    pub room: (u64, u64),
    /// Root hashes that did not stay, and why: not taken again by itself.
    pub turned_down: &'n [(Digest, String)],
}

/// How the update was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'w> {
    /// Nobody asked: the timer did.
    pub by_itself: bool,
    /// A release that did not stay may be tried once more.
    pub again: bool,
    /// A permit, and the trust that it is checked against.
    pub permit: Option<(&'w SignedPermit, &'w Trust)>,
}

/// What is to be done with a release that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It is written to the other slot.
    Yes,
    /// It is what runs.
    Runs,
}

/// Why a release is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// For something else.
    #[error("it is for {what} {found}, this node is {expected}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the bundle is for.
        found: String,
        /// What the node is.
        expected: String,
    },
    /// It does not fit.
    #[error(
        "its {part} takes {needed} bytes, the other slot's partition has {room}: the image must be written anew"
    )]
    Room {
        /// Which part.
        part: &'static str,
        /// What it takes.
        needed: u64,
        /// What there is.
        room: u64,
    },
    /// It is older.
    #[error(
        "it is older than what runs: sequence {found} ({version}), here {running}, lowest allowed {floor}; to go back on purpose: `hcnode update rollback` to the kept slot, or `--permit FILE` from whoever signs the releases"
    )]
    Older {
        /// Its sequence.
        found: u64,
        /// Its version.
        version: String,
        /// What runs.
        running: u64,
        /// The node's floor.
        floor: u64,
    },
    /// The permit does not help.
    #[error("it is older than what runs, and {0}")]
    Permit(UpdateError),
    /// It was tried.
    #[error("it did not stay on this node the last time ({why}); once more: `hcnode update --again`")]
    TurnedDown {
        /// Why.
        why: String,
    },
}

/// What running nothing but signed releases takes.
///
/// # Errors
/// When the running image names nobody whose signatures it believes; with the way to get there.
pub fn trust(installed: &Installed) -> Result<&Trust, String> {
    installed.trust.as_ref().ok_or_else(|| {
        format!(
            "this image ({} {}) believes nobody's signatures, so that it takes no update: give its profile `[update] \
             trust = \"FILE\"` (`hcimage trust new` makes one), build it again and write it to the card once",
            installed.product, installed.version
        )
    })
}

/// Whether the release of a believed header is taken.
///
/// # Errors
/// When it is not, with both values.
pub fn judge(header: &Header, node: &Node<'_>, wish: Wish<'_>) -> Result<Take, Refusal> {
    let Installed { product, arch, board, layout, .. } = node.installed;
    let same = |what, found: String, expected: String| {
        if found == expected { Ok(()) } else { Err(Refusal::Other { what, found, expected }) }
    };
    same("product", header.product.clone(), product.clone())?;
    same("architecture", header.arch.to_string(), arch.to_string())?;
    same("layout", header.layout.clone(), layout.clone())?;
    if !header.boards.contains(board) {
        let (found, expected) = (header.boards.join(", "), board.clone());
        return Err(Refusal::Other { what: "board", found, expected });
    }
    if header.root.root_hash == node.running {
        return Ok(Take::Runs);
    }
    let tree = tree_size(header.root.data_blocks).saturating_add(BLOCK as u64);
    for (part, needed, room) in [("root", header.root.size, node.room.0), ("hash tree", tree, node.room.1)] {
        if needed > room {
            return Err(Refusal::Room { part, needed, room });
        }
    }
    age(header, node, wish)?;
    let turned_down = node.turned_down.iter().find(|(root, _)| *root == header.root.root_hash);
    match turned_down.filter(|_| !wish.again) {
        Some((_, why)) => Err(Refusal::TurnedDown { why: why.clone() }),
        None => Ok(Take::Yes),
    }
}

/// The floor that counts: the running image's, or a higher one that was reached before.
#[must_use]
pub fn floor(installed: &Installed, kept: u64) -> u64 {
    installed.floor.max(kept)
}

fn age(header: &Header, node: &Node<'_>, wish: Wish<'_>) -> Result<(), Refusal> {
    let (running, floor) = (node.installed.sequence, floor(node.installed, node.floor));
    if header.sequence >= running && header.sequence >= floor {
        return Ok(());
    }
    match wish.permit.filter(|_| !wish.by_itself) {
        Some((permit, trust)) => permit.allows(trust, header, floor).map_err(Refusal::Permit),
        None => {
            let (found, version) = (header.sequence, header.version.clone());
            Err(Refusal::Older { found, version, running, floor })
        }
    }
}

/// One line on what would be taken, for people.
#[must_use]
pub fn describe(header: &Header) -> String {
    format!(
        "{} {} (sequence {}, root {})",
        header.product,
        header.version,
        header.sequence,
        short(&header.root.root_hash)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        Arch,
        bundle::testing::{Recipe, TestKey, trust as test_trust},
        update::{INSTALLED_SCHEMA, PERMIT_SCHEMA, Permit},
    };

    fn installed() -> Installed {
        Installed {
            schema: INSTALLED_SCHEMA.to_owned(),
            product: "nas".to_owned(),
            arch: Arch::X86_64,
            board: "uefi".to_owned(),
            layout: "ab-1".to_owned(),
            version: "1".to_owned(),
            sequence: 100,
            floor: 90,
            url: None,
            auto: false,
            window: None,
            trust: Some(test_trust(1, 1, &[1, 2])),
        }
    }

    fn header(change: impl FnOnce(&mut Header)) -> Header {
        let mut header = Recipe::default().make().header;
        (header.sequence, header.floor) = (101, 0);
        change(&mut header);
        header
    }

    fn judged(header: &Header, floor: u64, wish: Wish<'_>) -> Result<Take, String> {
        let installed = installed();
        let tried = [(Digest::of(b"tried"), "samba did not start".to_owned())];
        let running = Digest::of(b"running");
        let node =
            Node { installed: &installed, running, floor, room: (1 << 20, 1 << 16), turned_down: &tried };
        judge(header, &node, wish).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn wrong_releases_are_refused_with_both_values() {
        type Change = fn(&mut Header);
        #[rustfmt::skip]
        let cases: [(Change, u64, &str); 12] = [
            (|_| (), 0, ""),
            (|it| it.sequence = 100, 0, ""),
            (|it| it.sequence = 99, 0, "sequence 99 (20260905-081320-0123abcd), here 100, lowest allowed 90"),
            (|it| it.sequence = 101, 101, ""),
            (|it| it.sequence = 101, 102, "sequence 101 (20260905-081320-0123abcd), here 100, lowest allowed 102"),
            (|it| it.product = "edge".to_owned(), 0, "it is for product edge, this node is nas"),
            (|it| it.arch = Arch::Aarch64, 0, "it is for architecture aarch64, this node is x86_64"),
            (|it| it.boards = vec!["raspberrypi".to_owned(), "x".to_owned()], 0, "it is for board raspberrypi, x, this node is uefi"),
            (|it| it.layout = "ab-2".to_owned(), 0, "it is for layout ab-2, this node is ab-1"),
            (|it| it.root.size = (1 << 20) + 4096, 0, "its root takes 1052672 bytes, the other slot's partition has 1048576"),
            (|it| it.root.data_blocks = 16 * 128, 0, "its hash tree takes 73728 bytes, the other slot's partition has 65536"),
            (|it| it.root.root_hash = Digest::of(b"tried"), 0, "samba did not start"),
        ];
        for (change, floor, expected) in cases {
            match judged(&header(change), floor, Wish::default()) {
                Ok(take) => assert_eq!((take, expected), (Take::Yes, "")),
                Err(message) => assert!(!expected.is_empty() && message.contains(expected), "{message}"),
            }
        }
    }

    #[test]
    fn what_runs_is_not_taken_again_however_old_it_is() {
        let runs = header(|it| (it.root.root_hash, it.sequence) = (Digest::of(b"running"), 3));
        assert_eq!(judged(&runs, 0, Wish::default()), Ok(Take::Runs));
        let tried = header(|it| it.root.root_hash = Digest::of(b"tried"));
        assert_eq!(judged(&tried, 0, Wish { again: true, ..Wish::default() }), Ok(Take::Yes));
    }

    #[test]
    fn only_a_permit_for_this_very_release_goes_below_the_floor() {
        let trust = test_trust(1, 2, &[1, 2]);
        let old = header(|it| it.sequence = 50);
        let permit = |signers: &[u8], change: fn(&mut Permit)| {
            let mut permit = Permit {
                schema: PERMIT_SCHEMA.to_owned(),
                product: "nas".to_owned(),
                arch: Arch::X86_64,
                sequence: 50,
                root_hash: old.root.root_hash,
                floor: 90,
            };
            change(&mut permit);
            let sign = |number: &u8| TestKey::new(*number).sign(&permit.render());
            SignedPermit { signatures: signers.iter().map(sign).collect(), permit }
        };
        let with = |permit: &SignedPermit, by_itself, floor| {
            judged(&old, floor, Wish { by_itself, again: false, permit: Some((permit, &trust)) })
        };
        let good = permit(&[1, 2], |_| ());
        assert_eq!(with(&good, false, 0), Ok(Take::Yes));
        for (result, expected) in [
            (with(&good, true, 0), "it is older than what runs: sequence 50"),
            (with(&good, false, 91), "floors up to 90, the floor here is 91"),
            (with(&permit(&[1], |_| ()), false, 0), "1 of the 2 signatures"),
            (
                with(&permit(&[1, 2], |it| it.sequence = 51), false, 0),
                "the permit is for sequence 51, this is 50",
            ),
            (
                with(&permit(&[1, 2], |it| it.root_hash = Digest::of(b"x")), false, 0),
                "the permit is for root hash",
            ),
        ] {
            let message = result.unwrap_err();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn an_image_without_trust_says_how_to_get_one() {
        let mut installed = installed();
        assert!(trust(&installed).is_ok());
        installed.trust = None;
        assert!(trust(&installed).unwrap_err().contains("hcimage trust new"));
    }
}
