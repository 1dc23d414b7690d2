//! Certificates: P-256, as k3s makes them.

use crate::{Error, Result};
use p256::{
    ecdsa::{DerSignature, SigningKey, VerifyingKey, signature::Verifier as _},
    elliptic_curve::rand_core::{OsRng, RngCore as _},
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use x509_cert::{
    Certificate,
    builder::{Builder as _, CertificateBuilder, Profile, RequestBuilder},
    der::{
        Decode as _, Encode as _, EncodePem as _,
        asn1::{Ia5String, OctetString},
        oid::ObjectIdentifier,
    },
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, name::GeneralName},
    name::Name,
    request::CertReq,
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};

/// RFC 5280, id-kp-serverAuth and id-kp-clientAuth.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const DAY: Duration = Duration::from_secs(86_400);

/// A CA with its key.
#[derive(Clone)]
pub struct Authority {
    certificate: Certificate,
    key: SigningKey,
    /// The certificates above, in PEM.
    above: String,
}

/// What a certificate is for.
#[derive(Clone, Debug)]
pub enum Use {
    /// A server of these names and addresses.
    Server(Vec<String>),
    /// A client.
    Client,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As long as k3s's: a year from when the CA began.
    Now,
    /// From 30 days on.
    Later,
    /// Until yesterday.
    Before,
}

impl Authority {
    /// A new root, valid for ten years from now.
    pub fn root(name: &str) -> Result<Self> {
        let key = SigningKey::random(&mut OsRng);
        let name = subject(name, None)?;
        let certificate = ca(Profile::Root, name, &key, &key)?;
        Ok(Self { certificate, key, above: String::new() })
    }

    /// A new authority below this one.
    pub fn under(&self, name: &str) -> Result<Self> {
        let key = SigningKey::random(&mut OsRng);
        let issuer = self.certificate.tbs_certificate.subject.clone();
        let profile = Profile::SubCA { issuer, path_len_constraint: None };
        let certificate = ca(profile, subject(name, None)?, &key, &self.key)?;
        Ok(Self { certificate, key, above: self.pem()? })
    }

    /// One that was made before: its certificate first, then those above.
    pub fn load(bundle: &str, key: &str) -> Result<Self> {
        let read = "read a CA";
        let mut certificates = Certificate::load_pem_chain(bundle.as_bytes()).map_err(Error::pki(read))?;
        if certificates.is_empty() {
            return Err(Error::Pki { what: read, why: "no certificate".into() });
        }
        let rest = certificates.split_off(1);
        let above = rest.iter().map(pem_of).collect::<Result<String>>()?;
        Ok(Self { certificate: certificates.remove(0), key: key_from_pem(key)?, above })
    }

    /// Its certificate and those above, in PEM.
    pub fn pem(&self) -> Result<String> {
        Ok(pem_of(&self.certificate)? + &self.above)
    }

    /// Its key in PEM.
    pub fn key_pem(&self) -> Result<String> {
        key_pem(&self.key)
    }

    /// A certificate for the holder of `key` (SubjectPublicKeyInfo in DER), in PEM with the bundle behind it.
    pub fn issue(
        &self,
        name: &str,
        group: Option<&str>,
        usage: &Use,
        when: When,
        key: &[u8],
    ) -> Result<String> {
        let what = "issue a certificate";
        let spki = SubjectPublicKeyInfoOwned::from_der(key).map_err(Error::pki(what))?;
        let issuer = self.certificate.tbs_certificate.subject.clone();
        let profile = Profile::Leaf { issuer, enable_key_agreement: false, enable_key_encipherment: true };
        let began = self.certificate.tbs_certificate.validity.not_before.to_system_time();
        let now = SystemTime::now();
        let (from, until) = match when {
            When::Now => (began, now + 365 * DAY),
            When::Later => (now + 30 * DAY, now + 395 * DAY),
            When::Before => (now - 300 * DAY, now - DAY),
        };
        let name = subject(name, group)?;
        let mut builder =
            CertificateBuilder::new(profile, serial()?, validity(from, until)?, name, spki, &self.key)
                .map_err(Error::pki(what))?;
        let purpose = match usage {
            Use::Server(names) => {
                let names = names.iter().map(|name| general_name(name)).collect::<Result<Vec<_>>>()?;
                builder.add_extension(&SubjectAltName(names)).map_err(Error::pki(what))?;
                SERVER_AUTH
            }
            Use::Client => CLIENT_AUTH,
        };
        builder.add_extension(&ExtendedKeyUsage(vec![purpose])).map_err(Error::pki(what))?;
        let certificate = builder.build::<DerSignature>().map_err(Error::pki(what))?;
        Ok(pem_of(&certificate)? + &self.pem()?)
    }
}

fn ca(profile: Profile, name: Name, key: &SigningKey, signer: &SigningKey) -> Result<Certificate> {
    let what = "make a CA";
    let now = SystemTime::now();
    let spki = SubjectPublicKeyInfoOwned::from_der(&public(key)?).map_err(Error::pki(what))?;
    CertificateBuilder::new(profile, serial()?, validity(now, now + 3650 * DAY)?, name, spki, signer)
        .and_then(x509_cert::builder::Builder::build::<DerSignature>)
        .map_err(Error::pki(what))
}

/// A new key in PEM, and its public half in DER.
pub fn new_key() -> Result<(String, Vec<u8>)> {
    let key = SigningKey::random(&mut OsRng);
    Ok((key_pem(&key)?, public(&key)?))
}

