//! The bytes of every file of a tree: in packs, or made by an effect and packed here.

use super::unpack::{Body, Kind, Unpacked};
use crate::error::Failure;
use contract::Digest;
use disk::erofs::{self, PackSettings, Packed, Shape, pack, unpack};
use std::{borrow::Cow, collections::BTreeMap, io};
use store::{Cache, PackReader};
use tree::{Content, Contents, ReadError};

/// Where the packed bytes of one file are.
#[derive(Debug)]
enum Place {
    Pack { pack: usize, body: Body },
    Made { bytes: Vec<u8> },
}

/// The packs of a build and an index over them by content.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    packs: Vec<PackReader>,
    ids: BTreeMap<Digest, usize>,
    places: Vec<(Shape, Place)>,
}

impl Bodies {
    /// Adds the files of one package.
    pub(crate) fn add(&mut self, package: &Unpacked, pack: PackReader) -> Result<(), Failure> {
        self.packs.push(pack);
        for entry in &package.entries {
            if let Kind::File { sha256, body: Some(body), .. } = &entry.kind
                && !self.ids.contains_key(sha256)
            {
                let damaged = |why: String| {
                    Failure::refused(format!("cache: {}: /{}: {why}", package.name, entry.path))
                };
                let shape = hex::decode(&body.shape).map_err(|error| damaged(error.to_string()))?;
                let shape = Shape::from_bytes(&shape).map_err(|error| damaged(error.to_string()))?;
                self.ids.insert(*sha256, self.places.len());
                self.places.push((shape, Place::Pack { pack: self.packs.len() - 1, body: body.clone() }));
            }
        }
        Ok(())
    }

    /// The shape and id of `content`, packed now if no package ships it.
    pub(crate) fn place(
        &mut self,
        content: &Content,
        settings: PackSettings,
        cache: &Cache,
    ) -> Result<(Shape, u64), Failure> {
        let digest = content.digest();
        let id = match (self.ids.get(&digest), content) {
            (Some(id), _) => *id,
            (None, Content::Bytes(bytes)) => {
                let Packed { shape, bytes } = pack_remembered(bytes, &digest, settings, cache)?;
                self.ids.insert(digest, self.places.len());
                self.places.push((shape, Place::Made { bytes }));
                self.places.len() - 1
            }
            (None, Content::Stored { .. }) => {
                return Err(Failure::refused(format!("content {digest} is in no package of this build")));
            }
        };
        Ok((self.places[id].0.clone(), id as u64))
    }

    /// Bytes that `content` takes in the image, as far as it is known yet.
    pub(crate) fn stored_size(&self, content: &Content) -> Option<u64> {
        match (self.ids.get(&content.digest()), content) {
            (Some(id), _) => Some(self.places[*id].0.stored_len()),
            // Made by an effect: not packed before the image is written.
            (None, Content::Bytes(bytes)) => Some(bytes.len() as u64),
            (None, Content::Stored { .. }) => None,
        }
    }

    fn stored_bytes(&self, id: usize) -> Result<Cow<'_, [u8]>, store::StoreError> {
        let (shape, place) = &self.places[id];
        match place {
            Place::Made { bytes } => Ok(Cow::Borrowed(bytes)),
            Place::Pack { pack, body } => {
                let length = usize::try_from(shape.stored_len()).unwrap_or(usize::MAX);
                self.packs[*pack].body(body.offset, length, &body.sha256).map(Cow::Owned)
            }
        }
    }
}

/// Packs what an effect made. Large ones are remembered: a hardware database takes as long as everything else
/// in a warm build.
fn pack_remembered(
    bytes: &[u8],
    digest: &Digest,
    settings: PackSettings,
    cache: &Cache,
) -> Result<Packed, Failure> {
    const WORTH_REMEMBERING: usize = 256 << 10;
    if bytes.len() < WORTH_REMEMBERING {
        return Ok(pack(bytes, settings)?);
    }
    let name = format!("packed-1 {} {}", settings.level(), settings.extent_size());
    let key = Digest::of_fields([name.as_bytes(), &digest.0]);
    if let Some(memory) = cache.recall(&key)?
        && let Some(packed) = split(&memory)
    {
        return Ok(packed);
    }
    let packed = pack(bytes, settings)?;
    let shape = packed.shape.to_bytes();
    cache.remember(&key, &[&(shape.len() as u64).to_le_bytes(), &shape[..], &packed.bytes].concat())?;
    Ok(packed)
}

fn split(memory: &[u8]) -> Option<Packed> {
    let (length, rest) = memory.split_first_chunk::<8>()?;
    let (shape, bytes) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some(Packed { shape: Shape::from_bytes(shape).ok()?, bytes: bytes.to_vec() })
}

impl Contents for Bodies {
    fn stored(&self, digest: &Digest) -> Result<Vec<u8>, ReadError> {
        let error = |why: String| ReadError { digest: *digest, why };
        let id = self.ids.get(digest).ok_or_else(|| error("no package of this build ships it".to_owned()))?;
        let bytes = self.stored_bytes(*id).map_err(|why| error(why.to_string()))?;
        unpack(&self.places[*id].0, &bytes).map_err(|why| error(why.to_string()))
    }
}

impl erofs::Bodies for Bodies {
    fn body(&self, id: u64) -> io::Result<Cow<'_, [u8]>> {
        let id = usize::try_from(id).ok().filter(|id| *id < self.places.len());
        self.stored_bytes(id.ok_or_else(|| io::Error::other("no such body"))?).map_err(io::Error::other)
    }
}
