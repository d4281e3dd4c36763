//! Log-format strings: text with `%[expression]` and `%tag` parts.
//!
//! The same string is rendered in two ways. For a log line what is absent becomes `-`, runs of
//! spaces become one, and bytes outside 32 to 126 become `#XX`. Elsewhere (headers, paths,
//! variables, payloads) what is absent becomes nothing, spaces stay, and control bytes that come
//! out of a sample become `%XX`. Source: configuration.txt 8.2.6, 8.6.

mod tag;

use tag::Tag;

use super::{Needs, SampleRef, expr::Expr};
use crate::{
    cfgparse::ParseError,
    log::exchange::LOG_SIDE,
    registry::Registry,
    txn::{Direction, Txn},
};

/// A compiled log-format string.
#[derive(Clone)]
pub struct LogFormat {
    nodes: Vec<Node>,
    names_backend_source: bool,
}

#[derive(Clone)]
enum Node {
    /// Text without spaces.
    Text(Box<str>),
    /// So many spaces.
    Spaces(usize),
    Tag(Tag, Flags),
    Expr(Box<Expr>, Flags),
}

/// How one part is written.
#[derive(Clone, Copy, Default, Debug)]
struct Flags {
    quote: bool,
    hex: bool,
    escape: bool,
}

/// What is done with bytes that do not belong into the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Log,
    Plain,
}

/// Whether a sample held CR, LF or NUL, which a header, path or status line must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Tainted(pub bool);

impl LogFormat {
    /// Compiles it.
    ///
    /// # Errors
    /// An unknown tag or a wrong expression.
    pub fn parse(text: &str, registry: &Registry) -> Result<Self, ParseError> {
        let mut nodes = Vec::new();
        let mut defaults = Flags::default();
        let mut names_backend_source = false;
        let mut rest = text;
        while let Some(percent) = rest.find('%') {
            push_text(&mut nodes, &rest[..percent]);
            let item = &rest[percent + 1..];
            if item.is_empty() {
                return Err(ParseError::new("truncated line after '%'"));
            }
            let used = match item.strip_prefix('%') {
                Some(_) => {
                    nodes.push(Node::Text("%".into()));
                    1
                }
                None => parse_item(item, registry, &mut defaults, &mut nodes)?,
            };
            names_backend_source |= item[..used].ends_with("bi") || item[..used].ends_with("bp");
            rest = &item[used..];
        }
        push_text(&mut nodes, rest);
        Ok(Self { nodes, names_backend_source })
    }

    /// Whether it may show our end of the server connection (`%bi`, `%bp`).
    #[must_use]
    pub fn names_backend_source(&self) -> bool {
        self.names_backend_source
    }

    /// Appends the text for this transaction, in the way of header values. Control bytes out of
    /// samples are written as `%XX`, so that the result never ends a line.
    pub fn render(&self, txn: &mut Txn, direction: Direction, out: &mut Vec<u8>) {
        let _ = self.render_checked(txn, direction, out);
    }

    /// As [`LogFormat::render`], and tells whether a sample held what would have ended a line.
    pub fn render_checked(&self, txn: &mut Txn, direction: Direction, out: &mut Vec<u8>) -> Tainted {
        let mut writer = Writer { out, style: Style::Plain, last_space: false, tainted: false };
        for node in &self.nodes {
            match node {
                Node::Text(text) => writer.out.extend_from_slice(text.as_bytes()),
                Node::Spaces(count) => writer.out.extend(std::iter::repeat_n(b' ', *count)),
                Node::Tag(tag, flags) => tag.write(txn, *flags, &mut writer),
                Node::Expr(expr, flags) => {
                    if !expr.peek(txn, direction, &mut |value| writer.sample(value, *flags)) {
                        writer.text(None, *flags);
                    }
                }
            }
        }
        Tainted(writer.tainted)
    }

    /// Appends the text of a log line.
    pub fn render_log(&self, txn: &mut Txn, out: &mut Vec<u8>) {
        let mut writer = Writer { out, style: Style::Log, last_space: true, tainted: false };
        for node in &self.nodes {
            let before = writer.out.len();
            match node {
                Node::Text(text) => writer.out.extend_from_slice(text.as_bytes()),
                Node::Spaces(_) if writer.last_space => continue,
                Node::Spaces(_) => writer.out.push(b' '),
                Node::Tag(tag, flags) => tag.write(txn, *flags, &mut writer),
                Node::Expr(expr, flags) => {
                    if !expr.peek(txn, LOG_SIDE, &mut |value| writer.sample(value, *flags)) {
                        writer.text(None, *flags);
                    }
                }
            }
            if writer.out.len() > before {
                writer.last_space = matches!(node, Node::Spaces(_));
            }
        }
    }

    /// The text, if no part of it depends on a transaction.
    #[must_use]
    pub fn as_constant(&self) -> Option<String> {
        self.nodes
            .iter()
            .map(|node| match node {
                Node::Text(text) => Some(text.to_string()),
                Node::Spaces(count) => Some(" ".repeat(*count)),
                Node::Tag(..) | Node::Expr(..) => None,
            })
            .collect()
    }

