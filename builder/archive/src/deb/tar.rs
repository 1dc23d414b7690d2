//! A strict tar reader for what a `.deb` may hold: ustar and GNU headers, GNU long names, PAX records.
//!
//! The `tar` crate reads long names of any size into memory, takes a missing end mark for an end, and hides
//! which fault stopped it; a package reader must do better on each. Layout: POSIX.1-2017 `pax`, section
//! "ustar Interchange Format", and the GNU tar manual, "Basic Tar Format".

use super::{DebError, Entry, EntryKind, TarFault, ar::fill, path};
use std::{
    collections::BTreeMap,
    io::{self, Read},
};

const BLOCK: usize = 512;
/// The longest GNU long name and the longest set of PAX records that we read, in bytes.
const LONGEST_NAME: u64 = 64 << 10;
const LONGEST_PAX: u64 = 1 << 20;

pub(super) struct Tar<R> {
    input: R,
    /// Name of the ar member, for errors.
    member: String,
    /// Path of the current entry, for errors.
    path: String,
    /// Bytes of the current entry that were not read yet, and the padding behind them.
    left: u64,
    padding: u64,
    /// What went wrong while the content was read: the visitor sees it as an `io::Error` only.
    failure: Option<DebError>,
}

/// What the headers before an entry's own header said about it.
#[derive(Default)]
struct Prelude {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: BTreeMap<String, Vec<u8>>,
}

impl<R: Read> Tar<R> {
    pub(super) fn new(input: R, member: &str) -> Self {
        let member = member.to_owned();
        Self { input, member, path: String::new(), left: 0, padding: 0, failure: None }
    }

    fn fault(&self, fault: TarFault) -> DebError {
        DebError::Tar { member: self.member.clone(), path: self.path.clone(), fault }
    }

