//! Tiny signed bundles for tests, in memory, with keys that are no secret.

use super::{Head, Header, Index, Kind, Part, SCHEMA, Uki, header::FrameTable, write};
use crate::{
    Arch, Digest, Epoch,
    signature::{PublicKey, prehash, show_key_id},
    trust::{Chain, SignedTrust, Trust},
    verity::{BLOCK, Tree},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signer as _, SigningKey};

/// A key for tests: the same number is the same key.
#[derive(Clone, Debug)]
pub struct TestKey {
    id: [u8; 8],
    key: SigningKey,
}

impl TestKey {
    /// The key with this number.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self { id: [number; 8], key: SigningKey::from_bytes(&[number; 32]) }
    }

    /// A key with this number's id and another one's secret.
    #[must_use]
    pub fn with_id(number: u8, secret: u8) -> Self {
        Self { id: [number; 8], key: SigningKey::from_bytes(&[secret; 32]) }
    }

    /// Its public half.
    ///
    /// # Panics
    /// Never: every secret has one.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = [&b"Ed"[..], &self.id, self.key.verifying_key().as_bytes()].concat();
        PublicKey::parse(&BASE64.encode(bytes)).expect("a point of the curve")
    }

    /// The text of a signature in its one form.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        let comment = "for a test";
        let body = self.key.sign(&prehash(message)).to_bytes();
        let global = self.key.sign(&[&body[..], comment.as_bytes()].concat()).to_bytes();
        let body = BASE64.encode([&b"ED"[..], &self.id, &body].concat());
        let id = show_key_id(self.id);
        format!(
            "untrusted comment: signed with key {id}\n{body}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode(global)
        )
    }
}

/// A trust of test keys.
///
/// # Panics
/// When its rules do not allow it.
#[must_use]
pub fn trust(version: u32, threshold: u32, keys: &[u8]) -> Trust {
    let keys: Vec<PublicKey> = keys.iter().map(|number| TestKey::new(*number).public()).collect();
    Trust::new(version, threshold, &keys).expect("a trust that its rules allow")
}

/// A trust, signed by test keys.
#[must_use]
pub fn signed(trust: Trust, by: &[u8]) -> SignedTrust {
    let signatures = by.iter().map(|number| TestKey::new(*number).sign(&trust.render())).collect();
    SignedTrust { trust, signatures }
}

/// Makes one zstd frame of blocks.
pub type Compress = fn(&[u8]) -> Vec<u8>;

/// What a test bundle is made of. Change what the test is about.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The root file system, whole blocks.
    pub root: Vec<u8>,
    /// The kernel image.
    pub uki: Vec<u8>,
    /// The header; sizes, hashes and frames are filled in.
    pub header: Header,
    /// The chain that it carries.
    pub chain: Chain,
    /// The numbers of the keys that sign it.
    pub signers: Vec<u8>,
    /// Makes one zstd frame of blocks. None: everything is stored as it is.
    pub compress: Option<Compress>,
}

/// A finished bundle, and what a test wants to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its header.
    pub header: Header,
    /// Its index.
    pub index: Index,
}

/// Bytes that do not compress, the same for the same seed.
#[must_use]
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

impl Default for Recipe {
    /// A root of 61 blocks (zeros, text, noise), a kernel image of 5 and a half, trust version 1 of keys 1 and 2 of
    /// which one must sign, signed with key 1.
    fn default() -> Self {
        let text = b"the same words over and over again, as the names in a directory are. ";
        let text: Vec<u8> = text.iter().copied().cycle().take(20 * BLOCK).collect();
        let root = [vec![0; BLOCK], text, noise(40 * BLOCK, 1)].concat();
        let uki = noise(5 * BLOCK + 2000, 2);
        let chain = Chain(vec![SignedTrust { trust: trust(1, 1, &[1, 2]), signatures: Vec::new() }]);
        let zero = Digest([0; 32]);
        let header = Header {
            schema: SCHEMA.to_owned(),
            product: "nas".to_owned(),
            arch: Arch::X86_64,
            boards: vec!["uefi".to_owned()],
            layout: super::LAYOUT.to_owned(),
            version: "20260905-081320-0123abcd".to_owned(),
            epoch: Epoch(1_788_596_000),
            content_id: Digest::of(b"content"),
            sequence: 1_788_596_000,
            floor: 0,
            trust: 1,
            chain: zero,
            root: Part {
                size: 0,
                data_blocks: 0,
                root_hash: zero,
                salt: Digest::of(b"nas x86_64"),
                uuid: "00112233445566778899aabbccddeeff".to_owned(),
            },
            uki: Uki { size: 0, data_blocks: 0, root_hash: zero },
            frames: FrameTable { count: 0, sha256: zero, stored: 0 },
            k3s: Some("v1.34.3+k3s1".to_owned()),
            lab: Vec::new(),
        };
        Self { root, uki, header, chain, signers: vec![1], compress: None }
    }
}

