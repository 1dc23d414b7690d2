//! The door to a k3s supervisor, as its agent uses it: blocking, bounded, and with nothing secret said before the
//! other side has proved who it is. Source of the protocol: k3s `pkg/clientaccess/token.go`, `pkg/server/handlers`.
//!
//! The types keep the order. [`Client`] knows an address and believes nobody; what `/cacerts` answers becomes a
//! [`Bundle`] when its hash is the token's; only [`Pinned`], which has a bundle, takes a [`Login`].

mod bundle;
mod certificate;
mod cluster;
mod http;
mod tls;

#[cfg(test)]
pub(crate) mod tests;

pub use bundle::{Bundle, BundleError, ca_hash};
pub use certificate::{Certificate, NotACertificate};
pub use cluster::{Cidr, Cluster, NotANetwork, NotUnderstood, PODS, SERVICES};
pub use http::{Answer, Question};
pub use tls::ClientKey;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use contract::seed::{Credentials, Secret};
use http::HttpError;
use rustls::{CertificateError, Error as TlsError};
use std::{io, net::SocketAddr, sync::PoisonError, time::Duration};
use tls::{Shown, Timed, Trust};

/// The whole of a question and its answer takes no longer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The longest list of certificates that `/cacerts` may answer, in bytes.
pub const CACERTS_LIMIT: usize = 64 << 10;
/// The longest answer of `/v1-k3s/config`, in bytes.
pub const CONFIG_LIMIT: usize = 1 << 20;
/// The longest answer of the Kubernetes API that is read, in bytes: a node lists all its container images.
pub const API_LIMIT: usize = 4 << 20;

/// Why a server did not answer, or was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// Somebody is there, and nobody listens at the port.
    #[error("the connection was refused")]
    Refused,
    /// Nobody answers in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// There is no way there, or it broke.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// Not TLS, not HTTP, or not what was asked for.
    #[error("{0}")]
    Strange(String),
    /// A certificate that is not to be believed now.
    #[error("its certificate counts from {not_before} to {not_after} and was judged at {at}")]
    Time {
        /// From when it counts, in seconds since 1970.
        not_before: u64,
        /// Until when.
        not_after: u64,
        /// The time at which it was judged.
        at: u64,
    },
    /// A certificate of somebody else.
    #[error("its certificate is not signed by the cluster's CA")]
    Foreign,
    /// A certificate for other names.
    #[error("its certificate is for {} and not for 127.0.0.1", names.join(", "))]
    Name {
        /// The names that it is for.
        names: Vec<String>,
    },
}

/// A server's address, and no trust.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    address: SocketAddr,
    patience: Duration,
}

/// What a server that has proved who it is says in passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its time, in seconds since 1970.
    pub date: Option<u64>,
    /// Its certificate.
    pub certificate: Option<Certificate>,
}

impl Client {
    /// A server at this address, which is not asked yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, patience: PATIENCE }
    }

    /// The same with less or more patience.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks whether a supervisor is there: `GET /ping`. Nothing of the answer is proved.
    ///
    /// # Errors
    /// When nobody answers, or something that is no supervisor.
    pub fn ping(&self) -> Result<Answer, SupervisorError> {
        self.get("/ping", Trust::Blind, None, CACERTS_LIMIT).map(|(answer, _)| answer)
    }

    /// Asks for the cluster's CA: `GET /cacerts`. Nothing of the answer is proved: see [`Bundle::pinned`].
    ///
    /// # Errors
    /// When nobody answers.
    pub fn cacerts(&self) -> Result<Answer, SupervisorError> {
        self.get("/cacerts", Trust::Blind, None, CACERTS_LIMIT).map(|(answer, _)| answer)
    }

    /// The same server, believed only when its certificate is of this CA and counts at the time `at`.
    #[must_use]
    pub fn pinned<'b>(&self, bundle: &'b Bundle, at: u64) -> Pinned<'b> {
        Pinned { client: *self, bundle, at }
    }

    fn get(
        &self,
        path: &str,
        trust: Trust<'_>,
        authorization: Option<&str>,
        limit: usize,
    ) -> Result<(Answer, Option<Certificate>), SupervisorError> {
        self.ask(Question::get(path), trust, None, authorization, limit)
    }

    fn ask(
        &self,
        question: Question<'_>,
        trust: Trust<'_>,
        key: Option<&ClientKey>,
        authorization: Option<&str>,
        limit: usize,
    ) -> Result<(Answer, Option<Certificate>), SupervisorError> {
        let shown = Shown::default();
        let ask = || {
            let stream = Timed::connect(self.address, self.patience)?;
            let broken = |error| HttpError::Io(io::Error::other(error));
            let mut tls = tls::open(stream, trust, key, &shown).map_err(broken)?;
            http::ask(&mut tls, &self.address.to_string(), question, authorization, limit)
        };
        let answer = ask();
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            Ok(answer) => Ok((answer, shown)),
            Err(error) => Err(judge(error, trust, shown)),
        }
    }
}