    /// The next entry, after skipping what is left of the current one; `None` at the end of the archive, when
    /// everything behind the end mark was read and was zero.
    pub(super) fn advance(&mut self) -> Result<Option<Entry>, DebError> {
        self.skip()?;
        let mut prelude = Prelude::default();
        loop {
            let Some(header) = self.header()? else {
                let dangling =
                    prelude.long_name.is_some() || prelude.long_link.is_some() || !prelude.pax.is_empty();
                return if dangling { Err(self.fault(TarFault::DanglingExtension)) } else { Ok(None) };
            };
            let size = self.number(&header, 124..136, "size")?;
            let size = u64::try_from(size).map_err(|_| self.fault(TarFault::Number("size")))?;
            match header[156] {
                b'L' => prelude.long_name = Some(self.extension(size, LONGEST_NAME)?),
                b'K' => prelude.long_link = Some(self.extension(size, LONGEST_NAME)?),
                b'x' => {
                    let records = self.extension(size, LONGEST_PAX)?;
                    prelude.pax = parse_pax(&records).ok_or_else(|| self.fault(TarFault::Pax))?;
                }
                _ => return self.entry(&header, size, prelude).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &[u8; BLOCK], size: u64, mut prelude: Prelude) -> Result<Entry, DebError> {
        let long = |name: Vec<u8>| text_until_nul(&name).to_vec();
        let name =
            prelude.pax.remove("path").or(prelude.long_name.map(long)).unwrap_or_else(|| short_name(header));
        let link = prelude.pax.remove("linkpath").or(prelude.long_link.map(long));
        let link = link.unwrap_or_else(|| text_until_nul(&header[157..257]).to_vec());
        self.path = String::from_utf8_lossy(&name).into_owned();
        let name = String::from_utf8(name).map_err(|_| self.fault(TarFault::NotUtf8))?;
        let link = String::from_utf8(link).map_err(|_| self.fault(TarFault::NotUtf8))?;

        let size = self.pax_number(&mut prelude.pax, "size")?.unwrap_or(size);
        let kind = self.kind(header, size, &link)?;
        let is_directory = kind == EntryKind::Dir;
        let path = path::normalise(&name, is_directory).map_err(|fault| self.fault(TarFault::Path(fault)))?;
        let entry = Entry {
            path,
            kind,
            mode: (self.unsigned(header, 100..108, "mode")? & 0o7777) as u32,
            uid: self
                .pax_number(&mut prelude.pax, "uid")?
                .map_or_else(|| self.unsigned(header, 108..116, "uid"), Ok)?,
            gid: self
                .pax_number(&mut prelude.pax, "gid")?
                .map_or_else(|| self.unsigned(header, 116..124, "gid"), Ok)?,
            uname: self.owner(header, &mut prelude.pax, "uname", 265)?,
            gname: self.owner(header, &mut prelude.pax, "gname", 297)?,
            mtime: self.mtime(header, &mut prelude.pax)?,
            xattrs: self.xattrs(prelude.pax)?,
        };
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(entry)
    }

    fn kind(&self, header: &[u8; BLOCK], size: u64, link: &str) -> Result<EntryKind, DebError> {
        let device = |range, what| {
            let number = self.unsigned(header, range, what)?;
            u32::try_from(number).map_err(|_| self.fault(TarFault::Number(what)))
        };
        let kind = match header[156] {
            b'0' | 0 => EntryKind::File { size },
            b'1' => EntryKind::Hardlink(
                path::normalise(link, false)
                    .map_err(|fault| self.fault(TarFault::LinkPath(link.to_owned(), fault)))?,
            ),
            b'2' if link.is_empty() || link.contains('\0') => return Err(self.fault(TarFault::NoTarget)),
            b'2' => EntryKind::Symlink(link.to_owned()),
            b'3' => EntryKind::Char { major: device(329..337, "major")?, minor: device(337..345, "minor")? },
            b'4' => EntryKind::Block { major: device(329..337, "major")?, minor: device(337..345, "minor")? },
            b'5' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            other => return Err(self.fault(TarFault::UnknownType(other))),
        };
        match kind {
            EntryKind::File { .. } => Ok(kind),
            _ if size > 0 => Err(self.fault(TarFault::UnexpectedContent(size))),
            _ => Ok(kind),
        }
    }

    fn owner(
        &self,
        header: &[u8; BLOCK],
        pax: &mut BTreeMap<String, Vec<u8>>,
        key: &'static str,
        at: usize,
    ) -> Result<String, DebError> {
        let bytes = pax.remove(key).unwrap_or_else(|| text_until_nul(&header[at..at + 32]).to_vec());
        String::from_utf8(bytes).map_err(|_| self.fault(TarFault::NotUtf8))
    }

    fn mtime(&self, header: &[u8; BLOCK], pax: &mut BTreeMap<String, Vec<u8>>) -> Result<i64, DebError> {
        let Some(value) = pax.remove("mtime") else { return self.number(header, 136..148, "mtime") };
        // Seconds with an optional fraction: whole seconds, rounded down.
        let parse = || {
            let text = std::str::from_utf8(&value).ok()?;
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let seconds: i64 = whole.parse().ok()?;
            let below = whole.starts_with('-') && fraction.bytes().any(|b| b != b'0');
            fraction.bytes().all(|b| b.is_ascii_digit()).then(|| seconds.saturating_sub(i64::from(below)))
        };
        parse().ok_or_else(|| self.fault(TarFault::Number("mtime")))
    }

    fn xattrs(&self, pax: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
        let mut xattrs = BTreeMap::new();
        for (key, value) in pax {
            match key.strip_prefix("SCHILY.xattr.") {
                Some(name) if !name.is_empty() => drop(xattrs.insert(name.to_owned(), value)),
                // Not part of what a package installs.
                _ if ["atime", "ctime", "comment"].contains(&key.as_str()) => {}
                _ => return Err(self.fault(TarFault::UnknownPaxKey(key))),
            }
        }
        Ok(xattrs)
    }

    fn pax_number(
        &self,
        pax: &mut BTreeMap<String, Vec<u8>>,
        key: &'static str,
    ) -> Result<Option<u64>, DebError> {
        let Some(value) = pax.remove(key) else { return Ok(None) };
        let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| self.fault(TarFault::Number(key)))
    }

    fn number(
        &self,
        header: &[u8; BLOCK],
        at: std::ops::Range<usize>,
        what: &'static str,
    ) -> Result<i64, DebError> {
        parse_number(&header[at]).ok_or_else(|| self.fault(TarFault::Number(what)))
    }

    fn unsigned(
        &self,
        header: &[u8; BLOCK],
        at: std::ops::Range<usize>,
        what: &'static str,
    ) -> Result<u64, DebError> {
        u64::try_from(self.number(header, at, what)?).map_err(|_| self.fault(TarFault::Number(what)))
    }

    /// The next header block with a good checksum; `None` at the end mark.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, DebError> {
        let mut block = [0; BLOCK];
        self.block(&mut block)?;
        if block == [0; BLOCK] {
            self.block(&mut block)?;
            if block != [0; BLOCK] {
                return Err(self.fault(TarFault::LoneZeroBlock));
            }
            self.rest_is_zero()?;
            return Ok(None);
        }
        let sum = |range: std::ops::Range<usize>| block[range].iter().map(|b| i64::from(*b)).sum::<i64>();
        if parse_number(&block[148..156]) != Some(sum(0..148) + 8 * i64::from(b' ') + sum(156..BLOCK)) {
            return Err(self.fault(TarFault::Checksum));
        }
        if block[257..263] != *b"ustar\0" && block[257..265] != *b"ustar  \0" {
            return Err(self.fault(TarFault::Magic));
        }
        Ok(Some(block))
    }

    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<(), DebError> {
        let found = fill(&mut self.input, block).map_err(|e| DebError::from_stream(&self.member, e))?;
        if found == BLOCK { Ok(()) } else { Err(self.fault(TarFault::NoEndMark)) }
    }

