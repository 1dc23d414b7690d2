//! Just enough of X.509 to name certificates as `openssl rehash` does: PEM, the subject, its canonical form.
//!
//! The name's hash (`X509_NAME_hash` of OpenSSL 1.0 and later) is SHA-1 over the canonical subject: each
//! attribute's text as UTF-8 in lower case with runs of white space made one, each set of attributes in DER,
//! without the outer sequence's header; its first four bytes, little endian.

use sha1::{Digest as _, Sha1};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;

/// The only certificate in a PEM text, as DER.
pub(super) fn from_pem(text: &str) -> Result<Vec<u8>, String> {
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        return Err("expected exactly one PEM block".to_owned());
    };
    let body = block.split_once("-----\n").filter(|(label, _)| label.trim_end() == "CERTIFICATE");
    let body = body.and_then(|(_, body)| body.split_once("-----END CERTIFICATE-----"));
    let (body, _) = body.ok_or("expected a PEM block `CERTIFICATE`")?;
    base64(body).ok_or_else(|| "its base64 is malformed".to_owned())
}

/// RFC 4648, section 4, white space skipped.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    let mut ended = false;
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace()) {
        let value = match letter {
            b'=' => {
                ended = true;
                continue;
            }
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        if ended {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// The hash of a certificate's subject, as eight hexadecimal digits.
pub(super) fn subject_hash(der: &[u8]) -> Result<String, String> {
    let truncated = || "its DER ends too early".to_owned();
    let mut outer = Reader(der);
    let certificate = outer.take(SEQUENCE).ok_or_else(truncated)?;
    let body = Reader(certificate).take(SEQUENCE).ok_or_else(truncated)?;
    let mut fields = Reader(body);
    // TBSCertificate: [0] version, serial number, algorithm, issuer, validity, subject.
    if body.first() == Some(&0xa0) {
        fields.any().ok_or_else(truncated)?;
    }
    for _ in 0..4 {
        fields.any().ok_or_else(truncated)?;
    }
    let subject = fields.take(SEQUENCE).ok_or_else(truncated)?;
    let canonical = canonical(subject).ok_or("its subject is malformed")?;
    let hash = Sha1::digest(canonical);
    Ok(format!("{:02x}{:02x}{:02x}{:02x}", hash[3], hash[2], hash[1], hash[0]))
}

fn canonical(subject: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut sets = Reader(subject);
    while !sets.0.is_empty() {
        let mut attributes = Reader(sets.take(SET)?);
        let mut encoded = Vec::new();
        while !attributes.0.is_empty() {
            let mut attribute = Reader(attributes.take(SEQUENCE)?);
            let (id_tag, id) = attribute.any()?;
            let (tag, value) = attribute.any()?;
            let mut inner = element(id_tag, id);
            match text(tag, value)? {
                Some(text) => inner.extend(element(UTF8, normal(&text).as_bytes())),
                None => inner.extend(element(tag, value)),
            }
            encoded.push(element(SEQUENCE, &inner));
        }
        // DER orders the members of a set.
        encoded.sort();
        bytes.extend(element(SET, &encoded.concat()));
    }
    Some(bytes)
}

/// A value as text when it is one of the string types that OpenSSL makes canonical.
fn text(tag: u8, value: &[u8]) -> Option<Option<String>> {
    let latin = |value: &[u8]| value.iter().map(|byte| char::from(*byte)).collect::<String>();
    Some(Some(match tag {
        // UTF8String
        0x0c => String::from_utf8(value.to_vec()).ok()?,
        // PrintableString, TeletexString, IA5String, VisibleString
        0x13 | 0x14 | 0x16 | 0x1a => latin(value),
        // UniversalString
        0x1c => value
            .chunks(4)
            .map(|word| char::from_u32(u32::from_be_bytes(word.try_into().ok()?)))
            .collect::<Option<String>>()?,
        // BMPString
        0x1e => {
            let words = value.chunks(2).map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
            String::from_utf16(&words.collect::<Option<Vec<u16>>>()?).ok()?
        }
        _ => return Some(None),
    }))
}

/// ASCII letters in lower case, white space at the ends gone, runs of it one space.
fn normal(text: &str) -> String {
    let space = |letter: char| matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let words: Vec<&str> = text.split(space).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    if value.len() >= 0x80 {
        bytes.push(0x80 | length.len() as u8);
    }
    bytes.extend(length);
    bytes.extend(value);
    bytes
}

/// The elements of a DER value, one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (length, rest) = match first & 0x7f {
            short if first & 0x80 == 0 => (usize::from(short), rest),
            count @ 1..=4 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(count))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}
