//! TLS with the node's own provider.

use crate::{Error, Result, pki};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::sync::Arc;

/// A certificate with its chain, and its key, both in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate and what is above it.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(not shown)")
    }
}

impl Pair {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(Error::pki("read a key"))?;
        Ok((ders(&self.chain)?, key))
    }
}

/// Whom a client believes.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Anybody: k3s's one insecure request.
    Anybody,
    /// What stands under these certificates (PEM), and nothing else.
    Only(&'a str),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_rustcrypto::provider())
}

fn ders(bundle: &str) -> Result<Vec<CertificateDer<'static>>> {
    Ok(pki::certificates(bundle)?.into_iter().map(CertificateDer::from).collect())
}

fn roots(bundle: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    ders(bundle)?.into_iter().try_for_each(|der| roots.add(der))?;
    Ok(roots)
}

/// A server that takes client certificates under `clients` but asks for none.
pub fn server(pair: &Pair, clients: &str) -> Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(clients)?), provider())
        .allow_unauthenticated()
        .build()
        .map_err(Error::pki("verify clients"))?;
    let (chain, key) = pair.read()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A client, with a certificate if it has one.
pub fn client(trust: Trust<'_>, pair: Option<&Pair>) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)),
        Trust::Only(bundle) => builder.with_root_certificates(roots(bundle)?),
    };
    Ok(Arc::new(match pair {
        Some(pair) => {
            let (chain, key) = pair.read()?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    }))
}

/// Believes any certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
