//! HTTPS as k3s's agent asks it: always of 127.0.0.1, whatever the server's name is.

use crate::{
    Error, Result,
    http::{Answer, Request},
    tls::{self, Pair, Trust},
};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Asks the TLS server behind `port` of the loopback address. An answer is an answer, whatever its status.
pub fn ask(port: u16, trust: Trust<'_>, pair: Option<&Pair>, request: &Request) -> Result<Answer> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let host = format!("127.0.0.1:{port}");
    let failed = |why: String| Error::Unanswered { url: format!("https://{host}{}", request.path), why };
    let config = tls::client(trust, pair)?;
    let connection = ClientConnection::new(config, ServerName::IpAddress(loopback.into()))?;
    let go = || -> Result<Answer> {
        let stream = TcpStream::connect_timeout(&SocketAddr::new(loopback, port), LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut stream = StreamOwned::new(connection, stream);
        request.write(&host, &mut stream)?;
        Answer::read(&mut stream)
    };
    go().map_err(|error| failed(in_gos_words(&error)))
}

/// Asks, and takes only 200 for an answer.
pub fn get(port: u16, trust: Trust<'_>, pair: Option<&Pair>, request: &Request) -> Result<Vec<u8>> {
    let answer = ask(port, trust, pair, request)?;
    match answer.status {
        200..=299 => Ok(answer.body),
        _ => {
            let url = format!("https://127.0.0.1:{port}{}", request.path);
            Err(Error::Refused { url, status: answer.status_line() })
        }
    }
}

/// The same failure as Go's `net/http` would tell it, for those that users report.
fn in_gos_words(error: &Error) -> String {
    let text = error.to_string();
    match error {
        Error::Stream(error) if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        Error::Stream(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            "read: connection reset by peer".to_owned()
        }
        _ if text.contains("NotValidYet") || text.contains("Expired") || text.contains("not valid") => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid".to_owned()
        }
        _ if text.contains("UnknownIssuer") => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        _ => text,
    }
}
