//! TLS with a deadline over everything, and three kinds of trust.

use super::{Bundle, certificate::Certificate};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The name that a supervisor's certificate is for, whatever its address is: k3s's agent reaches every server through
/// its own port on 127.0.0.1, so that is the name it verifies.
const NAME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Who this node is to the server, by a certificate.
pub struct ClientKey {
    /// Its certificates in PEM.
    pub certificates: Vec<u8>,
    /// Its key in PEM.
    pub key: Vec<u8>,
}

/// A connection that gives up at its deadline, however slowly the other side goes on.
pub(super) struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    pub(super) fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, deadline })
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whom we believe.
#[derive(Clone, Copy)]
pub(super) enum Trust<'a> {
    /// Whoever answers: for what is no secret and is compared afterwards.
    Blind,
    /// Who has a certificate of this CA that counts at this time.
    Pinned { bundle: &'a Bundle, at: u64 },
}

/// The certificate that the other side showed, for messages.
pub(super) type Shown = Arc<Mutex<Option<Certificate>>>;

/// Begins TLS on a connection; the handshake happens with the first byte that is written.
pub(super) fn open(
    stream: Timed,
    trust: Trust<'_>,
    key: Option<&ClientKey>,
    shown: &Shown,
) -> Result<StreamOwned<ClientConnection, Timed>, rustls::Error> {
    let provider = Arc::new(rustls_rustcrypto::provider());
    let (inner, at) = match trust {
        Trust::Blind => (None, 0),
        Trust::Pinned { bundle, at } => {
            let roots = Arc::new(bundle.roots());
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            (Some(verifier.map_err(|error| rustls::Error::General(error.to_string()))?), at)
        }
    };
    let verifier = Verifier { inner, provider: Arc::clone(&provider), shown: Arc::clone(shown) };
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Instead(at)))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match key {
        None => builder.with_no_client_auth(),
        Some(key) => {
            let broken = |error| rustls::Error::General(format!("this node's own certificate: {error}"));
            let chain = CertificateDer::pem_slice_iter(&key.certificates).collect::<Result<Vec<_>, _>>();
            let private = PrivateKeyDer::from_pem_slice(&key.key).map_err(broken)?;
            builder.with_client_auth_cert(chain.map_err(broken)?, private)?
        }
    };
    // Every connection proves anew who is there.
    config.resumption = Resumption::disabled();
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(NAME.into()))?;
    Ok(StreamOwned::new(connection, stream))
}

/// The time at which certificates are judged.
#[derive(Debug)]
struct Instead(u64);

impl TimeProvider for Instead {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// Judges as rustls does, or not at all, and remembers what was shown.
#[derive(Debug)]
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    shown: Shown,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = match Certificate::parse(end_entity) {
            Ok(certificate) => Some(certificate),
            Err(_) if self.inner.is_none() => None,
            Err(_) => return Err(rustls::CertificateError::BadEncoding.into()),
        };
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
