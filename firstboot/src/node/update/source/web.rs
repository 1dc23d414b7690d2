//! HTTP and HTTPS, with the image's own roots.

use super::ranges::{Answer, Get, GetError};
use std::{io::Read as _, ops::Range, sync::Arc, time::Duration};

/// How long one answer may take: longer ones are taken up again where they were, so a dead line costs no more.
const BODY: Duration = Duration::from_secs(60);

/// The network.
#[derive(Debug)]
pub struct Web {
    agent: ureq::Agent,
}

impl Default for Web {
    fn default() -> Self {
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls_rustcrypto::provider()))
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_recv_body(Some(BODY))
            .user_agent(concat!("hcnode/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into() }
    }
}

impl Web {
    /// A small file, whole.
    ///
    /// # Errors
    /// When it cannot be had or has more than `limit` bytes; in words for people.
    pub fn small(&mut self, url: &str, limit: usize) -> Result<Vec<u8>, String> {
        let answer = self.get(url, None).map_err(|error| match error {
            GetError::Away(why) | GetError::Refused(why) => why,
            GetError::Beyond(_) => "it answers 416".to_owned(),
        })?;
        let mut bytes = Vec::new();
        let read = answer.body.take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("it broke off after {} bytes ({error})", bytes.len()))?;
        if bytes.len() > limit { Err(format!("it has more than {limit} bytes")) } else { Ok(bytes) }
    }
}

impl Get for Web {
    fn get(&mut self, url: &str, range: Option<Range<u64>>) -> Result<Answer, GetError> {
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if let Some(Range { start, end }) = range {
            request = request.header("Range", format!("bytes={start}-{}", end.saturating_sub(1)));
        }
        let answer = request.call().map_err(|error| GetError::Away(words(&error)))?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let tag = header("ETag").map(str::to_owned);
        let range = header("Content-Range");
        let (start, total) = match answer.status().as_u16() {
            200 => (0, header("Content-Length").and_then(|length| length.parse().ok())),
            206 => {
                let (start, _, total) = range.and_then(content_range).ok_or_else(|| {
                    let range = range.unwrap_or("missing").escape_debug();
                    GetError::Refused(format!("it answers 206, and its Content-Range is {range}"))
                })?;
                (start, total)
            }
            416 => {
                let total = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
                return Err(GetError::Beyond(total));
            }
            status @ (408 | 425 | 429 | 500..) => return Err(GetError::Away(format!("it answers {status}"))),
            status => return Err(GetError::Refused(format!("it answers {status}"))),
        };
        Ok(Answer { start, total, tag, body: Box::new(answer.into_body().into_reader()) })
    }
}

/// `bytes 0-4095/1234567`, where the size may be `*` (RFC 9110, section 14.4).
pub(super) fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}

/// An error with the way out where there is one.
fn words(error: &ureq::Error) -> String {
    let text = error.to_string();
    let lower = text.to_lowercase();
    if lower.contains("certificate") && (lower.contains("expired") || lower.contains("not valid yet")) {
        return format!(
            "{text} (is this node's clock right? a bundle is signed by itself: http:// or a file serve as well)"
        );
    }
    text
}
