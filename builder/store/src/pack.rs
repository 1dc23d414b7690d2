//! Packs: the unpacked, already compressed files of one package, and an index that its writer understands.
//!
//! A pack is two files: `<key>` holds bodies one after the other, `<key>.index` the index. The index is
//! written last, so a pack without one does not exist. Form of the index: sha256 of the rest (32 bytes),
//! length of the bodies (8 bytes, little endian), the writer's own bytes.

use crate::{Cache, StoreError};
use contract::Digest;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

/// Writes one pack.
#[derive(Debug)]
pub struct PackWriter {
    cache: Cache,
    path: PathBuf,
    file: BufWriter<tempfile::NamedTempFile>,
    length: u64,
}

/// Reads one pack.
#[derive(Debug)]
pub struct PackReader {
    path: PathBuf,
    file: File,
    index: Vec<u8>,
}

impl Cache {
    /// Begins the pack with this key, which must name all of its inputs.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn write_pack(&self, key: &Digest) -> Result<PackWriter, StoreError> {
        let file = BufWriter::with_capacity(1 << 20, self.temporary()?);
        Ok(PackWriter { cache: self.clone(), path: self.pack(key), file, length: 0 })
    }

    /// Opens the pack with this key, if it is there and whole.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_pack(&self, key: &Digest) -> Result<Option<PackReader>, StoreError> {
        let path = self.pack(key);
        let index_path = path.with_extension("index");
        let index = match fs::read(&index_path) {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::file("read", index_path)(error)),
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::file("read", path)(error)),
        };
        let length = file.metadata().map_err(StoreError::file("read", &path))?.len();
        let whole = index.split_first_chunk::<32>().is_some_and(|(digest, rest)| {
            Digest::of(rest).0 == *digest && rest.starts_with(&length.to_le_bytes())
        });
        Ok(whole.then(|| PackReader { path, file, index: index[40..].to_vec() }))
    }
}

impl PackWriter {
    /// Appends a body; gives its offset.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, body: &[u8]) -> Result<u64, StoreError> {
        let offset = self.length;
        self.file.write_all(body).map_err(StoreError::file("write", &self.path))?;
        self.length += body.len() as u64;
        Ok(offset)
    }

    /// Ends the pack with its index; only now it exists.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self, index: &[u8]) -> Result<PackReader, StoreError> {
        let Self { cache, path, file, length } = self;
        let file = file.into_inner().map_err(|error| StoreError::file("write", &path)(error.into_error()))?;
        Cache::settle(file, &path)?;
        let length = length.to_le_bytes();
        let digest = Digest::of(&[&length[..], index].concat());
        cache.write(&path.with_extension("index"), &[&digest.0, &length, index])?;
        let file = File::open(&path).map_err(StoreError::file("read", &path))?;
        Ok(PackReader { path, file, index: index.to_vec() })
    }
}

impl PackReader {
    /// The index as its writer gave it.
    #[must_use]
    pub fn index(&self) -> &[u8] {
        &self.index
    }

    /// The body at `offset` with `length` bytes, checked against `sha256`.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the index says.
    pub fn body(&self, offset: u64, length: usize, sha256: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut body = vec![0; length];
        self.file.read_exact_at(&mut body, offset).map_err(StoreError::file("read", &self.path))?;
        let found = Digest::of(&body);
        if found == *sha256 {
            return Ok(body);
        }
        let why = format!("the body at {offset} has sha256 {found}, its index says {sha256}");
        Err(StoreError::DamagedPack { path: self.path.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_whole_or_absent_and_its_bodies_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let key = Digest::of(b"package");
        let mut writer = cache.write_pack(&key).unwrap();
        assert_eq!(writer.append(b"one").unwrap(), 0);
        assert_eq!(writer.append(b"two").unwrap(), 3);
        assert!(cache.read_pack(&key).unwrap().is_none());
        writer.finish(b"index").unwrap();

        let pack = cache.read_pack(&key).unwrap().unwrap();
        assert_eq!(pack.index(), b"index");
        assert_eq!(pack.body(3, 3, &Digest::of(b"two")).unwrap(), b"two");
        let error = pack.body(0, 3, &Digest::of(b"two")).unwrap_err().to_string();
        assert!(error.contains("the body at 0 has sha256"), "{error}");

        fs::write(cache.pack(&key), b"onetw").unwrap();
        assert!(cache.read_pack(&key).unwrap().is_none(), "a truncated pack is made again");
    }
}
