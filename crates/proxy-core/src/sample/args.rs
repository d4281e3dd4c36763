//! Arguments of built-in fetches and converters: what kinds there are, and how texts become them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Arg;
use crate::{cfgparse::ParseError, vars::VarName};

/// A compiled regular expression that compares by its text.
#[derive(Clone, Debug)]
pub struct Pattern(pub regex::bytes::Regex);

impl Pattern {
    /// Compiles it as PCRE would by default: on bytes, `.` does not match a line feed.
    ///
    /// # Errors
    /// It is malformed, or too large.
    pub fn new(text: &str, ignore_case: bool) -> Result<Self, ParseError> {
        regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(ignore_case)
            .build()
            .map(Self)
            .map_err(|error| ParseError::new(format!("regex '{text}' is invalid (error={})", brief(&error))))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// The last line of the engine's report says what is wrong, the lines before draw it.
fn brief(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// What kind of argument stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgKind {
    Str,
    Int,
    Var,
    IntOrVar,
    Ipv4,
    Ipv6,
    Mask4,
    Mask6,
}

impl ArgKind {
    fn name(self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::Int | Self::IntOrVar => "integer",
            Self::Var => "variable",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Mask4 => "IPv4 mask",
            Self::Mask6 => "IPv6 mask",
        }
    }

    fn parse(self, text: &str) -> Option<Arg> {
        match self {
            Self::Str => Some(Arg::Str(text.to_owned())),
            Self::Int => text.parse().ok().map(Arg::Int),
            Self::IntOrVar => text.parse().ok().map(Arg::Int).or_else(|| Self::Var.parse(text)),
            Self::Var => VarName::parse(text).ok().map(Arg::Var),
            Self::Ipv4 => text.parse().ok().map(|a: Ipv4Addr| Arg::Addr(a.into())),
            Self::Ipv6 => text.parse().ok().map(|a: Ipv6Addr| Arg::Addr(a.into())),
            Self::Mask4 => mask4(text).map(|a| Arg::Addr(a.into())),
            Self::Mask6 => mask6(text).map(|a| Arg::Addr(a.into())),
        }
    }
}

/// A mask as an address or a number of bits.
pub(crate) fn mask4(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().or_else(|| {
        let bits: u32 = text.parse().ok().filter(|bits| *bits <= 32)?;
        Some(Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0)))
    })
}

/// A mask as an address or a number of bits.
pub(crate) fn mask6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| {
        let bits: u32 = text.parse().ok().filter(|bits| *bits <= 128)?;
        Some(Ipv6Addr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0)))
    })
}

/// The arguments that a row of a table takes: kinds by position, of which the first `min` must be
/// there.
#[derive(Clone, Copy)]
pub(crate) struct ArgSpec {
    pub(crate) min: usize,
    pub(crate) kinds: &'static [ArgKind],
}

impl ArgSpec {
    pub(crate) const NONE: Self = Self { min: 0, kinds: &[] };

    /// Compiles what was written.
    pub(crate) fn parse(&self, raw: &[&str]) -> Result<Vec<Arg>, BadArg> {
        // `()` is one empty argument to whoever wants one and none to the others.
        let raw = if raw == [""] && self.min == 0 { &[] } else { raw };
        if raw.len() > self.kinds.len() {
            let rest = raw[self.kinds.len()..].join(",");
            let comma = if self.kinds.is_empty() { "" } else { "," };
            return Err(BadArg::new(self.kinds.len() + 1, format!("expected ')' before '{comma}{rest})'")));
        }
        // What is there is judged before what is not.
        let args = raw.iter().enumerate().map(|(at, text)| self.parse_one(at, text));
        let args = args.collect::<Result<Vec<_>, _>>()?;
        if raw.len() < self.min {
            let kind = self.kinds[raw.len()].name();
            let text = if raw.is_empty() {
                format!("expected type '{kind}' at position 1, but got nothing")
            } else {
                format!("missing arguments (got {}/{}), type '{kind}' expected", raw.len(), self.min)
            };
            return Err(BadArg::new(raw.len() + 1, text));
        }
        Ok(args)
    }

    fn parse_one(&self, at: usize, text: &str) -> Result<Arg, BadArg> {
        let kind = self.kinds[at];
        if text.is_empty() && (at >= self.min || kind != ArgKind::Str) {
            if at >= self.min {
                return Ok(Arg::None);
            }
            let text = format!("expected type '{}' at position {}, but got nothing", kind.name(), at + 1);
            return Err(BadArg::new(at + 1, text));
        }
        kind.parse(text).ok_or_else(|| {
            let text = match kind {
                ArgKind::Var => VarName::parse(text).err().map(|e| e.message).unwrap_or_default(),
                _ => format!("failed to parse '{text}' as type '{}' at position {}", kind.name(), at + 1),
            };
            BadArg::new(at + 1, text)
        })
    }
}

/// A refused argument and its position, from 1.
#[derive(Debug)]
pub(crate) struct BadArg {
    pub(crate) position: usize,
    pub(crate) text: String,
}

impl BadArg {
    pub(crate) fn new(position: usize, text: impl Into<String>) -> Self {
        Self { position, text: text.into() }
    }
}

/// Reading compiled arguments by position; a missing one reads as `None`.
pub(crate) trait Args {
    fn str_at(&self, at: usize) -> Option<&str>;
    fn int_at(&self, at: usize) -> Option<i64>;
    fn addr_at(&self, at: usize) -> Option<IpAddr>;
    fn var_at(&self, at: usize) -> Option<&VarName>;
    fn regex_at(&self, at: usize) -> Option<&Pattern>;
}

impl Args for [Arg] {
    fn str_at(&self, at: usize) -> Option<&str> {
        match self.get(at) {
            Some(Arg::Str(s)) => Some(s),
            _ => None,
        }
    }
    fn int_at(&self, at: usize) -> Option<i64> {
        match self.get(at) {
            Some(Arg::Int(i)) => Some(*i),
            _ => None,
        }
    }
    fn addr_at(&self, at: usize) -> Option<IpAddr> {
        match self.get(at) {
            Some(Arg::Addr(a)) => Some(*a),
            _ => None,
        }
    }
    fn var_at(&self, at: usize) -> Option<&VarName> {
        match self.get(at) {
            Some(Arg::Var(v)) => Some(v),
            _ => None,
        }
    }
    fn regex_at(&self, at: usize) -> Option<&Pattern> {
        match self.get(at) {
            Some(Arg::Regex(r)) => Some(r),
            _ => None,
        }
    }
}

/// Reads an even number of hexadecimal digits.
pub(crate) fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!("an hex digit is expected (found '{bad}')"));
    }
    if !text.len().is_multiple_of(2) {
        return Err("an even number of hex digit is expected".to_owned());
    }
    let digit = |b: u8| (b as char).to_digit(16).map_or(0, |d| u8::try_from(d).unwrap_or(0));
    Ok(text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
}
