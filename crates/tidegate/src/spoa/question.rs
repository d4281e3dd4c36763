//! What an agent is asked: one message, from the command line or a harmless one.

use std::net::{Ipv4Addr, Ipv6Addr};

use clap::Args;
use spoe::{NotifyWriter, TypedData};

/// The message of every NOTIFY.
#[derive(Args, Clone, Debug)]
pub(super) struct Question {
    /// Ask with this message; agents answer those they do not know with nothing
    #[arg(long, value_name = "NAME", default_value = "tidegate-probe")]
    message: String,
    /// An argument of the message, with its type: TYPE is one of null, bool, int32, uint32, int64, uint64, ipv4,
    /// ipv6, string (the default) and binary (in hexadecimal); may be repeated
    #[arg(long = "arg", value_name = "NAME=[TYPE:]VALUE", value_parser = parse_arg)]
    args: Vec<Arg>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Arg {
    name: String,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    String(String),
    Binary(Vec<u8>),
}

impl Question {
    /// Appends the list of messages.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut writer = NotifyWriter::new(out);
        writer.message(&self.message);
        for arg in &self.args {
            writer.arg(&arg.name, arg.value.typed());
        }
    }

    /// The message's name.
    pub(super) fn name(&self) -> &str {
        &self.message
    }
}

impl Value {
    fn typed(&self) -> TypedData<'_> {
        match self {
            Self::Null => TypedData::Null,
            Self::Bool(flag) => TypedData::Bool(*flag),
            Self::Int32(number) => TypedData::Int32(*number),
            Self::Uint32(number) => TypedData::Uint32(*number),
            Self::Int64(number) => TypedData::Int64(*number),
            Self::Uint64(number) => TypedData::Uint64(*number),
            Self::Ipv4(ip) => TypedData::Ipv4(*ip),
            Self::Ipv6(ip) => TypedData::Ipv6(*ip),
            Self::String(text) => TypedData::String(text.as_bytes()),
            Self::Binary(bytes) => TypedData::Binary(bytes),
        }
    }
}

fn parse_arg(text: &str) -> Result<Arg, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=[TYPE:]VALUE")?;
    let (kind, rest) = value.split_once(':').unwrap_or(("", value));
    let bad = |error: &dyn std::fmt::Display| format!("'{rest}' is no {kind}: {error}");
    let value = match kind {
        "null" => Value::Null,
        "bool" => Value::Bool(rest.parse().map_err(|error| bad(&error))?),
        "int32" => Value::Int32(rest.parse().map_err(|error| bad(&error))?),
        "uint32" => Value::Uint32(rest.parse().map_err(|error| bad(&error))?),
        "int64" => Value::Int64(rest.parse().map_err(|error| bad(&error))?),
        "uint64" => Value::Uint64(rest.parse().map_err(|error| bad(&error))?),
        "ipv4" => Value::Ipv4(rest.parse().map_err(|error| bad(&error))?),
        "ipv6" => Value::Ipv6(rest.parse().map_err(|error| bad(&error))?),
        "binary" => Value::Binary(super::hex::parse(rest).map_err(|error| bad(&error))?),
        "string" => Value::String(rest.to_owned()),
        // A colon may as well belong to the text.
        _ => Value::String(value.to_owned()),
    };
    Ok(Arg { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::{Arg, Value, parse_arg};

    #[test]
    fn arguments_have_a_type_or_are_strings() {
        for (text, name, value) in [
            ("ip=ipv4:192.0.2.1", "ip", Value::Ipv4([192, 0, 2, 1].into())),
            ("n=int64:-5", "n", Value::Int64(-5)),
            ("path=/a=b", "path", Value::String("/a=b".into())),
            ("url=http://x/", "url", Value::String("http://x/".into())),
            ("b=binary:00ff", "b", Value::Binary(vec![0, 255])),
            ("nothing=null:", "nothing", Value::Null),
            ("=bool:true", "", Value::Bool(true)),
        ] {
            assert_eq!(parse_arg(text), Ok(Arg { name: name.into(), value }), "{text}");
        }
        assert!(parse_arg("n=int32:many").unwrap_err().starts_with("'many' is no int32: "));
        assert!(parse_arg("n").is_err());
    }
}
