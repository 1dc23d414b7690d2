//! Writes a planned image, from the first byte to the last.

use std::borrow::Cow;
use std::io::{self, Write};

use super::format::{
    ADVISE_BIG_PCLUSTER, ADVISE_COMPACTED_2B, ADVISE_INLINE_PCLUSTER, ALGORITHM_ZSTD, BLOCK, BLOCK_BITS,
    COMPAT_MTIME, COMPAT_SB_CHKSUM, INCOMPAT_COMPR_CFGS, INCOMPAT_ZERO_PADDING, INCOMPAT_ZTAILPACKING,
    LAYOUT_COMPACT, MAGIC, MAP_HEADER, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
    SUPER_LEN, SUPER_OFFSET, ZSTD_WINDOW_MIN, blocks, crc32c, device_number,
};
use super::index::{self, Cluster};
use super::plan::{Place, inline_tail};
use super::{Error, Inode, Kind, Plan, Shape, dir, xattr};

/// Where the writer gets the bytes of packed files from.
pub trait Bodies: Sync {
    /// The stored bytes of a packed file, as `pack` made them. Asked for once for each inode that has any.
    fn body(&self, id: u64) -> io::Result<Cow<'_, [u8]>>;
}

const ZEROS: [u8; BLOCK] = [0; BLOCK];

