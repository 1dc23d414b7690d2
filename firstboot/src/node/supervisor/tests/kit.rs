//! A supervisor on loopback, with real TLS, that remembers every word that was said to it.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// 2026-06-15, a time at which the certificates of these tests count.
pub(crate) const NOW: u64 = 1_781_481_600;

/// A certificate that signs others.
pub(crate) struct Ca {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    params
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority(name);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn below(name: &str, above: &Self) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = authority(name);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &above.issuer).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate, from and to the first of January of these years.
    pub(crate) fn leaf(
        &self,
        names: &[&str],
        key: &KeyPair,
        years: (i32, i32),
    ) -> Vec<CertificateDer<'static>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        vec![params.signed_by(key, &self.issuer).unwrap().der().clone()]
    }
}

impl Ca {
    /// A node's certificate, in PEM.
    pub(crate) fn client(&self, key: &KeyPair) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "system:node:pi3");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

/// What a server answers.
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    /// A byte now and then, for ever.
    Drip,
    /// Nothing, and the connection stays.
    Hang,
}

/// An answer in HTTP.
pub(crate) fn http(status: u16, body: &[u8]) -> Reply {
    let mut bytes = format!(
        "HTTP/1.0 {status} X\r\nDate: Mon, 15 Jun 2026 00:00:07 GMT\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    Reply::Bytes(bytes)
}

/// The time that [`http`] says.
pub(crate) const DATE: u64 = 1_781_481_607;

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    pub(crate) fn start(
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        versions: &[&'static SupportedProtocolVersion],
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_for(None, chain, key, versions, answer)
    }

    /// The same, for clients with a certificate of this CA only.
    pub(crate) fn start_for(
        clients: Option<&Ca>,
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        versions: &[&'static SupportedProtocolVersion],
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = clients.map(|ca| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from(ca.der.clone())).unwrap();
            let roots = Arc::new(roots);
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .unwrap()
        });
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = match verifier {
            None => config.with_no_client_auth(),
            Some(verifier) => config.with_client_cert_verifier(verifier),
        };
        let config = Arc::new(config.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (ears, answer) = (Arc::clone(&heard), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, ears, answer) = (Arc::clone(&config), Arc::clone(&ears), Arc::clone(&answer));
                thread::spawn(move || serve(stream, config, &ears, &*answer));
            }
        });
        Self { address, heard }
    }

    /// Everything that was said to it, inside of TLS.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    ears: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> Reply,
) {
    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let (mut said, mut piece) = (Vec::new(), [0; 1024]);
    while !said.ends_with(b"\r\n\r\n") {
        match tls.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => said.extend_from_slice(&piece[..read]),
        }
    }
    if said.is_empty() {
        return;
    }
    let said = String::from_utf8(said).unwrap();
    ears.lock().unwrap().push(said.clone());
    let path = said.split(' ').nth(1).unwrap_or("").to_owned();
    match answer(&path) {
        Reply::Bytes(bytes) => {
            // The client may have hung up already: that is what some tests are about.
            if tls.write_all(&bytes).is_ok() {
                tls.conn.send_close_notify();
                drop(tls.flush());
            }
        }
        Reply::Drip => {
            while tls.write_all(b"H").and_then(|()| tls.flush()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Reply::Hang => thread::sleep(Duration::from_secs(30)),
    }
}
