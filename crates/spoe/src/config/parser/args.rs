//! The arguments of a keyword, and the errors that blame one of them.

use std::time::Duration;

use crate::action::is_variable_name;
use crate::config::Line;
use crate::config::diagnostic::Place;
use crate::config::message::Name;

/// What a keyword makes of its line: an error blames one of the words.
pub(super) type Outcome = Result<(), (usize, String)>;

/// One line's words, and help to read them.
pub(super) struct Args<'a> {
    pub(super) line: &'a Line,
    /// Where the keyword's arguments begin.
    pub(super) from: usize,
}

impl<'a> Args<'a> {
    pub(super) fn place(&self, word: usize) -> Place {
        Place { file: self.line.file.clone(), line_no: self.line.line_no, word }
    }

    pub(super) fn keyword(&self) -> String {
        self.line.words[..self.from].join(" ")
    }

    pub(super) fn all(&self) -> &'a [String] {
        &self.line.words[self.from..]
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let name =
            |(at, text): (usize, &String)| Name { text: text.clone(), place: self.place(self.from + at) };
        self.all().iter().enumerate().map(name)
    }

    pub(super) fn some(&self) -> Outcome {
        match self.all() {
            [] => Err((self.from - 1, format!("'{}' expects at least one argument", self.keyword()))),
            _ => Ok(()),
        }
    }

    pub(super) fn none(&self) -> Outcome {
        match self.all() {
            [] => Ok(()),
            _ => Err((self.from, format!("'{}' takes no argument", self.keyword()))),
        }
    }

    /// Exactly one, called `what`.
    pub(super) fn one(&self, what: &str) -> Result<&'a str, (usize, String)> {
        match self.all() {
            [] => Err((self.from - 1, format!("'{}' expects {what}", self.keyword()))),
            [word] => Ok(word),
            _ => Err((self.from + 1, format!("'{}' takes one argument only", self.keyword()))),
        }
    }

    pub(super) fn number(&self, min: u32, max: u32) -> Result<u32, (usize, String)> {
        let word = self.one("a number")?;
        match word.parse::<u32>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ if max == u32::MAX => {
                Err((self.from, format!("'{}' expects a number from {min}, not '{word}'", self.keyword())))
            }
            _ => Err((
                self.from,
                format!("'{}' expects a number from {min} to {max}, not '{word}'", self.keyword()),
            )),
        }
    }

    pub(super) fn variable(&self) -> Result<String, (usize, String)> {
        let word = self.one("a name")?;
        match is_variable_name(word) {
            true => Ok(word.to_owned()),
            false => Err((
                self.from,
                format!("'{}' takes letters, digits, '_' and '.' only, not '{word}'", self.keyword()),
            )),
        }
    }

    pub(super) fn time(&self) -> Result<Duration, (usize, String)> {
        let word = self.one("a time")?;
        parse_time(word).map_err(|why| (self.from, format!("'{}': {why}", self.keyword())))
    }
}

/// HAProxy's times: a number and one of us, ms, s, m, h, d; milliseconds if none is given. Rounded up to milliseconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("'{text}' is not a time"))?;
    let micros_each: u64 = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(format!("'{unit}' is not a unit of time (us, ms, s, m, h, d)")),
    };
    let millis = number.checked_mul(micros_each).map(|micros| micros.div_ceil(1_000));
    match millis {
        Some(millis @ 0..=TIME_MILLIS_MAX) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("'{text}' is longer than {TIME_MILLIS_MAX} ms")),
    }
}

const TIME_MILLIS_MAX: u64 = 2_147_483_647;
