//! Times as directory entries hold them.

use super::FatError;
use contract::Epoch;

/// A moment in the three fields of a directory entry. FAT has no time zone; ours are UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Hour, minute and double seconds.
    pub(super) time: u16,
    /// Years since 1980, month and day.
    pub(super) date: u16,
    /// Hundredths of a second that `time` lost: 0 or 100.
    pub(super) hundredths: u8,
}

impl Stamp {
    pub(super) fn new(epoch: Epoch) -> Result<Self, FatError> {
        let at = epoch.calendar();
        let years = u16::try_from(at.year - 1980).ok().filter(|years| *years < 128);
        let years = years.ok_or(FatError::Epoch { epoch })?;
        let (hour, minute, second) = (u16::from(at.hour), u16::from(at.minute), u16::from(at.second));
        Ok(Self {
            time: (hour << 11) | (minute << 5) | (second / 2),
            date: (years << 9) | (u16::from(at.month) << 5) | u16::from(at.day),
            hundredths: at.second % 2 * 100,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_cover_the_years_of_fat() {
        // 2026-09-05T08:13:21Z
        let stamp = Stamp::new(Epoch(1_788_596_001)).unwrap();
        assert_eq!(
            stamp,
            Stamp { time: (8 << 11) | (13 << 5) | 10, date: (46 << 9) | (9 << 5) | 5, hundredths: 100 }
        );
        assert_eq!(Stamp::new(Epoch(315_532_800)).unwrap().date, (1 << 5) | 1);
        for outside in [315_532_799, 4_354_819_200] {
            assert!(matches!(Stamp::new(Epoch(outside)), Err(FatError::Epoch { .. })), "{outside}");
        }
    }
}