/// A server that proves who it is at every question, before anything is said to it.
#[derive(Clone, Copy, Debug)]
pub struct Pinned<'b> {
    client: Client,
    bundle: &'b Bundle,
    at: u64,
}

impl Pinned<'_> {
    /// Has the server prove who it is, with nothing secret said: `GET /ping`.
    ///
    /// # Errors
    /// When it cannot.
    pub fn prove(&self) -> Result<Proof, SupervisorError> {
        let (answer, certificate) = self.client.get("/ping", self.trust(), None, CACERTS_LIMIT)?;
        Ok(Proof { date: answer.date, certificate })
    }

    /// Asks for what a node must know of its cluster: `GET /v1-k3s/config`. The answer holds secrets.
    ///
    /// # Errors
    /// When the server does not prove who it is (nothing was said to it then), or does not answer.
    pub fn config(&self, login: &Login) -> Result<Answer, SupervisorError> {
        let header = login.header();
        let answer = self.client.get("/v1-k3s/config", self.trust(), Some(header.reveal()), CONFIG_LIMIT);
        answer.map(|(answer, _)| answer)
    }

    /// Asks the Kubernetes API, as whoever the key says.
    ///
    /// # Errors
    /// As for [`Pinned::config`].
    pub fn api(&self, question: Question<'_>, key: &ClientKey) -> Result<Answer, SupervisorError> {
        self.client.ask(question, self.trust(), Some(key), None, API_LIMIT).map(|(answer, _)| answer)
    }

    fn trust(&self) -> Trust<'_> {
        Trust::Pinned { bundle: self.bundle, at: self.at }
    }
}

/// Asks a service of this machine for `path`, without TLS: for loopback only.
///
/// # Errors
/// When it does not answer.
pub fn plain(address: SocketAddr, path: &str, patience: Duration) -> Result<Answer, SupervisorError> {
    let answer = Timed::connect(address, patience).map_err(HttpError::Io).and_then(|mut stream| {
        http::ask(&mut stream, &address.to_string(), Question::get(path), None, CACERTS_LIMIT)
    });
    answer.map_err(|error| judge(error, Trust::Blind, None))
}

/// Who a node is to a supervisor before it has a certificate.
#[derive(Clone, Debug)]
pub struct Login {
    /// `node` or `server`: what the role asks for, whatever the token says.
    pub user: &'static str,
    /// From the token.
    pub credentials: Credentials,
}

impl Login {
    fn header(&self) -> Secret {
        Secret::new(match &self.credentials {
            Credentials::Password(password) => {
                format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, password.reveal())))
            }
            Credentials::Bootstrap(token) => format!("Bearer {}", token.reveal()),
        })
    }
}

/// What a failure means.
fn judge(error: HttpError, trust: Trust<'_>, shown: Option<Certificate>) -> SupervisorError {
    let error = match error {
        HttpError::Io(error) => error,
        other => return SupervisorError::Strange(other.to_string()),
    };
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return judge_tls(tls, trust, shown);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => SupervisorError::Refused,
        // A machine that is switched off does not answer, whether a router says so or nobody.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::HostUnreachable => {
            SupervisorError::Silent
        }
        _ => SupervisorError::Broken(error.to_string()),
    }
}

fn judge_tls(error: &TlsError, trust: Trust<'_>, shown: Option<Certificate>) -> SupervisorError {
    let TlsError::InvalidCertificate(fault) = error else {
        return SupervisorError::Strange(format!("no TLS as k3s speaks it: {error}"));
    };
    let (Trust::Pinned { at, .. }, Some(shown)) = (trust, shown) else {
        return SupervisorError::Strange(error.to_string());
    };
    match fault {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            SupervisorError::Time { not_before: shown.not_before, not_after: shown.not_after, at }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            SupervisorError::Name { names: shown.names }
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => SupervisorError::Foreign,
        other => SupervisorError::Strange(format!("its certificate: {other:?}")),
    }
}
