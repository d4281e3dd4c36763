//! Patterns: what ACLs compare samples with. Source: configuration.txt 7.1.1 to 7.1.6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustc_hash::FxHashSet;

use crate::{
    cfgparse::ParseError,
    sample::{
        Pattern as Regex, SampleRef, SampleType,
        args::{hex_bytes, mask4},
    },
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

/// A method with its patterns.
#[derive(Clone)]
pub(crate) struct Matcher {
    method: Method,
    ranges: Vec<(i64, i64)>,
    nets: Vec<IpNet>,
    texts: Vec<Text>,
    regexes: Vec<Regex>,
    /// Exact texts, once they are many: as they are, and in lower case for those that ignore it.
    exact: FxHashSet<Box<[u8]>>,
    folded: FxHashSet<Box<[u8]>>,
    /// The operator in front of the coming integers.
    operator: Operator,
}

#[derive(Clone)]
struct Text {
    bytes: Box<[u8]>,
    ignore_case: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Matcher {
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            ranges: Vec::new(),
            nets: Vec::new(),
            texts: Vec::new(),
            regexes: Vec::new(),
            exact: FxHashSet::default(),
            folded: FxHashSet::default(),
            operator: Operator::Eq,
        }
    }

    /// Adds a pattern as written.
    pub(crate) fn add(&mut self, text: &str, ignore_case: bool) -> Result<(), ParseError> {
        match self.method {
            Method::Found | Method::Bool => {}
            Method::Int | Method::Len => match operator(text) {
                Some(operator) => self.operator = operator,
                None => self.ranges.push(range(text, self.operator)?),
            },
            Method::Ip => self.nets.push(network(text)?),
            Method::Bin => {
                let bytes = hex_bytes(text).map_err(ParseError::new)?;
                self.texts.push(Text { bytes: bytes.into(), ignore_case: false });
            }
            Method::Reg => self.regexes.push(Regex::new(text, ignore_case)?),
            Method::Dir => self.push_text(text.trim_matches('/'), ignore_case),
            Method::Dom => self.push_text(text.trim_matches(['/', '?', '.', ':']), ignore_case),
            Method::Str | Method::Sub | Method::Beg | Method::End | Method::Meth => {
                self.push_text(text, ignore_case);
            }
        }
        Ok(())
    }

    /// Settles the patterns once all are there: many exact texts are looked up, not walked.
    pub(crate) fn finish(mut self) -> Self {
        if self.method == Method::Str && self.texts.len() > WALK_MAX {
            for text in std::mem::take(&mut self.texts) {
                if text.ignore_case {
                    self.folded.insert(text.bytes.to_ascii_lowercase().into());
                } else {
                    self.exact.insert(text.bytes);
                }
            }
        }
        self
    }

    /// Whether a sample matches one of the patterns.
    pub(crate) fn matches(&self, value: SampleRef<'_>) -> bool {
        match self.method {
            Method::Found => true,
            Method::Bool => value.int().is_some_and(|i| i != 0),
            Method::Int => value.int().is_some_and(|i| self.in_range(i)),
            Method::Len => i64::try_from(value.text().len()).is_ok_and(|len| self.in_range(len)),
            Method::Ip => value.addr().is_some_and(|addr| self.nets.iter().any(|net| contains(net, addr))),
            Method::Bin => match value {
                SampleRef::Str(b) | SampleRef::Bin(b) | SampleRef::Method(b) => {
                    self.texts.iter().any(|text| *text.bytes == *b)
                }
                _ => false,
            },
            Method::Reg => {
                let text = value.text();
                self.regexes.iter().any(|regex| regex.0.is_match(&text))
            }
            Method::Str => {
                let text = value.text();
                self.any_text(|pattern| pattern.equals(&text)) || self.looked_up(&text)
            }
            Method::Meth => {
                let text = value.text();
                self.any_text(|pattern| pattern.is_method(&text))
            }
            Method::Sub | Method::Beg | Method::End | Method::Dir | Method::Dom => {
                let text = value.text();
                self.any_text(|pattern| pattern.is_part(self.method, &text))
            }
        }
    }

    fn push_text(&mut self, text: &str, ignore_case: bool) {
        self.texts.push(Text { bytes: text.as_bytes().into(), ignore_case });
    }

    fn any_text(&self, test: impl FnMut(&Text) -> bool) -> bool {
        self.texts.iter().any(test)
    }

    fn looked_up(&self, text: &[u8]) -> bool {
        (!self.exact.is_empty() && self.exact.contains(text))
            || (!self.folded.is_empty() && self.folded.contains(text.to_ascii_lowercase().as_slice()))
    }

    fn in_range(&self, value: i64) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&value))
    }
}

