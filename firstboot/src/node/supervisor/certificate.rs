//! What a certificate says (X.509, RFC 5280), as far as we ask. It judges nothing but whether the bytes are one.

use der::{
    AnyRef, Decode as _, Reader as _, SliceReader, Tag, Tagged as _,
    asn1::{GeneralizedTime, UtcTime},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its bytes.
    pub der: Vec<u8>,
    /// From when it counts, in seconds since 1970.
    pub not_before: u64,
    /// Until when.
    pub not_after: u64,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// The part that is signed, whole.
    pub(super) signed: Vec<u8>,
    /// Who it is, as DER.
    pub(super) subject: Vec<u8>,
    /// Who signed it, as DER.
    pub(super) issuer: Vec<u8>,
    /// The kind of its key: inside of the `AlgorithmIdentifier`.
    pub(super) key_kind: Vec<u8>,
    /// Its key.
    pub(super) key: Vec<u8>,
    /// How it is signed: inside of the `AlgorithmIdentifier`.
    pub(super) signature_kind: Vec<u8>,
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// Whether it may sign others: `None` when it does not say.
    pub(super) authority: Option<bool>,
    /// The id of the key that signed it.
    pub(super) authority_key: Option<Vec<u8>>,
    /// The id of its own key.
    pub(super) subject_key: Option<Vec<u8>>,
}

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no X.509 certificate ({part})")]
pub struct NotACertificate {
    /// Where reading stopped.
    pub part: &'static str,
}

/// A certificate is larger than this only to do harm.
const LIMIT: usize = 64 << 10;

impl Certificate {
    /// Reads one from its DER form.
    ///
    /// # Errors
    /// When the bytes are not one certificate, whole and alone.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotACertificate> {
        if bytes.len() > LIMIT {
            return Err(NotACertificate { part: "size" });
        }
        let mut whole = Elements::new(bytes, "certificate")?;
        let mut outer = whole.open(Tag::Sequence)?;
        whole.end()?;
        outer.part = "signed part";
        let signed = outer.raw()?;
        outer.part = "signature";
        let signature_kind = outer.take(Tag::Sequence)?.to_vec();
        let signature = bits(outer.take(Tag::BitString)?, "signature")?.to_vec();
        outer.end()?;
        let mut certificate = Self { der: bytes.to_vec(), signature_kind, signature, ..read_signed(signed)? };
        certificate.signed = signed.to_vec();
        Ok(certificate)
    }

    /// Whether it counts at this time.
    #[must_use]
    pub fn counts_at(&self, at: u64) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }
}

fn read_signed(bytes: &[u8]) -> Result<Certificate, NotACertificate> {
    let mut inner = Elements::new(bytes, "signed part")?.open(Tag::Sequence)?;
    inner.skip_if(VERSION)?;
    inner.take(Tag::Integer)?;
    inner.take(Tag::Sequence)?;
    inner.part = "issuer";
    let issuer = inner.raw()?.to_vec();
    inner.part = "validity";
    let mut validity = inner.open(Tag::Sequence)?;
    let (not_before, not_after) = (validity.time()?, validity.time()?);
    inner.part = "subject";
    let subject = inner.raw()?.to_vec();
    inner.part = "key";
    let mut key = inner.open(Tag::Sequence)?;
    let key_kind = key.take(Tag::Sequence)?.to_vec();
    let key = bits(key.take(Tag::BitString)?, "key")?.to_vec();
    inner.part = "extensions";
    inner.skip_if(ISSUER_ID)?;
    inner.skip_if(SUBJECT_ID)?;
    let mut certificate = Certificate {
        der: Vec::new(),
        not_before,
        not_after,
        names: Vec::new(),
        signed: Vec::new(),
        subject,
        issuer,
        key_kind,
        key,
        signature_kind: Vec::new(),
        signature: Vec::new(),
        authority: None,
        authority_key: None,
        subject_key: None,
    };
    if let Some(extensions) = inner.skip_if(EXTENSIONS)? {
        let mut list = Elements::new(extensions, "extensions")?.open(Tag::Sequence)?;
        while !list.done() {
            extension(list.open(Tag::Sequence)?, &mut certificate)?;
        }
    }
    inner.end()?;
    Ok(certificate)
}

// Tags that depend on their context, as their first byte (constructed 0xa0, primitive 0x80).
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
const KEY_ID: u8 = 0x80;
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;

