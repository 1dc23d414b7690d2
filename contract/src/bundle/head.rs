//! The front of a bundle: lengths, header, signatures, trust chain.

use super::{BundleError, HEADER_MAX, Header, header};
use crate::{
    Digest,
    trust::{CHAIN_MAX, Chain, SIGNATURES_MAX, Trust},
    verity::BLOCK,
};

/// Bytes of the fixed part at the very front.
pub const PREFIX: usize = 16;
/// Bytes of the area for signatures: fixed, so that another one can be added in place.
pub(super) const SIGNATURES: usize = 16 << 10;
const MAGIC: &[u8; 4] = b"HCB1";

/// The first [`PREFIX`] bytes: how much there is to read of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    header: usize,
    chain: usize,
}

/// A head whose signatures were checked, or, by [`Head::unverified`], only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the bundle is.
    pub header: Header,
    /// Texts of its signatures.
    pub signatures: Vec<String>,
    /// The ids of the keys that count.
    pub signers: Vec<[u8; 8]>,
    /// The trust that its signatures were checked against: the newest one that the chain led to.
    pub trust: Option<Trust>,
    /// The chain that it carries.
    pub chain: Chain,
    /// Bytes of the head: where the index begins.
    pub size: u64,
}

impl Prefix {
    /// Reads the prefix from the first bytes of a file.
    ///
    /// # Errors
    /// When there are too few, it is no bundle, or a part is larger than is read.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let Some(bytes) = bytes.get(..PREFIX) else {
            let (found, expected) = (bytes.len() as u64, PREFIX as u64);
            return Err(BundleError::Length { what: "prefix", found, expected });
        };
        if bytes[..4] != *MAGIC {
            return Err(BundleError::Magic { found: hex::encode(&bytes[..4]) });
        }
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let bounded = |field, at, least: usize, most: usize| {
            let found = u64::from(number(at));
            let inside = usize::try_from(found).ok().filter(|found| (least..=most).contains(found));
            let expected = if least == most { most.to_string() } else { format!("{least} to {most} bytes") };
            inside.ok_or(BundleError::Bounds { field, found, expected })
        };
        let header = bounded("header", 4, 2, HEADER_MAX)?;
        bounded("area for signatures", 8, SIGNATURES, SIGNATURES)?;
        let chain = bounded("trust chain", 12, 2, CHAIN_MAX)?;
        Ok(Self { header, chain })
    }

    /// Bytes of the whole head, the prefix among them: a multiple of 4096, at most 148 KiB.
    #[must_use]
    pub const fn head_size(self) -> usize {
        (PREFIX + self.header + SIGNATURES + self.chain).next_multiple_of(BLOCK)
    }
}

impl Head {
    /// Reads a head and believes it: from `trust` along the chain to the newest version, whose keys must have signed
    /// the header. Nothing of the header is looked at before that.
    ///
    /// # Errors
    /// When it is cut off, has anything in it that does not belong there, or is not signed by those who may.
    pub fn read(bytes: &[u8], trust: &Trust) -> Result<Self, BundleError> {
        let parts = Parts::split(bytes)?;
        let chain = parts.chain()?;
        let newest = trust.follow(&chain)?;
        let signatures = parts.signatures()?;
        let signers = newest.verify("the bundle", parts.header, &signatures)?;
        let header = parts.header(&chain)?;
        if header.trust > newest.version {
            return Err(BundleError::Header {
                field: "trust",
                found: header.trust.to_string(),
                expected: format!("{} at most, the version that the chain in it leads to", newest.version),
            });
        }
        Ok(Self { header, signatures, signers, trust: Some(newest), chain, size: parts.size })
    }

    /// Reads a head without believing it: for tools that show or sign one.
    ///
    /// # Errors
    /// When it is cut off, or has anything in it that does not belong there.
    pub fn unverified(bytes: &[u8]) -> Result<Self, BundleError> {
        let parts = Parts::split(bytes)?;
        let (chain, signatures) = (parts.chain()?, parts.signatures()?);
        let header = parts.header(&chain)?;
        Ok(Self { header, signatures, signers: Vec::new(), trust: None, chain, size: parts.size })
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.size + self.header.index_size() + self.header.frames.stored
    }