    fn rest_is_zero(&mut self) -> Result<(), DebError> {
        let mut block = [0; 8192];
        loop {
            match fill(&mut self.input, &mut block).map_err(|e| DebError::from_stream(&self.member, e))? {
                0 => return Ok(()),
                found if block[..found].iter().all(|b| *b == 0) => {}
                _ => return Err(self.fault(TarFault::AfterEndMark)),
            }
        }
    }

    /// Content of a header that extends the next one: a long name or PAX records.
    fn extension(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, DebError> {
        if size > limit {
            return Err(self.fault(TarFault::LongExtension { size, limit }));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let mut bytes = Vec::new();
        let read = self.read_to_end(&mut bytes);
        read.map_err(|e| self.take_failure().unwrap_or_else(|| DebError::from_stream(&self.member, e)))?;
        self.skip()?;
        Ok(bytes)
    }

    /// Reads past the rest of the current entry and its padding.
    fn skip(&mut self) -> Result<(), DebError> {
        if let Some(failure) = self.take_failure() {
            return Err(failure);
        }
        let mut buffer = [0; 8192];
        let mut left = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let found = fill(&mut self.input, &mut buffer[..want]);
            match found.map_err(|e| DebError::from_stream(&self.member, e))? {
                found if found == want => left -= found as u64,
                _ => return Err(self.fault(TarFault::ShortContent)),
            }
        }
        Ok(())
    }

    /// The fault behind the `io::Error` that a reader of the content saw.
    pub(super) fn take_failure(&mut self) -> Option<DebError> {
        self.failure.take()
    }
}

/// The content of the current entry.
impl<R: Read> Read for Tar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let failure = match self.input.read(&mut buffer[..want]) {
            Ok(0) => self.fault(TarFault::ShortContent),
            Ok(count) => {
                self.left -= count as u64;
                return Ok(count);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => DebError::from_stream(&self.member, e),
        };
        let message = failure.to_string();
        self.failure = Some(failure);
        Err(io::Error::other(message))
    }
}

fn text_until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// The name in the header itself; a POSIX header may have a prefix for it.
fn short_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = text_until_nul(&header[..100]);
    let prefix = if header[257..263] == *b"ustar\0" { text_until_nul(&header[345..500]) } else { b"" };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// Octal digits between spaces and NULs, or base 256 when the top bit is set (GNU).
fn parse_number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let head = if first & 0x40 == 0 { i64::from(first & 0x7f) } else { i64::from(*first) - 0x100 };
        return rest.iter().try_fold(head, |sum, b| sum.checked_mul(256)?.checked_add(i64::from(*b)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|b| (b'0'..=b'7').contains(&b)).then(|| i64::from_str_radix(text, 8).ok())?
}

/// PAX records, each `LENGTH KEY=VALUE\n` with the length of the whole record.
fn parse_pax(mut records: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut pax = BTreeMap::new();
    while !records.is_empty() {
        let space = records.iter().position(|b| *b == b' ')?;
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|b| *b == b'=')?;
        let key = String::from_utf8(record[..equals].to_vec()).ok()?;
        pax.insert(key, record[equals + 1..].to_vec());
        records = &records[length..];
    }
    Some(pax)
}
