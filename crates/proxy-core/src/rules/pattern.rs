//! How patterns are written, and the ways in which samples are compared with them.
//!
//! The patterns themselves are in [`pattern_ref`](crate::pattern_ref).
//! Source: configuration.txt 7.1.1 to 7.1.6.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    cfgparse::ParseError,
    sample::{SampleType, args::mask4},
};

/// A way to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// There is a sample.
    Found,
    /// It is true or not zero.
    Bool,
    /// It lies in a range.
    Int,
    /// It lies in a network.
    Ip,
    /// These bytes.
    Bin,
    /// Its length lies in a range.
    Len,
    /// This text.
    Str,
    /// The text is within it.
    Sub,
    /// It begins so.
    Beg,
    /// It ends so.
    End,
    /// The text stands in it between slashes.
    Dir,
    /// The text stands in it between dots, slashes, colons or question marks.
    Dom,
    /// A regular expression finds something in it.
    Reg,
    /// An HTTP method.
    Meth,
}

impl Method {
    /// The method that `-m` calls so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "found" => Self::Found,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "ip" => Self::Ip,
            "bin" => Self::Bin,
            "len" => Self::Len,
            "str" => Self::Str,
            "sub" => Self::Sub,
            "beg" => Self::Beg,
            "end" => Self::End,
            "dir" => Self::Dir,
            "dom" => Self::Dom,
            "reg" => Self::Reg,
            _ => return None,
        })
    }

    /// What `-m` and `get acl` call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Ip => "ip",
            Self::Bin => "bin",
            Self::Len => "len",
            Self::Str => "str",
            Self::Sub => "sub",
            Self::Beg => "beg",
            Self::End => "end",
            Self::Dir => "dir",
            Self::Dom => "dom",
            Self::Reg => "reg",
            Self::Meth => "meth",
        }
    }

    /// The method that a type implies; `None` where one must be chosen.
    #[must_use]
    pub fn of_type(kind: SampleType) -> Option<Self> {
        match kind {
            SampleType::Bool => Some(Self::Bool),
            SampleType::Int => Some(Self::Int),
            SampleType::Addr => Some(Self::Ip),
            SampleType::Str => Some(Self::Str),
            SampleType::Method => Some(Self::Meth),
            SampleType::Bin | SampleType::Any => None,
        }
    }
}

/// The operators of integers on an ACL's own line: each counts for the integers behind it.
#[derive(Default)]
pub(crate) struct Operators(Operator);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Operator {
    #[default]
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Operators {
    /// The range that a word means, as text; `None` for an operator.
    pub(crate) fn word(&mut self, text: &str) -> Result<Option<String>, ParseError> {
        if let Some(operator) = operator(text) {
            self.0 = operator;
            return Ok(None);
        }
        if self.0 == Operator::Eq {
            return Ok(Some(text.to_owned()));
        }
        let (low, high) = range(text).map_err(ParseError::new)?;
        // An operator beyond the last integer leaves a range that holds nothing.
        const NOTHING: &str = "1:0";
        Ok(Some(match self.0 {
            Operator::Eq => text.to_owned(),
            Operator::Ge => format!("{low}:"),
            Operator::Gt => low.checked_add(1).map_or(NOTHING.to_owned(), |low| format!("{low}:")),
            Operator::Le => format!(":{high}"),
            Operator::Lt => high.checked_sub(1).map_or(NOTHING.to_owned(), |high| format!(":{high}")),
        }))
    }
}

/// Well-known methods are themselves only; the case of others may be ignored.
pub(crate) fn is_method(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let is_known = |name: &[u8]| KNOWN_METHODS.iter().any(|known| known.as_bytes() == name);
    if !ignore_case || is_known(pattern) || is_known(text) {
        pattern == text
    } else {
        pattern.eq_ignore_ascii_case(text)
    }
}

fn operator(text: &str) -> Option<Operator> {
    Some(match text {
        "eq" => Operator::Eq,
        "ge" => Operator::Ge,
        "gt" => Operator::Gt,
        "le" => Operator::Le,
        "lt" => Operator::Lt,
        _ => return None,
    })
}

/// A number, or two with a colon between them of which one may be left out.
pub(crate) fn range(text: &str) -> Result<(i64, i64), String> {
    match text.split_once(':') {
        None => {
            let value = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
            Ok((value, value))
        }
        Some((low, high)) => {
            let bound = |text: &str, open: i64| if text.is_empty() { Some(open) } else { text.parse().ok() };
            bound(low, i64::MIN)
                .zip(bound(high, i64::MAX))
                .filter(|_| text != ":")
                .ok_or_else(|| format!("'{text}' is not a valid number range"))
        }
    }
}

/// An address or network; IPv4 may be short (`127.1`) and carry a mask of either form.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let (addr, mask) = match text.split_once('/') {
        Some((addr, mask)) => (addr, Some(mask)),
        None => (text, None),
    };
    let parsed = if addr.contains(':') {
        let bits = mask.map_or(Ok(128), str::parse);
        addr.parse::<Ipv6Addr>().ok().zip(bits.ok()).and_then(|(a, b)| Ipv6Net::new(a, b).ok()).map(IpNet::V6)
    } else {
        let bits = mask.map_or(Some(32), |mask| mask4(mask).and_then(prefix_len));
        short_ipv4(addr).zip(bits).and_then(|(a, b)| Ipv4Net::new(a, b).ok()).map(IpNet::V4)
    };
    parsed.ok_or_else(|| format!("'{text}' is not a valid IPv4 or IPv6 address"))
}

/// The bits of a mask without holes.
fn prefix_len(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).unwrap_or(32))
}

/// Dotted numbers of which zeros before the last may be left out: `10.12` is `10.0.0.12`.
fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = [0_u8; 4];
    let count = text.split('.').count();
    if count > 4 || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    for (at, part) in text.split('.').enumerate() {
        let place = if at + 1 == count { 3 } else { at };
        parts[place] = part.parse().ok()?;
    }
    (count > 1).then(|| Ipv4Addr::from(parts))
}

const KNOWN_METHODS: [&str; 8] = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];
