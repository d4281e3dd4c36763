//! The dates of HTTP: `core.http_date` and the three formats it tries.
//!
//! Day names must be names and are not held against the date; a day or hour beyond its end counts on into the next,
//! as in HAProxy. What follows a whole date is not looked at. HAProxy gives the low 32 bits of the result, this all
//! of it.
//!
//! Source: lua-api "core.http_date", "core.imf_date", "core.rfc850_date", "core.asctime_date"; RFC 9110 §5.6.7.

use crate::raw::stack::{Flow, Ret, Stack};

/// Reads a date of one format.
type Format = fn(&[u8]) -> Option<i64>;

/// Seconds since the epoch for the first of these formats that fits; nil for none.
pub(crate) fn date(stack: &mut Stack<'_>, formats: &[Format]) -> Flow {
    let text = stack.bytes(1)?;
    match formats.iter().find_map(|format| format(&text)) {
        Some(seconds) => stack.push_int(seconds),
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(crate) fn imf(text: &[u8]) -> Option<i64> {
    let mut at = Reader(text);
    at.one_of(&DAYS)?;
    at.literal(b", ")?;
    let day = at.number(2)?;
    at.literal(b" ")?;
    let month = at.one_of(&MONTHS)?;
    at.literal(b" ")?;
    let year = at.number(4)?;
    at.literal(b" ")?;
    let time = at.time()?;
    at.literal(b" GMT")?;
    Some(seconds(year, month, day, time))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`; the year may have four digits.
pub(crate) fn rfc850(text: &[u8]) -> Option<i64> {
    let mut at = Reader(text);
    at.one_of(&LONG_DAYS)?;
    at.literal(b", ")?;
    let day = at.number(2)?;
    at.literal(b"-")?;
    let month = at.one_of(&MONTHS)?;
    at.literal(b"-")?;
    let year = match at.number(4) {
        Some(year) => year,
        None => match at.number(2)? {
            late @ 61.. => 1900 + late,
            early => 2000 + early,
        },
    };
    at.literal(b" ")?;
    let time = at.time()?;
    at.literal(b" GMT")?;
    Some(seconds(year, month, day, time))
}

/// `Sun Nov  6 08:49:37 1994`
pub(crate) fn asctime(text: &[u8]) -> Option<i64> {
    let mut at = Reader(text);
    at.one_of(&DAYS)?;
    at.literal(b" ")?;
    let month = at.one_of(&MONTHS)?;
    at.literal(b" ")?;
    let day = if at.literal(b" ").is_some() { at.number(1)? } else { at.number(2)? };
    at.literal(b" ")?;
    let time = at.time()?;
    at.literal(b" ")?;
    Some(seconds(at.number(4)?, month, day, time))
}

/// What is left to read. Each method takes what it finds, or nothing.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// The place of the name that stands here.
    fn one_of(&mut self, names: &[&str]) -> Option<i64> {
        let found = names.iter().position(|name| self.0.starts_with(name.as_bytes()))?;
        self.0 = &self.0[names[found].len()..];
        i64::try_from(found).ok()
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let text = self.0.get(..digits).filter(|text| text.iter().all(u8::is_ascii_digit))?;
        self.0 = &self.0[digits..];
        Some(text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// Seconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hours = self.number(2)?;
        self.literal(b":")?;
        let minutes = self.number(2)?;
        self.literal(b":")?;
        Some((hours * 60 + minutes) * 60 + self.number(2)?)
    }
}

/// Since the epoch, by the days of a year that begins in March.
fn seconds(year: i64, month: i64, day: i64, time: i64) -> i64 {
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    (days - DAYS_TO_EPOCH) * 86_400 + time
}

/// From the first of March of the year 0 to the epoch.
const DAYS_TO_EPOCH: i64 = 719_468;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::{Format, asctime, imf, rfc850};

    #[test]
    fn each_format_reads_its_own_and_no_other() {
        let formats: [(&str, Format); 3] = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", imf),
            ("Sunday, 06-Nov-94 08:49:37 GMT", rfc850),
            ("Sun Nov  6 08:49:37 1994", asctime),
        ];
        for (own, (text, _)) in formats.iter().enumerate() {
            for (other, (_, read)) in formats.iter().enumerate() {
                assert_eq!(read(text.as_bytes()), (own == other).then_some(784_111_777), "{text}");
            }
        }
    }

    #[test]
    fn what_haproxy_reads_and_what_it_does_not() {
        let cases: &[(&str, Option<i64>)] = &[
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun, 31 Feb 1994 08:49:37 GMT", Some(762_684_577)),
            ("Sun, 06 Nov 1994 25:61:61 GMT", Some(784_173_721)),
            ("Sun, 00 Nov 1994 00:00:00 GMT", Some(783_561_600)),
            ("Sun, 29 Feb 2000 08:49:37 GMT", Some(951_814_177)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(3_939_871_777)),
            ("Sun, 06 Nov 1994 08:49:37 GMTx", Some(784_111_777)),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(imf(text.as_bytes()), *expected, "{text}");
        }
        assert_eq!(rfc850(b"Sunday, 06-Nov-1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(rfc850(b"Sunday, 06-Nov-69 08:49:37 GMT"), Some(-4_806_623));
        assert_eq!(rfc850(b"Sunday, 06-Nov-26 08:49:37 GMT"), Some(1_793_954_977));
        assert_eq!(rfc850(b"Sunday, 06-Nov-194 08:49:37 GMT"), None);
        assert_eq!(asctime(b"Sun Nov 06 08:49:37 1994"), Some(784_111_777));
        assert_eq!(asctime(b"Sun Nov 6 08:49:37 1994"), None);
    }
}