/// A certificate request with an empty subject, in DER, for a key in PEM.
pub fn request(key: &str) -> Result<Vec<u8>> {
    let what = "make a certificate request";
    let key = key_from_pem(key)?;
    let request = RequestBuilder::new(Name::default(), &key)
        .and_then(x509_cert::builder::Builder::build::<DerSignature>)
        .map_err(Error::pki(what))?;
    request.to_der().map_err(Error::pki(what))
}

/// The public key (DER) of a request that its holder signed.
pub fn requested(der: &[u8]) -> Result<Vec<u8>> {
    let what = "read a certificate request";
    let request = CertReq::from_der(der).map_err(Error::pki(what))?;
    let spki = request.info.public_key.to_der().map_err(Error::pki(what))?;
    let key = <p256::PublicKey as p256::pkcs8::DecodePublicKey>::from_public_key_der(&spki);
    let key = VerifyingKey::from(key.map_err(Error::pki(what))?);
    let signature = DerSignature::from_bytes(request.signature.raw_bytes()).map_err(Error::pki(what))?;
    let signed = request.info.to_der().map_err(Error::pki(what))?;
    key.verify(&signed, &signature).map_err(Error::pki(what))?;
    Ok(spki)
}

/// The certificates of a bundle, in DER.
pub fn certificates(bundle: &str) -> Result<Vec<Vec<u8>>> {
    let what = "read certificates";
    let read = Certificate::load_pem_chain(bundle.as_bytes()).map_err(Error::pki(what))?;
    read.iter().map(|certificate| certificate.to_der().map_err(Error::pki(what))).collect()
}

/// Whether a certificate names itself as its issuer.
#[must_use]
pub fn is_self_issued(der: &[u8]) -> bool {
    Certificate::from_der(der)
        .is_ok_and(|found| found.tbs_certificate.issuer == found.tbs_certificate.subject)
}

/// A certificate's common name and groups (O).
pub fn holder(der: &[u8]) -> Result<(String, Vec<String>)> {
    let certificate = Certificate::from_der(der).map_err(Error::pki("read a client certificate"))?;
    let (mut name, mut groups) = (String::new(), Vec::new());
    // RFC 4514: `CN=system:node:pi3,O=system:nodes`.
    for part in certificate.tbs_certificate.subject.to_string().split(',') {
        match part.split_once('=') {
            Some(("CN", value)) => value.clone_into(&mut name),
            Some(("O", value)) => groups.push(value.to_owned()),
            _ => {}
        }
    }
    Ok((name, groups))
}

/// So many random bytes, in hexadecimal digits.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    OsRng.fill_bytes(&mut random);
    hex::encode(random)
}

fn subject(name: &str, group: Option<&str>) -> Result<Name> {
    let group = group.map(|group| format!(",O={group}")).unwrap_or_default();
    format!("CN={name}{group}").parse().map_err(Error::pki("make a name"))
}

fn general_name(name: &str) -> Result<GeneralName> {
    let what = "make an alternative name";
    Ok(match name.parse() {
        Ok(IpAddr::V4(ip)) => {
            GeneralName::IpAddress(OctetString::new(ip.octets()).map_err(Error::pki(what))?)
        }
        Ok(IpAddr::V6(ip)) => {
            GeneralName::IpAddress(OctetString::new(ip.octets()).map_err(Error::pki(what))?)
        }
        Err(_) => GeneralName::DnsName(Ia5String::new(name).map_err(Error::pki(what))?),
    })
}

fn serial() -> Result<SerialNumber> {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 1;
    SerialNumber::new(&bytes).map_err(Error::pki("make a serial number"))
}

/// Whole seconds: X.509 has no others.
fn validity(from: SystemTime, until: SystemTime) -> Result<Validity> {
    let time = |at: SystemTime| {
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Time::try_from(UNIX_EPOCH + Duration::from_secs(seconds)).map_err(Error::pki("make a validity"))
    };
    Ok(Validity { not_before: time(from)?, not_after: time(until)? })
}

fn public(key: &SigningKey) -> Result<Vec<u8>> {
    let der = key.verifying_key().to_public_key_der().map_err(Error::pki("encode a public key"))?;
    Ok(der.as_bytes().to_vec())
}

fn key_pem(key: &SigningKey) -> Result<String> {
    Ok(key.to_pkcs8_pem(LineEnding::LF).map_err(Error::pki("encode a key"))?.to_string())
}

fn key_from_pem(pem: &str) -> Result<SigningKey> {
    SigningKey::from_pkcs8_pem(pem).map_err(Error::pki("read a key"))
}

fn pem_of(certificate: &Certificate) -> Result<String> {
    certificate.to_pem(LineEnding::LF).map_err(Error::pki("encode a certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_believed_only_with_its_signature() {
        let (key, public) = new_key().unwrap();
        let mut der = request(&key).unwrap();
        assert_eq!(requested(&der).unwrap(), public);
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(requested(&der).is_err());
    }

    #[test]
    fn who_holds_a_certificate_is_read_back() {
        let root = Authority::root("k3s-client-ca").unwrap();
        let (_, public) = new_key().unwrap();
        let pem =
            root.issue("system:node:pi3", Some("system:nodes"), &Use::Client, When::Now, &public).unwrap();
        let der = certificates(&pem).unwrap();
        assert_eq!(der.len(), 2);
        assert_eq!(holder(&der[0]).unwrap(), ("system:node:pi3".into(), vec!["system:nodes".into()]));
        let again = Authority::load(&root.pem().unwrap(), &root.key_pem().unwrap()).unwrap();
        assert_eq!(again.pem().unwrap(), root.pem().unwrap());
    }
}