    /// Where the frames begin in the file.
    #[must_use]
    pub fn frames_at(&self) -> u64 {
        self.size + self.header.index_size()
    }

    /// Checks the length of the file, as a server or a file system says it is.
    ///
    /// # Errors
    /// When it is shorter or longer than its own parts.
    pub fn check_file_size(&self, found: u64) -> Result<(), BundleError> {
        let expected = self.file_size();
        if found == expected { Ok(()) } else { Err(BundleError::Length { what: "file", found, expected }) }
    }
}

/// The bytes of a head, by its lengths.
struct Parts<'a> {
    header: &'a [u8],
    signatures: &'a [u8],
    chain: &'a [u8],
    size: u64,
}

impl<'a> Parts<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let prefix = Prefix::parse(bytes)?;
        let size = prefix.head_size();
        let Some(bytes) = bytes.get(..size) else {
            let (found, expected) = (bytes.len() as u64, size as u64);
            return Err(BundleError::Length { what: "head", found, expected });
        };
        let (header, rest) = bytes[PREFIX..].split_at(prefix.header);
        let (signatures, rest) = rest.split_at(SIGNATURES);
        let (chain, padding) = rest.split_at(prefix.chain);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(BundleError::Padding { after: "trust chain" });
        }
        Ok(Self { header, signatures, chain, size: size as u64 })
    }

    fn chain(&self) -> Result<Chain, BundleError> {
        let chain = Chain::parse(self.chain)?;
        if chain.render() != self.chain {
            let wrong = "it is not in its one form".to_owned();
            return Err(BundleError::Malformed { what: "trust chain", wrong });
        }
        Ok(chain)
    }

    fn signatures(&self) -> Result<Vec<String>, BundleError> {
        let malformed = |wrong: String| BundleError::Malformed { what: "list of signatures", wrong };
        let end = self.signatures.iter().position(|byte| *byte == 0).unwrap_or(SIGNATURES);
        let (text, padding) = self.signatures.split_at(end);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(BundleError::Padding { after: "signatures" });
        }
        let list: Vec<String> = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        if list.len() > SIGNATURES_MAX {
            return Err(malformed(format!("{} signatures, at most {SIGNATURES_MAX}", list.len())));
        }
        let one_form = serde_json::to_vec(&list).map_err(|error| malformed(error.to_string()))?;
        if one_form != text {
            return Err(malformed("it is not in its one form".to_owned()));
        }
        Ok(list)
    }

    fn header(&self, chain: &Chain) -> Result<Header, BundleError> {
        let header = header::Header::parse(self.header)?;
        let (found, expected) = (Digest::of(&chain.render()), header.chain);
        if found != expected {
            return Err(BundleError::Digest { what: "trust chain", found, expected });
        }
        Ok(header)
    }
}

/// The bytes of a head; the inverse of reading one.
///
/// # Errors
/// When a part is larger than is read.
pub(super) fn render(header: &Header, signatures: &[String], chain: &Chain) -> Result<Vec<u8>, BundleError> {
    let (header, chain) = (header.render(), chain.render());
    let mut list = serde_json::to_vec(signatures)
        .map_err(|error| BundleError::Malformed { what: "list of signatures", wrong: error.to_string() })?;
    for (field, found, most) in [
        ("header", header.len(), HEADER_MAX),
        ("area for signatures", list.len(), SIGNATURES),
        ("trust chain", chain.len(), CHAIN_MAX),
    ] {
        if found > most {
            return Err(BundleError::Bounds {
                field,
                found: found as u64,
                expected: format!("at most {most}"),
            });
        }
    }
    list.resize(SIGNATURES, 0);
    let mut bytes = MAGIC.to_vec();
    for part in [&header, &list, &chain] {
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&len.to_le_bytes());
    }
    [&header, &list, &chain].into_iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    Ok(bytes)
}
