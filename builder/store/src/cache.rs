//! The cache directory: verified downloads, unpacked packages, results of pure functions.

use crate::StoreError;
use contract::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Buckets carry the version of what is in them; a new form of a bucket gets a new name.
const BUCKETS: [&str; 4] = ["files-v1", "partial-v1", "packs-v1", "memo-v1"];

/// A cache directory. Several builds may use one at the same time.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache in `root`, made if missing.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        for bucket in BUCKETS {
            let path = root.join(bucket);
            fs::create_dir_all(&path).map_err(StoreError::file("create", path))?;
        }
        Ok(Self { root })
    }

    /// The cache's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file with this digest is, or would be.
    #[must_use]
    pub fn file(&self, sha256: &Digest) -> PathBuf {
        self.root.join("files-v1").join(sha256.to_string())
    }

    /// Takes a copy of a file of the user's; gives its digest and size. With `expected`, no other file is taken.
    ///
    /// # Errors
    /// When it cannot be read or copied, or is another file than the expected one.
    pub fn adopt(&self, path: &Path, expected: Option<&Digest>) -> Result<(Digest, u64), StoreError> {
        let mut input = fs::File::open(path).map_err(StoreError::file("read", path))?;
        let mut copy = self.temporary()?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        let mut size = 0;
        loop {
            let count = input.read(&mut buffer).map_err(StoreError::file("read", path))?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            copy.write_all(&buffer[..count])
                .map_err(StoreError::file("write", self.root.join("partial-v1")))?;
            size += count as u64;
        }
        let found = Digest(hash.finalize().into());
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(StoreError::OtherFile { path: path.to_owned(), found, expected: *expected });
        }
        Self::settle(copy, &self.file(&found))?;
        Ok((found, size))
    }

    pub(crate) fn partial(&self, sha256: &Digest) -> PathBuf {
        self.root.join("partial-v1").join(sha256.to_string())
    }

    pub(crate) fn pack(&self, key: &Digest) -> PathBuf {
        self.root.join("packs-v1").join(key.to_string())
    }

    /// What was remembered under `key`, if anything was and it is whole.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn recall(&self, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.root.join("memo-v1").join(key.to_string());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::file("read", path)(error)),
        };
        // A damaged memory is no memory: what it held is made again.
        let whole = bytes.split_first_chunk::<32>().filter(|(digest, rest)| Digest::of(rest).0 == **digest);
        Ok(whole.map(|(_, rest)| rest.to_vec()))
    }

    /// Remembers `value` under `key`, which must name the function, its version and its whole input.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, key: &Digest, value: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join("memo-v1").join(key.to_string());
        self.write(&path, &[&Digest::of(value).0, value])
    }

    /// Writes a file of the cache whole or not at all.
    pub(crate) fn write(&self, path: &Path, parts: &[&[u8]]) -> Result<(), StoreError> {
        let mut file = self.temporary()?;
        for part in parts {
            file.write_all(part).map_err(StoreError::file("write", path))?;
        }
        Self::settle(file, path)
    }

    pub(crate) fn temporary(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        let directory = self.root.join("partial-v1");
        tempfile::Builder::new()
            .prefix("tmp-")
            .tempfile_in(&directory)
            .map_err(StoreError::file("create a file in", directory))
    }

    pub(crate) fn settle(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
        file.persist(path).map(drop).map_err(|error| StoreError::file("write", path)(error.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_kept_and_damaged_ones_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let key = Digest::of(b"key");
        assert_eq!(cache.recall(&key).unwrap(), None);
        cache.remember(&key, b"value").unwrap();
        assert_eq!(cache.recall(&key).unwrap().as_deref(), Some(&b"value"[..]));
        let path = directory.path().join("memo-v1").join(key.to_string());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(cache.recall(&key).unwrap(), None);
    }

    #[test]
    fn an_unwritable_cache_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&file).unwrap_err().to_string();
        assert!(error.starts_with("cannot create ") && error.contains("file/files-v1"), "{error}");
    }
}
