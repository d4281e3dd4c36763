//! `json.decode`: text to a tree of values, which becomes Lua tables in one step.

use super::{DEPTH_MAX, TEXT_BYTES_MAX};
use crate::api::Class;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

/// `json.decode(text [, keep_null])`
pub(super) fn decode(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 2, "decode")?;
    let text = stack.bytes(1)?;
    let keep_null = stack.top() == 2 && stack.truthy(2);
    let value = parse(&text, keep_null).map_err(|text| Failure::Error(format!("json: {text}").into()))?;
    stack.push_out(&value)?;
    Ok(Ret::Count(1))
}

/// The value of a whole text.
pub(super) fn parse(text: &[u8], keep_null: bool) -> Result<Out, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut reader = Reader { text, at: 0, null: if keep_null { Out::Null } else { Out::Nil } };
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.wrong("something follows the value"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    null: Out,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Out, String> {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Out::Bytes(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Out::Bool(true)),
            Some(b'f') => self.word(b"false", Out::Bool(false)),
            Some(b'n') => self.word(b"null", self.null.clone()),
            Some(_) => Err(self.wrong("a value is expected")),
            None => Err(self.wrong("the text ends where a value is expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Out, String> {
        self.deeper(depth)?;
        let mut pairs = Vec::new();
        if self.next_is(b'}') {
            return Ok(Out::Empty(Class::JsonObject));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in quotes is expected"));
            }
            let key = Out::Bytes(self.string()?);
            if !self.next_is(b':') {
                return Err(self.wrong("':' is expected"));
            }
            pairs.push((key, self.value(depth)?));
            if self.next_is(b'}') {
                return Ok(Out::Table(pairs));
            }
            if !self.next_is(b',') {
                return Err(self.wrong("',' or '}' is expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Out, String> {
        self.deeper(depth)?;
        let mut items = Vec::new();
        if self.next_is(b']') {
            return Ok(Out::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.next_is(b']') {
                return Ok(Out::List(items));
            }
            if !self.next_is(b',') {
                return Err(self.wrong("',' or ']' is expected"));
            }
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<(), String> {
        self.at += 1;
        if depth > DEPTH_MAX {
            return Err(self.wrong("values are nested too deep"));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let plain =
                rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=31)).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(_) => return Err(self.wrong("a control character in a string")),
                None => return Err(self.wrong("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let byte = match self.text.get(self.at + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode(out),
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += 2;
        out.push(byte);
        Ok(())
    }

    /// `\uXXXX`, two of them for what is beyond the first plane; half a pair becomes the replacement character.
    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.text[self.at..].starts_with(b"\\u") {
            let before = self.at;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else {
                self.at = before;
            }
        }
        let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at + 2..self.at + 6).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("four hexadecimal digits are expected after '\\u'"))?;
        self.at += 6;
        Ok(code)
    }

    fn number(&mut self) -> Result<Out, String> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            reader.at > from
        };
        self.at += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.at;
        let mut good = digits(self) && (!leading_zero || self.at == whole + 1);
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            is_integer = false;
            good &= digits(self);
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            is_integer = false;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            good &= digits(self);
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        let value = match text.parse::<i64>() {
            Ok(int) if is_integer => Some(Out::Int(int)),
            _ => text.parse::<f64>().ok().map(Out::Float),
        };
        value.filter(|_| good).ok_or_else(|| {
            self.at = start;
            self.wrong("a malformed number")
        })
    }

    fn word(&mut self, word: &[u8], value: Out) -> Result<Out, String> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("a value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.blanks();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn wrong(&self, what: &str) -> String {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{what} at line {line} column {column}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Out {
        Out::text(text)
    }

    #[test]
    fn values_of_every_kind() {
        for (json, expected) in [
            ("null", Out::Nil),
            (" true ", Out::Bool(true)),
            ("-0", Out::Int(0)),
            ("12", Out::Int(12)),
            ("9223372036854775808", Out::Float(9_223_372_036_854_775_808.0)),
            ("1.5e2", Out::Float(150.0)),
            (r#""a\"\\\/\b\n\u00e9\ud83d\ude00""#, text("a\"\\/\u{8}\né😀")),
            (r#""\ud800x""#, text("\u{fffd}x")),
            ("[]", Out::List(vec![])),
            ("[1,[2]]", Out::List(vec![Out::Int(1), Out::List(vec![Out::Int(2)])])),
            ("{}", Out::Empty(Class::JsonObject)),
            (r#"{ "a" : 1 }"#, Out::Table(vec![(text("a"), Out::Int(1))])),
        ] {
            assert_eq!(parse(json.as_bytes(), false), Ok(expected), "{json}");
        }
        assert_eq!(parse(b"[null]", true), Ok(Out::List(vec![Out::Null])));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (json, expected) in [
            ("", "the text ends where a value is expected at line 1 column 1"),
            ("[1,]", "a value is expected at line 1 column 4"),
            ("[1 2]", "',' or ']' is expected at line 1 column 4"),
            ("{\n  a: 1}", "a key in quotes is expected at line 2 column 3"),
            ("{\"a\" 1}", "':' is expected at line 1 column 6"),
            ("01", "a malformed number at line 1 column 1"),
            ("1.", "a malformed number at line 1 column 1"),
            ("\"\x01\"", "a control character in a string at line 1 column 2"),
            ("\"ab", "the text ends inside a string at line 1 column 4"),
            (r#""\x""#, "an unknown escape at line 1 column 2"),
            (r#""\u12g4""#, "four hexadecimal digits are expected after '\\u' at line 1 column 2"),
            ("nul", "a value is expected at line 1 column 1"),
            ("1 x", "something follows the value at line 1 column 3"),
        ] {
            assert_eq!(parse(json.as_bytes(), false), Err(expected.to_owned()), "{json}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert!(parse(deep.as_bytes(), false).unwrap_err().contains("too deep"));
    }
}
