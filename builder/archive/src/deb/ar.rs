//! The outer container of a `.deb`: a `common` ar archive, read member by member from a stream (ar(5), deb(5)).

use super::DebError;
use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The stream ended inside a member. The payload of an [`io::Error`], so that it survives the decoders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` ends after {found} of {expected} bytes")]
pub(super) struct Truncated {
    pub(super) member: String,
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// An ar archive; as [`Read`], the content of the current member.
pub(super) struct Ar<R> {
    input: R,
    /// Name of the current member, without padding and the slash that GNU ar adds.
    pub(super) member: String,
    /// Size of the current member in bytes.
    pub(super) size: u64,
    /// What is left to read of it.
    pub(super) left: u64,
}

impl<R: Read> Ar<R> {
    pub(super) fn open(mut input: R) -> Result<Self, DebError> {
        let mut magic = [0; MAGIC.len()];
        let found = fill(&mut input, &mut magic).map_err(|e| DebError::from_stream("the archive", e))?;
        if found < magic.len() || magic != *MAGIC {
            return Err(DebError::NotADeb);
        }
        Ok(Self { input, member: String::new(), size: 0, left: 0 })
    }

    /// Goes to the next member; `false` at the end of the archive. The current one must be read to its end.
    pub(super) fn advance(&mut self) -> Result<bool, DebError> {
        if self.left > 0 {
            return Err(DebError::Unread { member: self.member.clone(), left: self.left });
        }
        let failed = |e| DebError::from_stream("the archive", e);
        if self.size % 2 == 1 {
            let mut padding = [0];
            // The newline that pads an odd member may be missing at the very end of the file.
            if fill(&mut self.input, &mut padding).map_err(failed)? == 1 && padding != *b"\n" {
                return Err(DebError::BadHeader { after: self.member.clone() });
            }
        }
        let mut header = [0; HEADER];
        let found = fill(&mut self.input, &mut header).map_err(failed)?;
        if found == 0 {
            return Ok(false);
        }
        let bad = || DebError::BadHeader { after: self.member.clone() };
        if found < HEADER {
            return Err(DebError::TruncatedHeader { after: self.member.clone(), found });
        }
        if header[58..] != *b"`\n" {
            return Err(bad());
        }
        let text = std::str::from_utf8(&header[..58]).map_err(|_| bad())?;
        let (name, size) = (text.get(..16).ok_or_else(bad)?, text.get(48..58).ok_or_else(bad)?);
        let size = size.trim_end();
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let size = size.parse().map_err(|_| bad())?;
        let name = name.trim_end();
        self.member = name.strip_suffix('/').unwrap_or(name).to_owned();
        (self.size, self.left) = (size, size);
        Ok(true)
    }

    /// Reads past the rest of the current member.
    pub(super) fn skip(&mut self) -> Result<(), DebError> {
        let copied = io::copy(self, &mut io::sink());
        copied.map(drop).map_err(|e| DebError::from_stream(&self.member, e))
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..want])?;
        if count == 0 {
            let found = self.size - self.left;
            let truncated = Truncated { member: self.member.clone(), expected: self.size, found };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, truncated));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Reads until `buffer` is full or the input ends; gives the number of bytes read.
pub(super) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
