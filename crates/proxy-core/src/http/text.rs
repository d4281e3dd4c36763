//! Which bytes may stand where in a message head, and how header lines split into values.

/// Whether these bytes make a token (RFC 9110 §5.6.2): a method or a header name. Not empty.
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// Whether this byte may stand in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether these bytes may be a header value: no CR, LF or NUL.
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, bytes).is_none()
}

/// Whether these bytes may be a request target: not empty, no space, no control byte.
#[must_use]
pub fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| *b > b' ' && *b != 0x7f)
}

/// Whether these bytes may be a reason phrase: no control byte but tab.
#[must_use]
pub fn is_reason(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| (*b >= b' ' && *b != 0x7f) || *b == b'\t')
}

/// Without spaces and tabs at both ends.
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The values of a header line: separated by commas outside quotes, trimmed. An empty line has
/// one empty value.
pub fn split_values(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = value_end(line);
        rest = line.get(end + 1..);
        Some(trim(&line[..end]))
    })
}

/// Where the first value of a line ends: at a comma outside quotes, or with the line.
fn value_end(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

/// Bytes of a token.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    let others = b"!#$%&'*+-.^_`|~";
    while at < 256 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};
