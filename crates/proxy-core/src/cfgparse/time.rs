//! Durations as configurations write them.
//!
//! Source: configuration.txt section 2.5; the limit is HAProxy's timer range.

use std::time::Duration;

use super::ParseError;

/// What is wrong with a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeError {
    /// Something that is neither digit nor unit; `None` at the end of the text.
    Unexpected(Option<char>),
    /// More than [`TIME_MAX_MS`].
    Overflow,
}

impl TimeError {
    /// The character, as messages show it.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Unexpected(Some(c)) => c.to_string(),
            _ => String::new(),
        }
    }
}

/// Reads `NUMBER[us|ms|s|m|h|d]` for an extension's keyword; a bare number counts in `unit`.
///
/// # Errors
/// The text is no duration, or too long a one.
pub fn parse_duration(text: &str, unit: Duration) -> Result<Duration, ParseError> {
    let unit = if unit >= Duration::from_secs(1) { Unit::Seconds } else { Unit::Millis };
    parse(text, unit).map_err(|error| match error {
        TimeError::Overflow => ParseError::at(1, format!("timer overflow in '{text}'")),
        TimeError::Unexpected(_) => {
            ParseError::at(1, format!("unexpected character '{}' in '{text}'", error.shown()))
        }
    })
}

/// Reads `NUMBER[us|ms|s|m|h|d]`; a bare number counts in `unit`. Whole milliseconds, rounded up.
pub(super) fn parse(text: &str, unit: Unit) -> Result<Duration, TimeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() {
        return Err(TimeError::Unexpected(suffix.chars().next()));
    }
    let micros = match suffix {
        "" => unit.micros(),
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        other => {
            let known = other.starts_with(['u', 'm', 's', 'h', 'd']);
            return Err(TimeError::Unexpected(other.chars().nth(usize::from(known && other.len() > 1))));
        }
    };
    let value: u128 = number.parse().map_err(|_| TimeError::Overflow)?;
    let millis = value.checked_mul(micros).ok_or(TimeError::Overflow)?.div_ceil(1_000);
    match u64::try_from(millis) {
        Ok(millis) if millis <= TIME_MAX_MS => Ok(Duration::from_millis(millis)),
        _ => Err(TimeError::Overflow),
    }
}

/// What a bare number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds, nearly everywhere.
    Millis,
    /// Seconds.
    Seconds,
}

impl Unit {
    fn micros(self) -> u128 {
        match self {
            Self::Millis => 1_000,
            Self::Seconds => 1_000_000,
        }
    }
}

/// The longest time that can be set, about 24.8 days.
pub(super) const TIME_MAX_MS: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, millis) in [
            ("0", 0),
            ("5", 5),
            ("1us", 1),
            ("1500us", 2),
            ("7ms", 7),
            ("2s", 2_000),
            ("1m", 60_000),
            ("1h", 3_600_000),
            ("24d", 2_073_600_000),
        ] {
            assert_eq!(parse(text, Unit::Millis), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("5", Unit::Seconds), Ok(Duration::from_secs(5)));
    }

    #[test]
    fn mistakes_name_the_character() {
        for (text, c) in [
            ("x", Some('x')),
            ("", None),
            ("5x", Some('x')),
            ("1.5s", Some('.')),
            ("-1", Some('-')),
            ("5sx", Some('x')),
        ] {
            assert_eq!(parse(text, Unit::Millis), Err(TimeError::Unexpected(c)), "{text}");
        }
        for text in ["99999d", "2147483648", "99999999999999999999999999999999999999999999"] {
            assert_eq!(parse(text, Unit::Millis), Err(TimeError::Overflow), "{text}");
        }
    }
}