impl Recipe {
    /// Makes it.
    ///
    /// # Panics
    /// When what it is made of is no bundle.
    #[must_use]
    pub fn make(&self) -> Made {
        let salt = self.header.root.salt;
        let tree = |data: &[u8]| Tree::over(&salt.0, data).expect("data that is not empty");
        let (root, uki) = (tree(&self.root), tree(&self.uki));
        let padded: Vec<u8> = {
            let mut uki = self.uki.clone();
            uki.resize(uki.len().next_multiple_of(BLOCK), 0);
            uki
        };
        let (mut table, mut frames, mut count) = (Vec::new(), Vec::new(), 0);
        for (tree, data) in [(&root, &self.root), (&uki, &padded)] {
            let same =
                |block: usize| data[block * BLOCK..][..BLOCK].windows(2).filter(|it| it[0] == it[1]).count();
            let mut rest = &data[..];
            for blocks in write::cut(tree.leaves(), |block| same(block) > BLOCK / 2) {
                let (blocks, after) = rest.split_at(usize::from(blocks) * BLOCK);
                let packed = write::Packed::smaller(blocks, self.compress.map(|compress| compress(blocks)));
                table.extend(packed.entry());
                frames.extend(packed.bytes);
                count += 1;
                rest = after;
            }
        }
        let mut header = self.header.clone();
        header.chain = Digest::of(&self.chain.render());
        header.root = Part {
            size: self.root.len() as u64,
            data_blocks: root.data_blocks(),
            root_hash: Digest(*root.root()),
            ..header.root
        };
        header.uki = Uki {
            size: self.uki.len() as u64,
            data_blocks: uki.data_blocks(),
            root_hash: Digest(*uki.root()),
        };
        header.frames = FrameTable { count, sha256: Digest::of(&table), stored: frames.len() as u64 };
        let signatures: Vec<String> =
            self.signers.iter().map(|number| TestKey::new(*number).sign(&header.render())).collect();
        let head = write::head(&header, &signatures, &self.chain).expect("a head within its bounds");
        let index_bytes = write::index(&root, &uki, &table);
        let parsed = Head::unverified(&head).expect("the head that was just written");
        let index = Index::parse(&parsed, index_bytes.clone()).expect("the index that was just written");
        Made { bytes: [head, index_bytes, frames].concat(), header, index }
    }
}

/// How far an installation came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why it ended.
    pub error: super::BundleError,
    /// Blocks that would have been written before it did.
    pub written: u64,
}

/// Reads a whole bundle as a node with an empty slot does, in the node's order: root and kernel image.
///
/// # Errors
/// The first thing that is not as it should be, and how many blocks were let through before it.
pub fn install(
    bytes: &[u8],
    trust: &Trust,
    inflate: impl Fn(&[u8], usize) -> Result<Vec<u8>, String>,
) -> Result<(Vec<u8>, Vec<u8>), Refused> {
    let early = |error| Refused { error, written: 0 };
    let head = Head::read(bytes, trust).map_err(early)?;
    head.check_file_size(bytes.len() as u64).map_err(early)?;
    let range = |offset: u64, size: u64| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        &bytes[start..start + usize::try_from(size).unwrap_or(usize::MAX)]
    };
    let index = range(head.size, head.header.index_size()).to_vec();
    let index = Index::parse(&head, index).map_err(early)?;
    let (mut parts, mut written) = (Vec::new(), 0);
    for kind in [Kind::Root, Kind::Uki] {
        let mut part = Vec::new();
        let plan = super::plan(&index, kind, |_| false, &[], 0);
        for piece in plan.fetches.iter().flat_map(|fetch| &fetch.pieces) {
            let blocks = index.open(piece, range(piece.offset, piece.size), &inflate);
            part.extend(blocks.map_err(|error| Refused { error, written })?);
            written += piece.blocks;
        }
        parts.push(part);
    }
    let mut uki = parts.pop().unwrap_or_default();
    uki.truncate(usize::try_from(head.header.uki.size).unwrap_or(usize::MAX));
    Ok((parts.pop().unwrap_or_default(), uki))
}

/// Puts another header into a bundle, signed anew: for what only a signer could do wrong.
///
/// # Panics
/// When the bundle is none, or the header one that is not written.
#[must_use]
pub fn with_header(bytes: &[u8], change: impl FnOnce(&mut Header), signers: &[u8]) -> Vec<u8> {
    let mut head = Head::unverified(bytes).expect("a bundle");
    let rest = usize::try_from(head.size).unwrap_or(usize::MAX);
    change(&mut head.header);
    let signatures: Vec<String> =
        signers.iter().map(|number| TestKey::new(*number).sign(&head.header.render())).collect();
    let head = write::head(&head.header, &signatures, &head.chain).expect("a header that is written");
    [&head, &bytes[rest..]].concat()
}

/// Unpacks nothing: for bundles without zstd frames.
///
/// # Errors
/// Always.
pub fn no_zstd(_: &[u8], _: usize) -> Result<Vec<u8>, String> {
    Err("this test has no zstd".to_owned())
}