impl Plan<'_> {
    /// Writes the image: exactly `size()` bytes, in order. Holds one file's stored bytes and the
    /// metadata at a time.
    pub fn write(&self, out: &mut impl Write, bodies: &impl Bodies) -> Result<(), Error> {
        out.write_all(&self.superblock()).map_err(Error::Write)?;
        let mut meta = vec![0; self.meta_len];
        for &id in &self.names.order {
            if let Kind::File { shape, body } = &self.fs.inodes[id].kind {
                self.write_file(id, shape, *body, out, bodies, &mut meta)?;
            }
        }
        for &id in &self.names.order {
            match &self.fs.inodes[id].kind {
                Kind::Directory => {
                    let bytes = dir::encode(&self.names.entries[&id], |inode| self.places[inode].nid());
                    write_flat(&self.places[id], &bytes, out, &mut meta)?;
                }
                Kind::Symlink(target) => write_flat(&self.places[id], target.as_bytes(), out, &mut meta)?,
                _ => {}
            }
        }
        for &id in &self.names.order {
            self.fill_head(id, &mut meta);
        }
        meta.resize(meta.len().next_multiple_of(BLOCK), 0);
        out.write_all(&meta).map_err(Error::Write)
    }

    fn write_file(
        &self,
        id: usize,
        shape: &Shape,
        body: u64,
        out: &mut impl Write,
        bodies: &impl Bodies,
        meta: &mut [u8],
    ) -> Result<(), Error> {
        let expected = shape.stored_len();
        if expected == 0 {
            return Ok(());
        }
        let path = || self.names.first[id].to_owned();
        let bytes = bodies.body(body).map_err(|source| Error::Body { path: path(), body, source })?;
        if bytes.len() as u64 != expected {
            return Err(Error::BodyLength { path: path(), body, expected, got: bytes.len() as u64 });
        }
        let tail = inline_tail(shape).unwrap_or(0);
        let (outside, inside) = bytes.split_at(bytes.len() - tail);
        keep_tail(&self.places[id], inside, meta);
        let mut rest = outside;
        for extent in shape.extents() {
            let (stored, after) = rest.split_at(rest.len().min(extent.stored_len as usize));
            rest = after;
            let padding = &ZEROS[..stored.len().next_multiple_of(BLOCK) - stored.len()];
            let parts = if extent.plain { [stored, padding] } else { [padding, stored] };
            parts.iter().try_for_each(|part| out.write_all(part)).map_err(Error::Write)?;
        }
        Ok(())
    }

    /// Inode, attributes and index.
    fn fill_head(&self, id: usize, meta: &mut [u8]) {
        let (place, inode) = (&self.places[id], &self.fs.inodes[id]);
        let core = self.inode(id, place, inode);
        let head = &mut meta[place.start..place.start + place.head];
        head[..core.len()].copy_from_slice(&core);
        head[core.len()..core.len() + place.xattrs.len()].copy_from_slice(&place.xattrs);
        if let Kind::File { shape, .. } = &inode.kind
            && place.layout == LAYOUT_COMPACT
        {
            let at = place.index_at();
            head[at - MAP_HEADER..at].copy_from_slice(&map_header(place.tail as u16));
            let clusters = clusters(shape, place.block);
            head[at..].copy_from_slice(&index::encode(at as u64, &clusters));
        }
    }

    fn inode(&self, id: usize, place: &Place, inode: &Inode) -> Vec<u8> {
        let (kind, special) = match inode.kind {
            Kind::Directory => (S_IFDIR, place.block),
            Kind::File { .. } if place.layout == LAYOUT_COMPACT => (S_IFREG, place.blocks),
            Kind::File { .. } => (S_IFREG, place.block),
            Kind::Symlink(_) => (S_IFLNK, place.block),
            Kind::CharDevice { major, minor } => (S_IFCHR, device_number(major, minor)),
            Kind::BlockDevice { major, minor } => (S_IFBLK, device_number(major, minor)),
            Kind::Fifo => (S_IFIFO, 0),
            Kind::Socket => (S_IFSOCK, 0),
        };
        let number = id as u32 + 1;
        let nlink = self.names.nlink[id];
        let mut out = Vec::with_capacity(place.inode_len());
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&(u16::from(place.extended) | place.layout << 1).to_le_bytes());
        put(&xattr::count(place.xattrs.len()).to_le_bytes());
        put(&(kind | inode.mode).to_le_bytes());
        if place.extended {
            put(&[0; 2]);
            put(&place.size.to_le_bytes());
            put(&special.to_le_bytes());
            put(&number.to_le_bytes());
            put(&inode.uid.to_le_bytes());
            put(&inode.gid.to_le_bytes());
            put(&inode.mtime.to_le_bytes());
            put(&[0; 4]);
            put(&nlink.to_le_bytes());
            put(&[0; 16]);
        } else {
            put(&(nlink as u16).to_le_bytes());
            put(&(place.size as u32).to_le_bytes());
            put(&[0; 4]);
            put(&special.to_le_bytes());
            put(&number.to_le_bytes());
            put(&(inode.uid as u16).to_le_bytes());
            put(&(inode.gid as u16).to_le_bytes());
            put(&[0; 4]);
        }
        out
    }

    fn superblock(&self) -> Vec<u8> {
        let root = self.places[self.names.order[0]].nid();
        let mut block = vec![0_u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| {
            block[SUPER_OFFSET + at..SUPER_OFFSET + at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &(COMPAT_SB_CHKSUM | COMPAT_MTIME).to_le_bytes());
        put(12, &[BLOCK_BITS, 0]);
        put(14, &(root as u16).to_le_bytes());
        put(16, &(self.fs.inodes.len() as u64).to_le_bytes());
        put(24, &self.volume.epoch.0.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.meta_block.to_le_bytes());
        put(48, &self.volume.uuid);
        put(64, self.volume.label.as_bytes());
        if let Some(window) = self.window_log {
            let features = INCOMPAT_ZERO_PADDING | INCOMPAT_COMPR_CFGS | INCOMPAT_ZTAILPACKING;
            put(80, &features.to_le_bytes());
            put(84, &(1_u16 << ALGORITHM_ZSTD).to_le_bytes());
            // A record for each algorithm: its length, then for zstd: format 0, window, reserved.
            put(SUPER_LEN, &[6, 0, 0, window - ZSTD_WINDOW_MIN, 0, 0, 0, 0]);
        }
        let sum = crc32c(&block[SUPER_OFFSET..]);
        block[SUPER_OFFSET + 4..SUPER_OFFSET + 8].copy_from_slice(&sum.to_le_bytes());
        block
    }
}

fn keep_tail(place: &Place, tail: &[u8], meta: &mut [u8]) {
    let at = place.start + place.head;
    meta[at..at + tail.len()].copy_from_slice(tail);
}

fn write_flat(place: &Place, bytes: &[u8], out: &mut impl Write, meta: &mut [u8]) -> Result<(), Error> {
    let (outside, tail) = bytes.split_at(bytes.len() - place.tail);
    keep_tail(place, tail, meta);
    let padding = &ZEROS[..outside.len().next_multiple_of(BLOCK) - outside.len()];
    [outside, padding].iter().try_for_each(|part| out.write_all(part)).map_err(Error::Write)
}

/// Length of the inline tail, what the index is made of, the algorithm, and 4 KiB clusters.
fn map_header(tail: u16) -> [u8; MAP_HEADER] {
    let inline = if tail > 0 { ADVISE_INLINE_PCLUSTER } else { 0 };
    let [advise_low, advise_high] = (ADVISE_COMPACTED_2B | ADVISE_BIG_PCLUSTER | inline).to_le_bytes();
    let [tail_low, tail_high] = tail.to_le_bytes();
    [0, 0, tail_low, tail_high, advise_low, advise_high, ALGORITHM_ZSTD, 0]
}

/// What each 4 KiB of the file is, where its data starts at this block.
fn clusters(shape: &Shape, block: u32) -> Vec<Cluster> {
    let mut found = Vec::new();
    let mut block = block;
    for extent in shape.extents() {
        let count = blocks(extent.logical_len.into()) as u16;
        if extent.plain {
            found.extend((0..count).map(|at| Cluster::Plain { block: block + u32::from(at) }));
            block += u32::from(count);
        } else {
            let stored = blocks(extent.stored_len.into()) as u16;
            found.push(Cluster::Head { block });
            found.extend((1..count).map(|back| Cluster::Next { back, ahead: count - back, blocks: stored }));
            block += u32::from(stored);
        }
    }
    found
}