impl Text {
    fn equals(&self, text: &[u8]) -> bool {
        text.len() == self.bytes.len() && self.same(text)
    }

    /// Well-known methods are themselves only; the case of others may be ignored.
    fn is_method(&self, text: &[u8]) -> bool {
        let is_known = |name: &[u8]| KNOWN_METHODS.iter().any(|known| known.as_bytes() == name);
        if is_known(&self.bytes) || is_known(text) { *text == *self.bytes } else { self.equals(text) }
    }

    /// Of equal lengths.
    fn same(&self, text: &[u8]) -> bool {
        if self.ignore_case { text.eq_ignore_ascii_case(&self.bytes) } else { *text == *self.bytes }
    }

    fn is_part(&self, method: Method, text: &[u8]) -> bool {
        let len = self.bytes.len();
        if len > text.len() {
            return false;
        }
        match method {
            Method::Beg => self.same(&text[..len]),
            Method::End => self.same(&text[text.len() - len..]),
            Method::Dir => self.is_word(text, |b| matches!(b, b'/' | b'?')),
            Method::Dom => self.is_word(text, |b| matches!(b, b'/' | b'?' | b'.' | b':')),
            _ if self.ignore_case => len == 0 || text.windows(len).any(|part| self.same(part)),
            _ => memchr::memmem::find(text, &self.bytes).is_some(),
        }
    }

    /// Whether the pattern stands in the text with a delimiter or an end at both sides.
    fn is_word(&self, text: &[u8], is_delimiter: impl Fn(u8) -> bool) -> bool {
        let len = self.bytes.len();
        len > 0
            && (0..=text.len() - len).any(|from| {
                let starts = from == 0 || is_delimiter(text[from - 1]);
                let ends = text.get(from + len).is_none_or(|b| is_delimiter(*b));
                starts && ends && self.same(&text[from..from + len])
            })
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

fn range(text: &str, operator: Operator) -> Result<(i64, i64), ParseError> {
    let (low, high) = match text.split_once(':') {
        None => {
            let value = text.parse().map_err(|_| ParseError::new(format!("'{text}' is not a number")))?;
            (value, value)
        }
        Some((low, high)) => {
            let bound = |text: &str, open: i64| if text.is_empty() { Some(open) } else { text.parse().ok() };
            bound(low, i64::MIN)
                .zip(bound(high, i64::MAX))
                .filter(|_| text != ":")
                .ok_or_else(|| ParseError::new(format!("'{text}' is not a valid number range")))?
        }
    };
    // An operator beyond the last integer leaves a range that holds nothing.
    Ok(match operator {
        Operator::Eq => (low, high),
        Operator::Ge => (low, i64::MAX),
        Operator::Gt => low.checked_add(1).map_or((1, 0), |low| (low, i64::MAX)),
        Operator::Le => (i64::MIN, high),
        Operator::Lt => high.checked_sub(1).map_or((1, 0), |high| (i64::MIN, high)),
    })
}

/// An address or network; IPv4 may be short (`127.1`) and carry a mask of either form.
pub(crate) fn network(text: &str) -> Result<IpNet, ParseError> {
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
    parsed.ok_or_else(|| ParseError::new(format!("'{text}' is not a valid IPv4 or IPv6 address")))
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

/// Whether an address lies in a network, with the conversions between families that
/// configuration.txt 7.1.6 lists.
fn contains(net: &IpNet, addr: IpAddr) -> bool {
    match (net, addr) {
        (IpNet::V4(net), IpAddr::V4(addr)) => net.contains(&addr),
        (IpNet::V6(net), IpAddr::V6(addr)) => net.contains(&addr),
        (IpNet::V4(net), IpAddr::V6(addr)) => embedded_ipv4(addr).is_some_and(|addr| net.contains(&addr)),
        (IpNet::V6(net), IpAddr::V4(addr)) => net.contains(&addr.to_ipv6_mapped()),
    }
}

/// The IPv4 address within `2002:IPV4::`, `::IPV4` or `::ffff:IPV4`.
fn embedded_ipv4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(addr);
    let low = |bits: u128| Ipv4Addr::from(u32::try_from(bits & 0xffff_ffff).unwrap_or(0));
    if bits >> 112 == 0x2002 {
        Some(low(bits >> 80))
    } else if bits >> 32 == 0 || bits >> 32 == 0xffff {
        Some(low(bits))
    } else {
        None
    }
}

const KNOWN_METHODS: [&str; 8] = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];
/// Exact texts beyond this number are hashed.
const WALK_MAX: usize = 8;
