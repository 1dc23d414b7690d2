//! Where everything will lie. All offsets are computed here, once; `write` only follows them.
//!
//! Block 0 has the superblock. Then the blocks of files, in the order of their first names, so that an unchanged
//! file is the same blocks in the next image; then the blocks of directories and long links, then the metadata:
//! inodes with their attributes, indexes and inline tails.

use super::format::{BLOCK, INODE_COMPACT, INODE_EXTENDED, LAYOUT_COMPACT, LAYOUT_INLINE, LAYOUT_PLAIN};
use super::format::{MAP_HEADER, SLOT, ZSTD_WINDOW_MAX, ZSTD_WINDOW_MIN, blocks, round_up};
use super::names::Names;
use super::room::Room;
use super::shape::INLINE_MAX;
use super::{Error, FileSystem, Inode, Kind, Shape, Volume, dir, index, xattr};

const LABEL_MAX: usize = 15;

/// An image, laid out but not yet written.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) fs: &'a FileSystem,
    pub(super) volume: &'a Volume,
    pub(super) names: Names<'a>,
    /// By inode.
    pub(super) places: Vec<Place>,
    pub(super) meta_block: u32,
    pub(super) meta_len: usize,
    pub(super) blocks: u32,
    /// zstd's window as a power of two, where anything is compressed.
    pub(super) window_log: Option<u8>,
}

/// Where one inode lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) layout: u16,
    pub(super) extended: bool,
    pub(super) size: u64,
    pub(super) xattrs: Vec<u8>,
    /// Bytes of inode, attributes and index: the inline tail follows them.
    pub(super) head: usize,
    pub(super) tail: usize,
    /// Bytes from the start of the metadata.
    pub(super) start: usize,
    pub(super) block: u32,
    pub(super) blocks: u32,
}

impl Place {
    pub(super) fn inode_len(&self) -> usize {
        if self.extended { INODE_EXTENDED } else { INODE_COMPACT }
    }

    /// Where the index starts, from the start of the inode.
    pub(super) fn index_at(&self) -> usize {
        (self.inode_len() + self.xattrs.len()).next_multiple_of(8) + MAP_HEADER
    }

    pub(super) fn nid(&self) -> u64 {
        (self.start / SLOT) as u64
    }
}

impl<'a> Plan<'a> {
    /// Checks the tree and gives everything its place.
    pub fn new(fs: &'a FileSystem, volume: &'a Volume) -> Result<Self, Error> {
        if volume.label.len() > LABEL_MAX {
            return Err(Error::Label { label: volume.label.clone(), len: volume.label.len() });
        }
        let names = Names::of(fs)?;
        let mut places = Vec::with_capacity(fs.inodes.len());
        for (id, inode) in fs.inodes.iter().enumerate() {
            places.push(measure(&names, id, inode, volume)?);
        }
        let (meta_block, meta_len) = place(fs, &names, &mut places)?;
        let total = u64::from(meta_block) + blocks(meta_len as u64);
        let blocks = within("blocks", total, u32::MAX.into())? as u32;
        Ok(Self { fs, volume, names, places, meta_block, meta_len, blocks, window_log: window_log(fs) })
    }

    /// The image's size, bytes; a multiple of 4096.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.blocks) * BLOCK as u64
    }

    /// The part of it that is inodes, attributes, indexes and inline tails, bytes.
    #[must_use]
    pub fn metadata_size(&self) -> u64 {
        blocks(self.meta_len as u64) * BLOCK as u64
    }

    /// Bytes of the image that an inode alone takes, its share of the metadata included; directory
    /// entries belong to the directory. For reports of what a file costs.
    #[must_use]
    pub fn cost(&self, id: super::InodeId) -> Option<u64> {
        let place = self.places.get(id.0)?;
        Some(u64::from(place.blocks) * BLOCK as u64 + round_up((place.head + place.tail) as u64, SLOT as u64))
    }
}

fn within(what: &'static str, got: u64, max: u64) -> Result<u64, Error> {
    if got > max { Err(Error::TooLarge { what, got, max }) } else { Ok(got) }
}

