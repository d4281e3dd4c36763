//! Values on their way into Lua: trees of tables, and numbers as Lua writes them.

use crate::api::Class;
use crate::host::Value;
use crate::limits::BoolSamples;

/// A tree that becomes Lua values in one protected step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// `json.null`
    Null,
    /// A new table with a class's metatable and nothing in it.
    Empty(Class),
    Bytes(Vec<u8>),
    /// A string that is known beforehand: what fields are called.
    Name(&'static str),
    /// A new object with this handle.
    Object(Class, i64),
    /// A new object with this handle and these fields.
    Dressed(Class, i64, Vec<(Out, Out)>),
    Table(Vec<(Out, Out)>),
    /// 1-based.
    List(Vec<Out>),
}

impl Out {
    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Out {
        Out::Bytes(text.into())
    }

    /// A table with text keys.
    pub(crate) fn record<const N: usize>(pairs: [(&'static str, Out); N]) -> Out {
        Out::Table(pairs.into_iter().map(|(key, value)| (Out::Name(key), value)).collect())
    }

    /// A sample as scripts see it.
    pub(crate) fn sample(value: Value<'_>, bools: BoolSamples) -> Out {
        match value {
            Value::Bool(flag) if bools == BoolSamples::Normal => Out::Bool(flag),
            Value::Bool(flag) => Out::Int(flag.into()),
            Value::Int(int) => Out::Int(int),
            Value::Str(bytes) => Out::Bytes(bytes.into_owned()),
            Value::Ip(ip) => Out::text(ip.to_string()),
        }
    }
}

/// A float as `lua_Number2str` writes it: 14 significant digits, and `.0` where it looks like an integer.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.into();
    }
    let exponent = if number == 0.0 { 0 } else { decimal_exponent(number) };
    if !(-4..14).contains(&exponent) {
        return scientific(number);
    }
    let decimals = usize::try_from(13 - exponent).unwrap_or(0);
    let mut text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// The exponent after rounding to 14 digits.
fn decimal_exponent(number: f64) -> i32 {
    let text = format!("{number:.13e}");
    text.rsplit('e').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn scientific(number: f64) -> String {
    let text = format!("{number:.13e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::float_text;

    #[test]
    fn floats_read_as_in_lua() {
        let cases: &[(f64, &str)] = &[
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (2.0 / 3.0, "0.66666666666667"),
            (1e15, "1e+15"),
            (1e100, "1e+100"),
            (1.5e-7, "1.5e-07"),
            (123456789012.5, "123456789012.5"),
            (0.0, "0.0"),
            (f64::INFINITY, "inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float_text(*number), *text);
        }
    }
}
