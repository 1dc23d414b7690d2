//! The cluster's CA: what `/cacerts` answers, and the hash of it that a token carries.

use super::certificate::{Certificate, NotACertificate};
use contract::Digest;
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject as _},
    },
};
use subtle::ConstantTimeEq as _;

/// The certificates that decide who is our cluster. It exists only after its hash was compared, or after somebody
/// said aloud that it need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub(super) certificates: Vec<Certificate>,
    /// The hash that a token for this cluster carries.
    pub hash: Digest,
}

/// Why bytes are not the CA of our cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not PEM.
    #[error("the answer is no list of certificates in PEM")]
    Pem,
    /// PEM of something that is no certificate.
    #[error("certificate {number} of the answer: {source}")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// Why.
        source: NotACertificate,
    },
    /// None at all.
    #[error("the answer holds no certificate")]
    Empty,
    /// Another cluster's.
    #[error("the CA is {found}, the token says {expected}")]
    Mismatch {
        /// The hash of what was sent.
        found: Digest,
        /// The token's.
        expected: Digest,
    },
}

impl Bundle {
    /// Takes what `/cacerts` answered as our cluster's, if its hash at the time `at` is the token's. The comparison
    /// takes the same time wherever they differ.
    ///
    /// # Errors
    /// When these are no certificates, or another cluster's.
    pub fn pinned(body: &[u8], expected: &Digest, at: u64) -> Result<Self, BundleError> {
        let bundle = Self::unpinned(body, at)?;
        if !bool::from(bundle.hash.0.ct_eq(&expected.0)) {
            return Err(BundleError::Mismatch { found: bundle.hash, expected: *expected });
        }
        Ok(bundle)
    }

    /// Takes it as our cluster's without a hash: for a seed that says `allow-unpinned`, and for files of this node.
    ///
    /// # Errors
    /// When these are no certificates.
    pub fn unpinned(body: &[u8], at: u64) -> Result<Self, BundleError> {
        let certificates = read(body)?;
        let hash = hash(body, &certificates, at);
        Ok(Self { certificates, hash })
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let all = self.certificates.iter().map(|certificate| CertificateDer::from(certificate.der.clone()));
        // What cannot be a root is none: a server that needs it is then not verified.
        roots.add_parsable_certificates(all);
        roots
    }
}

/// The hash of a cluster's CA as tokens carry it, at a time in seconds since 1970. Source: k3s
/// `pkg/clientaccess/token.go`, `hashCA`: of one certificate the bytes of the whole answer; of several the DER of the
/// root above the first, or the whole answer where the first has no root among the others (or did not then).
///
/// # Errors
/// When these are no certificates.
pub fn ca_hash(body: &[u8], at: u64) -> Result<Digest, BundleError> {
    read(body).map(|certificates| hash(body, &certificates, at))
}

fn read(body: &[u8]) -> Result<Vec<Certificate>, BundleError> {
    let mut certificates = Vec::new();
    for (index, item) in CertificateDer::pem_slice_iter(body).enumerate() {
        let der = item.map_err(|_: pem::Error| BundleError::Pem)?;
        let parsed = Certificate::parse(&der);
        certificates.push(parsed.map_err(|source| BundleError::Certificate { number: index + 1, source })?);
    }
    if certificates.is_empty() { Err(BundleError::Empty) } else { Ok(certificates) }
}

fn hash(body: &[u8], certificates: &[Certificate], at: u64) -> Digest {
    let root = match certificates {
        [first, others @ ..] if !others.is_empty() => Climb { others, at, checks: 0 }.root_of(first, 0),
        _ => None,
    };
    root.map_or_else(|| Digest::of(body), |root| Digest::of(&root.der))
}

/// The way from a certificate up to its root.
struct Climb<'c> {
    others: &'c [Certificate],
    at: u64,
    checks: usize,
}

impl<'c> Climb<'c> {
    /// Signatures that are checked at most, as in Go's `crypto/x509`.
    const CHECKS: usize = 100;
    const DEPTH: usize = 8;

    fn root_of(&mut self, child: &'c Certificate, depth: usize) -> Option<&'c Certificate> {
        let others = self.others;
        if depth >= Self::DEPTH || !child.counts_at(self.at) {
            return None;
        }
        if others.iter().any(|other| is_root(other) && other.der == child.der) {
            return Some(child);
        }
        for root in others.iter().filter(|other| is_root(other)) {
            if root.counts_at(self.at) && self.signed(root, child) {
                return Some(root);
            }
        }
        for between in others.iter().filter(|other| !is_root(other)) {
            if between.authority == Some(true) && between.der != child.der && self.signed(between, child) {
                let found = self.root_of(between, depth + 1);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    fn signed(&mut self, parent: &Certificate, child: &Certificate) -> bool {
        if parent.subject != child.issuer || parent.authority == Some(false) {
            return false;
        }
        self.checks += 1;
        self.checks <= Self::CHECKS && verifies(parent, child)
    }
}

fn is_root(certificate: &Certificate) -> bool {
    let Certificate { authority_key, subject_key, .. } = certificate;
    authority_key.as_ref().is_none_or(Vec::is_empty) || authority_key == subject_key
}

/// Whether the child's signature is of the parent's key.
fn verifies(parent: &Certificate, child: &Certificate) -> bool {
    let algorithms = rustls_rustcrypto::provider().signature_verification_algorithms;
    algorithms.all.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == parent.key_kind
            && algorithm.signature_alg_id().as_ref() == child.signature_kind
            && algorithm.verify_signature(&parent.key, &child.signed, &child.signature).is_ok()
    })
}