    /// What its expressions need to be there.
    pub fn needs(&self) -> impl Iterator<Item = Needs> + '_ {
        self.nodes.iter().filter_map(|node| match node {
            Node::Expr(expr, _) => Some(expr.needs()),
            _ => None,
        })
    }
}

/// Literal text, its spaces apart.
fn push_text(nodes: &mut Vec<Node>, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        if spaces > 0 {
            nodes.push(Node::Spaces(spaces));
        }
        rest = &rest[spaces..];
        let end = rest.find(' ').unwrap_or(rest.len());
        if end > 0 {
            nodes.push(Node::Text(rest[..end].into()));
        }
        rest = &rest[end..];
    }
}

/// What follows a percent sign: `(name)`, `{flags}`, then a tag or `[expression]`. Gives its length.
fn parse_item(
    item: &str,
    registry: &Registry,
    defaults: &mut Flags,
    nodes: &mut Vec<Node>,
) -> Result<usize, ParseError> {
    let mut at = 0;
    if item.starts_with('(') {
        at = item.find(')').ok_or_else(|| ParseError::new(format!("missing ')' after '{item}'")))? + 1;
    }
    let mut flags = *defaults;
    if item[at..].starts_with('{') {
        let end =
            item[at..].find('}').ok_or_else(|| ParseError::new(format!("missing '}}' after '{item}'")))?;
        flags.change(&item[at + 1..at + end])?;
        at += end + 1;
    }
    let rest = &item[at..];
    if let Some(inner) = rest.strip_prefix('[') {
        let wrap = |e: ParseError| {
            ParseError::new(format!("failed to parse sample expression <{inner}> : {}", e.message))
        };
        let (expr, end) = Expr::parse_prefix(inner, registry).map_err(wrap)?;
        match inner[end..].chars().next() {
            Some(']') => nodes.push(Node::Expr(Box::new(expr), flags)),
            Some(other) => {
                let before = &inner[..end];
                return Err(ParseError::new(format!("expected ']' after '{before}', but found '{other}'")));
            }
            None => return Err(ParseError::new(format!("missing ']' after '{inner}'"))),
        }
        return Ok(at + 1 + end + 1);
    }
    let len = rest.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
    if &rest[..len] == "o" {
        *defaults = flags;
        return Ok(at + len);
    }
    let tag = Tag::from_name(&rest[..len])?;
    nodes.push(Node::Tag(tag, flags));
    Ok(at + len)
}

impl Flags {
    fn change(&mut self, list: &str) -> Result<(), ParseError> {
        for item in list.split(',') {
            let (on, name) = match item.as_bytes() {
                [b'-', ..] => (false, &item[1..]),
                [b'+', ..] => (true, &item[1..]),
                _ => (true, item),
            };
            match name {
                "Q" => self.quote = on,
                "X" => self.hex = on,
                "E" => self.escape = on,
                "json" | "cbor" | "bin" => {
                    return Err(ParseError::new(format!("log-format flag '{name}' is not supported yet")));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Where a rendered string goes, and what happened on the way.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    style: Style,
    last_space: bool,
    tainted: bool,
}

impl Writer<'_> {
    /// A text or its absence.
    fn text(&mut self, text: Option<&[u8]>, flags: Flags) {
        if flags.quote {
            self.out.push(b'"');
        }
        match text.filter(|text| !text.is_empty()) {
            Some(text) => self.encoded(text, flags),
            None if self.style == Style::Log && !flags.quote => self.out.push(b'-'),
            None => {}
        }
        if flags.quote {
            self.out.push(b'"');
        }
    }

    /// A number, bare.
    fn int(&mut self, value: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn sample(&mut self, value: SampleRef<'_>, flags: Flags) {
        match value {
            SampleRef::Str(b) | SampleRef::Method(b) => self.text(Some(b), flags),
            SampleRef::Bin(_) => self.text(Some(&value.text()), flags),
            SampleRef::Bool(_) | SampleRef::Int(_) | SampleRef::Addr(_) => {
                // Digits, dots and colons need no encoding.
                if flags.quote {
                    self.out.push(b'"');
                }
                value.append_to(self.out);
                if flags.quote {
                    self.out.push(b'"');
                }
            }
        }
    }

    fn encoded(&mut self, text: &[u8], flags: Flags) {
        for byte in text {
            match (self.style, byte) {
                (_, b'"' | b'\\' | b']') if flags.escape => self.out.extend_from_slice(&[b'\\', *byte]),
                (Style::Log, 32..=126) if flags.escape => self.out.push(*byte),
                (Style::Log, b'#' | b'"') => self.coded(b'#', *byte),
                (Style::Log, 32..=126) => self.out.push(*byte),
                (Style::Log, _) => self.coded(b'#', *byte),
                (Style::Plain, b'\r' | b'\n' | 0) => {
                    self.tainted = true;
                    self.coded(b'%', *byte);
                }
                (Style::Plain, 1..=8 | 11 | 12 | 14..=31 | 127) => self.coded(b'%', *byte),
                (Style::Plain, _) => self.out.push(*byte),
            }
        }
    }

    fn coded(&mut self, mark: u8, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        self.out.extend_from_slice(&[mark, HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}
