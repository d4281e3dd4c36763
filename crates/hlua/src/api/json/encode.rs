//! `json.encode`: a value on the stack to text.

use std::borrow::Cow;

use super::{DEPTH_MAX, TEXT_BYTES_MAX};
use crate::api::Class;
use crate::raw::stack::{Failure, Flow, Kind, Ret, Stack};

/// `json.encode(value)`
pub(super) fn encode(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "encode")?;
    let mut out = Vec::new();
    write(stack, &mut out, 0)?;
    stack.push_bytes(&out)?;
    Ok(Ret::Count(1))
}

fn wrong(text: impl Into<Cow<'static, str>>) -> Failure {
    Failure::Error(format!("json: {}", text.into()).into())
}

/// Writes the value on top of the stack; leaves it there.
fn write(stack: &mut Stack<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Failure> {
    if depth > DEPTH_MAX {
        return Err(wrong("a table is nested too deep, or contains itself"));
    }
    if out.len() > TEXT_BYTES_MAX {
        return Err(wrong(format!("the text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    match stack.kind_of(-1) {
        Kind::Nil | Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        Kind::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        Kind::Float(number) => write_float(number, out)?,
        Kind::Text => write_string(&stack.bytes(-1)?, out),
        Kind::Table => write_table(stack, out, depth)?,
        Kind::Other(name) => return Err(wrong(format!("a {name} cannot be written"))),
    }
    Ok(())
}

/// The shortest text that reads as the same number; whole numbers without a fraction.
fn write_float(number: f64, out: &mut Vec<u8>) -> Result<(), Failure> {
    if !number.is_finite() {
        return Err(wrong("a number is not finite"));
    }
    let text = if number != 0.0 && !(1e-5..1e17).contains(&number.abs()) {
        format!("{number:e}")
    } else {
        format!("{number}")
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=31 | 127)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_table(stack: &mut Stack<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Failure> {
    if !stack.reserve(SLOTS) {
        return Err(wrong("not enough memory"));
    }
    let table = stack.top();
    if stack.is_object(table, Class::JsonObject) {
        return write_object(stack, table, out, depth);
    }
    stack.push_element(table, 1);
    let has_first = !stack.is_nil(-1);
    stack.pop(1);
    if has_first {
        return write_array(stack, table, out, depth);
    }
    stack.push_nil();
    if !stack.next(table) {
        out.extend_from_slice(b"[]");
        return Ok(());
    }
    stack.pop(2);
    write_object(stack, table, out, depth)
}

fn write_array(stack: &mut Stack<'_>, table: i32, out: &mut Vec<u8>, depth: usize) -> Result<(), Failure> {
    let len = stack.raw_len(table);
    let mut keys = 0;
    stack.push_nil();
    while stack.next(table) {
        stack.pop(1);
        keys += 1;
        if !matches!(stack.kind_of(-1), Kind::Int(at) if (1..=len).contains(&at)) {
            return Err(wrong("a table has [1] and other keys: neither an array nor an object"));
        }
    }
    if keys != len {
        return Err(wrong("an array has holes"));
    }
    out.push(b'[');
    for at in 1..=len {
        if at > 1 {
            out.push(b',');
        }
        stack.push_element(table, at);
        write(stack, out, depth + 1)?;
        stack.pop(1);
    }
    out.push(b']');
    Ok(())
}

/// Keys in order, so that equal tables give equal texts.
fn write_object(stack: &mut Stack<'_>, table: i32, out: &mut Vec<u8>, depth: usize) -> Result<(), Failure> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    stack.push_nil();
    while stack.next(table) {
        stack.pop(1);
        if !matches!(stack.kind_of(-1), Kind::Text) {
            return Err(wrong(format!("a key of an object is a {}, not a string", stack.type_name(-1))));
        }
        keys.push(stack.bytes(-1)?.into_owned());
    }
    keys.sort_unstable();
    out.push(b'{');
    for (at, key) in keys.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        stack.push_bytes(key)?;
        stack.push_field_at(table)?;
        write(stack, out, depth + 1)?;
        stack.pop(1);
    }
    out.push(b'}');
    Ok(())
}

/// What one level needs: a key, a value, and what a call in between may push.
const SLOTS: i32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short_and_read_the_same() {
        let text = |number: f64| {
            let mut out = Vec::new();
            write_float(number, &mut out).map(|()| String::from_utf8(out).unwrap()).ok()
        };
        for (number, expected) in [
            (3.0, "3"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e300, "1e300"),
            (1e-7, "1e-7"),
            (0.0, "0"),
            (123_456_789.125, "123456789.125"),
        ] {
            assert_eq!(text(number).as_deref(), Some(expected));
            assert_eq!(expected.parse::<f64>().unwrap(), number);
        }
        assert_eq!(text(f64::NAN), None);
        assert_eq!(text(f64::INFINITY), None);
    }

    #[test]
    fn strings_are_escaped_where_they_must_be() {
        let mut out = Vec::new();
        write_string("a\"\\\n\u{1}é\u{7f}".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\"\\\n\u0001é\u007f""#);
    }
}
