//! Dates as text: `strftime(3)` in the C locale, the forms of log lines and of HTTP.

use std::{fmt::Write, sync::OnceLock};

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// Whose wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The machine's time zone.
    Local,
    /// Greenwich.
    Utc,
}

/// A moment in a time zone; `None` outside the calendar.
fn zoned(seconds: i64, zone: Zone) -> Option<Zoned> {
    static LOCAL: OnceLock<TimeZone> = OnceLock::new();
    let zone = match zone {
        Zone::Local => LOCAL.get_or_init(TimeZone::system).clone(),
        Zone::Utc => TimeZone::UTC,
    };
    Some(Timestamp::from_second(seconds).ok()?.to_zoned(zone))
}

/// Formats seconds since the epoch as `strftime` does in the C locale. `%N`, `%3N` and `%6N` give
/// the fraction where there is one; an unknown specifier stands for itself.
pub(crate) fn strftime(format: &str, seconds: i64, nanos: Option<i64>, zone: Zone) -> Option<Vec<u8>> {
    let time = zoned(seconds, zone)?;
    let mut out = String::with_capacity(format.len() * 2);
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let Some(letter) = rest.chars().next() else {
            out.push('%');
            break;
        };
        let used = fraction(rest, nanos, &mut out).unwrap_or_else(|| {
            specifier(letter, &time, zone, &mut out);
            letter.len_utf8()
        });
        rest = &rest[used..];
    }
    out.push_str(rest);
    Some(out.into_bytes())
}

/// `N`, or a digit and `N`; gives how much of the format that was.
fn fraction(rest: &str, nanos: Option<i64>, out: &mut String) -> Option<usize> {
    let nanos = nanos?;
    let (width, used) = match rest.as_bytes() {
        [b'N', ..] => (9, 1),
        [digit @ b'1'..=b'9', b'N', ..] => (usize::from(digit - b'0'), 2),
        _ => return None,
    };
    out.push_str(&format!("{nanos:09}")[..width]);
    Some(used)
}

/// One specifier. Writing to a string cannot fail.
fn specifier(letter: char, time: &Zoned, zone: Zone, out: &mut String) {
    let date = time.date();
    let weekday = usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or(0);
    let month = usize::try_from(time.month() - 1).unwrap_or(0);
    let (year, hour) = (time.year(), time.hour());
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let iso = date.iso_week_date();
    let week_of_year = |first: i16| (time.day_of_year() + 6 - first) / 7;
    let since_monday = i16::from(time.weekday().to_monday_zero_offset());
    let _ = match letter {
        'a' => write!(out, "{}", &DAYS[weekday][..3]),
        'A' => write!(out, "{}", DAYS[weekday]),
        'b' | 'h' => write!(out, "{}", &MONTHS[month][..3]),
        'B' => write!(out, "{}", MONTHS[month]),
        'C' => write!(out, "{:02}", year.div_euclid(100)),
        'd' => write!(out, "{:02}", time.day()),
        'e' => write!(out, "{:2}", time.day()),
        'g' => write!(out, "{:02}", iso.year().rem_euclid(100)),
        'G' => write!(out, "{}", iso.year()),
        'H' => write!(out, "{hour:02}"),
        'I' => write!(out, "{twelve:02}"),
        'j' => write!(out, "{:03}", time.day_of_year()),
        'k' => write!(out, "{hour:2}"),
        'l' => write!(out, "{twelve:2}"),
        'm' => write!(out, "{:02}", time.month()),
        'M' => write!(out, "{:02}", time.minute()),
        'n' => writeln!(out),
        'p' => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
        'P' => write!(out, "{}", if hour < 12 { "am" } else { "pm" }),
        's' => write!(out, "{}", time.timestamp().as_second()),
        'S' => write!(out, "{:02}", time.second()),
        't' => write!(out, "\t"),
        'u' => write!(out, "{}", time.weekday().to_monday_one_offset()),
        'U' => write!(out, "{:02}", week_of_year(i16::try_from(weekday).unwrap_or(0))),
        'V' => write!(out, "{:02}", iso.week()),
        'w' => write!(out, "{weekday}"),
        'W' => write!(out, "{:02}", week_of_year(since_monday)),
        'y' => write!(out, "{:02}", year.rem_euclid(100)),
        'Y' => write!(out, "{year}"),
        'z' => write!(out, "{}", offset(time, "")),
        'Z' if zone == Zone::Utc => write!(out, "GMT"),
        'Z' => write!(out, "{}", time.strftime("%Z")),
        '%' => write!(out, "%"),
        'c' => return composed("aXbXeXHYMYSXY", time, zone, out),
        'D' | 'x' => return composed("m/d/y", time, zone, out),
        'F' => return composed("Y-m-d", time, zone, out),
        'R' => return composed("HYM", time, zone, out),
        'r' => return composed("IYMYSXp", time, zone, out),
        'T' | 'X' => return composed("HYMYS", time, zone, out),
        other => write!(out, "%{other}"),
    };
}

/// Several specifiers in a row: every second character joins, `X` as a space and `Y` as a colon.
fn composed(parts: &str, time: &Zoned, zone: Zone, out: &mut String) {
    for (at, letter) in parts.chars().enumerate() {
        match (at % 2, letter) {
            (1, 'X') => out.push(' '),
            (1, 'Y') => out.push(':'),
            (1, joint) => out.push(joint),
            _ => specifier(letter, time, zone, out),
        }
    }
}

/// `+hhmm`, with what is given between hours and minutes.
fn offset(time: &Zoned, between: &str) -> String {
    let seconds = time.offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}

/// `Tue, 14 Nov 2023 22:13:20 GMT`.
pub(crate) fn http_date(seconds: i64) -> Option<Vec<u8>> {
    strftime("%a, %d %b %Y %H:%M:%S GMT", seconds, None, Zone::Utc)
}

/// `22/Nov/2026:06:24:24.049`, local time.
pub(crate) fn request_date(wall: std::time::Duration, out: &mut Vec<u8>) {
    push(out, "%d/%b/%Y:%H:%M:%S.%3N", wall, Zone::Local);
}

/// `22/Nov/2026:06:24:24 +0000`.
pub(crate) fn clf_date(wall: std::time::Duration, zone: Zone, out: &mut Vec<u8>) {
    push(out, "%d/%b/%Y:%H:%M:%S %z", wall, zone);
}

/// `Nov 22 06:24:24`, local time, as RFC 3164 has it.
pub(crate) fn syslog_date(wall: std::time::Duration, out: &mut Vec<u8>) {
    push(out, "%b %e %H:%M:%S", wall, Zone::Local);
}

/// `2026-11-22T06:24:24.050297+00:00`, local time with its offset.
pub(crate) fn iso_date(wall: std::time::Duration, out: &mut Vec<u8>) {
    push(out, "%Y-%m-%dT%H:%M:%S.%6N", wall, Zone::Local);
    if let Some(time) = i64::try_from(wall.as_secs()).ok().and_then(|s| zoned(s, Zone::Local)) {
        out.extend_from_slice(offset(&time, ":").as_bytes());
    }
}

fn push(out: &mut Vec<u8>, format: &str, wall: std::time::Duration, zone: Zone) {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    match strftime(format, seconds, Some(wall.subsec_nanos().into()), zone) {
        Some(text) => out.extend(text),
        None => out.push(b'-'),
    }
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
