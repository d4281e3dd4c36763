//! Bytes as people paste them: hexadecimal in the shapes that common tools print.
//!
//! Plain digits in any grouping, `xxd` and `hexdump -C` (an offset with or without a colon, a text column), bytes as
//! `0x..` or `\x..`, separators `,` and `:`, comments behind `#`.

/// A place in the text that is not hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub(super) struct HexError {
    line: usize,
    column: usize,
    what: String,
}

/// Whether `bytes` look like text that [`parse`] is for, rather than like the frames themselves.
pub(super) fn looks_like_hex(bytes: &[u8]) -> bool {
    let text = bytes.iter().take(SAMPLE_BYTES);
    // A frame starts with its length, whose first byte is no printable character below 2^29 bytes.
    text.clone().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) && text.count() > 0
}

/// Reads all bytes of `text`.
///
/// # Errors
/// The first character that cannot be part of a byte.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::new();
    let dump = is_dump(text);
    for (index, line) in text.lines().enumerate() {
        let line_bytes = if dump { dump_columns(line) } else { line.split('#').next().unwrap_or_default() };
        let start = line_bytes.as_ptr() as usize - line.as_ptr() as usize;
        digits(line_bytes, &mut bytes).map_err(|(at, what)| HexError {
            line: index + 1,
            column: start + at + 1,
            what,
        })?;
    }
    Ok(bytes)
}

/// Whether every line begins with an offset that grows by what the line before it holds.
fn is_dump(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    let first = lines.peek().and_then(|line| offset(line));
    // `hexdump` ends with a line that has nothing but the offset.
    first == Some(0) && lines.all(|line| offset(line).is_some())
}

/// The offset at the start of a line of a dump: four digits or more, then a colon or two blanks or the end.
fn offset(line: &str) -> Option<u64> {
    let end = line.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(line.len());
    let rest = &line[end..];
    let delimited = rest.is_empty() || rest.starts_with(':') || rest.starts_with("  ");
    if !(4..=16).contains(&end) || !delimited {
        return None;
    }
    u64::from_str_radix(&line[..end], 16).ok()
}

/// What stands between the offset and the text column.
fn dump_columns(line: &str) -> &str {
    let end = line.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(line.len());
    let rest = line[end..].trim_start_matches([':', ' ']);
    let bar = rest.find('|').unwrap_or(rest.len());
    // `xxd` sets its text off by two blanks; `hexdump -C` has them in its middle, too, but ends with a bar.
    let wide = if bar < rest.len() { bar } else { rest.find("  ").unwrap_or(rest.len()) };
    &rest[..wide]
}

fn digits(text: &str, bytes: &mut Vec<u8>) -> Result<(), (usize, String)> {
    let mut high: Option<(usize, u8)> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let prefix = matches!(chars.peek(), Some((_, 'x' | 'X'))) && (c == '0' || c == '\\');
        if prefix && high.is_none() {
            chars.next();
            continue;
        }
        match c.to_digit(16) {
            Some(digit) => {
                let digit = digit as u8;
                match high.take() {
                    Some((_, high)) => bytes.push(high << 4 | digit),
                    None => high = Some((at, digit)),
                }
            }
            None if c.is_whitespace() || matches!(c, ',' | ':' | '"' | '\'' | ';') => {
                if let Some((at, _)) = high {
                    return Err((at, "a byte has two digits".to_owned()));
                }
            }
            None => return Err((at, format!("'{c}' is no hexadecimal digit"))),
        }
    }
    match high {
        Some((at, _)) => Err((at, "a byte has two digits".to_owned())),
        None => Ok(()),
    }
}

/// How much of the input decides what it is.
const SAMPLE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::{looks_like_hex, parse};

    #[test]
    fn the_shapes_of_common_tools_are_read() {
        let bytes = [0, 0, 0, 7, 103, 0, 0, 0, 3, 0, 1, 0x68, 0x69, 0xff, 0, 1, 2, 3];
        for text in [
            "000000076700000003000168 69ff00010203",
            "00 00 00 07 67 00 00 00 03 00 01 # length and more\n68:69:ff:00:01:02:03",
            "0x00, 0x00, 0x00, 0x07, 0x67, 0x00, 0x00, 0x00, 0x03, 0x00, 0x01, 0x68, 0x69, 0xff, 0x00, 0x01, 0x02, 0x03",
            r#""\x00\x00\x00\x07\x67\x00\x00\x00\x03\x00\x01\x68\x69\xff\x00\x01\x02\x03""#,
            "00000000: 0000 0007 6700 0000 0300 0168 69ff 0001  ....g......hi...\n00000010: 0203                                     ..\n",
            "00000000  00 00 00 07 67 00 00 00  03 00 01 68 69 ff 00 01  |....g......hi...|\n00000010  02 03                                             |..|\n00000012\n",
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
            assert!(looks_like_hex(text.as_bytes()), "{text}");
        }
        assert!(!looks_like_hex(&bytes));
    }

    #[test]
    fn errors_say_where() {
        for (text, said) in [
            ("00 0g", "line 1, column 5: 'g' is no hexadecimal digit"),
            ("00\n0 0", "line 2, column 1: a byte has two digits"),
            ("00 01 2", "line 1, column 7: a byte has two digits"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
    }
}