fn extension(mut list: Elements<'_>, into: &mut Certificate) -> Result<(), NotACertificate> {
    let id = list.take(Tag::ObjectIdentifier)?;
    if list.peek() == Some(Tag::Boolean.octet()) {
        list.take(Tag::Boolean)?;
    }
    let value = list.take(Tag::OctetString)?;
    list.end()?;
    match id {
        // 2.5.29.17, subjectAltName
        [0x55, 0x1d, 0x11] => {
            let mut names = Elements::new(value, "names")?.open(Tag::Sequence)?;
            while !names.done() {
                let name = names.any()?;
                match name.tag().octet() {
                    DNS_NAME => into.names.push(String::from_utf8_lossy(name.value()).into_owned()),
                    ADDRESS => into.names.extend(address(name.value())),
                    _ => {}
                }
            }
        }
        // 2.5.29.19, basicConstraints
        [0x55, 0x1d, 0x13] => {
            let mut constraints = Elements::new(value, "constraints")?.open(Tag::Sequence)?;
            let says = constraints.peek() == Some(Tag::Boolean.octet());
            into.authority = Some(says && constraints.take(Tag::Boolean)? == [0xff]);
        }
        // 2.5.29.35, authorityKeyIdentifier
        [0x55, 0x1d, 0x23] => {
            let mut ids = Elements::new(value, "authority's key id")?.open(Tag::Sequence)?;
            into.authority_key = ids.skip_if(KEY_ID)?.map(<[u8]>::to_vec);
        }
        // 2.5.29.14, subjectKeyIdentifier
        [0x55, 0x1d, 0x0e] => {
            let id = Elements::new(value, "key id")?.take(Tag::OctetString)?;
            into.subject_key = Some(id.to_vec());
        }
        _ => {}
    }
    Ok(())
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|four| Ipv4Addr::from(four).to_string());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|long| Ipv6Addr::from(long).to_string())).ok()
}

fn bits<'a>(content: &'a [u8], part: &'static str) -> Result<&'a [u8], NotACertificate> {
    // The first byte counts the bits that are not used.
    content.strip_prefix(&[0]).ok_or(NotACertificate { part })
}

/// Elements of DER, one behind the other.
struct Elements<'a> {
    reader: SliceReader<'a>,
    part: &'static str,
}

impl<'a> Elements<'a> {
    fn new(bytes: &'a [u8], part: &'static str) -> Result<Self, NotACertificate> {
        let reader = SliceReader::new(bytes).map_err(|_| NotACertificate { part })?;
        Ok(Self { reader, part })
    }

    fn wrong(&self) -> NotACertificate {
        NotACertificate { part: self.part }
    }

    fn done(&self) -> bool {
        self.reader.is_finished()
    }

    fn end(self) -> Result<(), NotACertificate> {
        if self.done() { Ok(()) } else { Err(self.wrong()) }
    }

    fn peek(&self) -> Option<u8> {
        self.reader.peek_byte()
    }

    fn raw(&mut self) -> Result<&'a [u8], NotACertificate> {
        self.reader.tlv_bytes().map_err(|_| self.wrong())
    }

    fn any(&mut self) -> Result<AnyRef<'a>, NotACertificate> {
        AnyRef::decode(&mut self.reader).map_err(|_| self.wrong())
    }

    fn take(&mut self, tag: Tag) -> Result<&'a [u8], NotACertificate> {
        let any = self.any()?;
        if any.tag() == tag { Ok(any.value()) } else { Err(self.wrong()) }
    }

    fn open(&mut self, tag: Tag) -> Result<Self, NotACertificate> {
        Self::new(self.take(tag)?, self.part)
    }

    fn skip_if(&mut self, octet: u8) -> Result<Option<&'a [u8]>, NotACertificate> {
        if self.peek() != Some(octet) {
            return Ok(None);
        }
        self.any().map(|any| Some(any.value()))
    }

    fn time(&mut self) -> Result<u64, NotACertificate> {
        let any = self.any()?;
        let time = match any.tag() {
            Tag::UtcTime => any.decode_as::<UtcTime>().map(|time| time.to_unix_duration()),
            _ => any.decode_as::<GeneralizedTime>().map(|time| time.to_unix_duration()),
        };
        time.map(|time| time.as_secs()).map_err(|_| self.wrong())
    }
}