fn measure(names: &Names<'_>, id: usize, inode: &Inode, volume: &Volume) -> Result<Place, Error> {
    let path = names.first[id];
    if inode.mode > 0o7777 {
        return Err(Error::Name {
            path: path.to_owned(),
            why: "the mode has more than the 12 permission bits",
        });
    }
    let (size, layout, blocks, tail) = match &inode.kind {
        Kind::Directory => {
            let (counts, used) = dir::measure(&names.entries[&id]);
            flat(((counts.len() - 1) * BLOCK + used) as u64)
        }
        Kind::Symlink(target) if target.is_empty() || target.len() >= BLOCK || target.contains('\0') => {
            let why = "a symbolic link's target must have 1 to 4095 bytes and no zero byte";
            return Err(Error::Name { path: path.to_owned(), why });
        }
        Kind::Symlink(target) => flat(target.len() as u64),
        Kind::File { shape, .. } if shape.is_plain() => flat(shape.size()),
        Kind::File { shape, .. } => {
            (shape.size(), LAYOUT_COMPACT, stored_blocks(shape), inline_tail(shape).unwrap_or(0))
        }
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            within("a device's major number", (*major).into(), 0xFFF)?;
            within("a device's minor number", (*minor).into(), 0xF_FFFF)?;
            (0, LAYOUT_PLAIN, 0, 0)
        }
        Kind::Fifo | Kind::Socket => (0, LAYOUT_PLAIN, 0, 0),
    };
    let extended = inode.mtime != volume.epoch.0
        || inode.uid > 0xFFFF
        || inode.gid > 0xFFFF
        || names.nlink[id] > 0xFFFF
        || size > u32::MAX.into();
    let xattrs = xattr::encode(path, &inode.xattrs)?;
    let blocks = within("blocks of a file", blocks, u32::MAX.into())? as u32;
    let mut place = Place { layout, extended, size, xattrs, head: 0, tail, start: 0, block: 0, blocks };
    place.head = if layout == LAYOUT_COMPACT {
        let start = place.index_at();
        start + index::len(start as u64, size.div_ceil(BLOCK as u64) as usize)
    } else {
        place.inode_len() + place.xattrs.len()
    };
    Ok(place)
}

/// Size, layout, blocks and inline tail of bytes that are stored as they are.
fn flat(size: u64) -> (u64, u16, u64, usize) {
    let tail = (size % BLOCK as u64) as usize;
    if tail > 0 && tail <= INLINE_MAX as usize {
        (size, LAYOUT_INLINE, size / BLOCK as u64, tail)
    } else {
        (size, LAYOUT_PLAIN, blocks(size), 0)
    }
}

/// Bytes at the end of the body that go behind the inode.
pub(super) fn inline_tail(shape: &Shape) -> Option<usize> {
    let last = shape.extents().last()?;
    let tail = if last.plain { last.logical_len % BLOCK as u32 } else { last.stored_len };
    (tail > 0 && tail <= INLINE_MAX).then_some(tail as usize)
}

fn stored_blocks(shape: &Shape) -> u64 {
    let all: u64 = shape.extents().iter().map(|extent| blocks(extent.stored_len.into())).sum();
    all - u64::from(inline_tail(shape).is_some())
}

/// Gives out blocks and room in the metadata; returns where the metadata is and how long.
fn place(fs: &FileSystem, names: &Names<'_>, places: &mut [Place]) -> Result<(u32, usize), Error> {
    let mut room = Room::new(SLOT);
    for &id in &names.order {
        let place = &mut places[id];
        place.start = room.take(place.inode_len(), place.head, place.tail);
    }
    // The superblock has 16 bits for the root's number; the root is the first to get room.
    within("slots before the root inode", places[names.order[0]].nid(), u16::MAX.into())?;
    let mut next = 1_u64;
    for files in [true, false] {
        for &id in &names.order {
            if matches!(fs.inodes[id].kind, Kind::File { .. }) == files && places[id].blocks > 0 {
                places[id].block = within("blocks", next, u32::MAX.into())? as u32;
                next += u64::from(places[id].blocks);
            }
        }
    }
    Ok((within("blocks", next, u32::MAX.into())? as u32, room.end()))
}

fn window_log(fs: &FileSystem) -> Option<u8> {
    let extents = fs.inodes.iter().filter_map(|inode| match &inode.kind {
        Kind::File { shape, .. } => Some(shape.extents()),
        _ => None,
    });
    let longest = extents.flatten().filter(|extent| !extent.plain).map(|extent| extent.logical_len).max()?;
    let log = longest.next_power_of_two().ilog2() as u8;
    Some(log.clamp(ZSTD_WINDOW_MIN, ZSTD_WINDOW_MAX))
}
