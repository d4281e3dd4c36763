//! Plain data between the test's VM and the script's host, and the words that tests use for constants.

use mlua::{Lua, Table, Value as Lv};

use crate::host::Value;

/// A sample as tests see it: booleans stay booleans, addresses are text.
pub(super) fn to_test(lua: &Lua, value: &Value<'_>) -> mlua::Result<Lv> {
    Ok(match value {
        Value::Bool(flag) => Lv::Boolean(*flag),
        Value::Int(int) => Lv::Integer(*int),
        Value::Str(bytes) => Lv::String(lua.create_string(bytes)?),
        Value::Ip(ip) => Lv::String(lua.create_string(ip.to_string())?),
    })
}

/// A test's value as a sample; None for nil.
pub(super) fn to_host(value: &Lv) -> Result<Option<Value<'static>>, String> {
    Ok(Some(match value {
        Lv::Nil => return Ok(None),
        Lv::Boolean(flag) => Value::Bool(*flag),
        Lv::Integer(int) => Value::Int(*int),
        Lv::String(text) => Value::Str(text.as_bytes().to_vec().into()),
        other => return Err(format!("a {} cannot be handed to a script", other.type_name())),
    }))
}

/// Text, or a number as text.
pub(super) fn bytes(value: &Lv) -> Result<Vec<u8>, String> {
    match value {
        Lv::String(text) => Ok(text.as_bytes().to_vec()),
        Lv::Integer(int) => Ok(int.to_string().into_bytes()),
        Lv::Number(number) => Ok(crate::value::float_text(*number).into_bytes()),
        other => Err(format!("a text is expected, not a {}", other.type_name())),
    }
}

/// Names and values, in order.
pub(super) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// Header lines from a table: `name = value` or `name = { value, value }`; names in order.
pub(super) fn headers(table: Option<Table>) -> Result<Lines, String> {
    let mut lines = Vec::new();
    let Some(table) = table else { return Ok(lines) };
    for pair in table.pairs::<Lv, Lv>() {
        let (name, value) = pair.map_err(|error| super::plain(&error))?;
        let name = bytes(&name)?;
        match value {
            Lv::Table(list) => {
                for value in list.sequence_values::<Lv>() {
                    lines.push((name.clone(), bytes(&value.map_err(|error| super::plain(&error))?)?));
                }
            }
            value => lines.push((name, bytes(&value)?)),
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(lines)
}

/// Header lines as tests read them: lower-case names, a list of values each.
pub(super) fn header_table(lua: &Lua, lines: &[(Vec<u8>, Vec<u8>)]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in lines {
        let name = lua.create_string(name.to_ascii_lowercase())?;
        let list: Table = match table.get::<Option<Table>>(&name)? {
            Some(list) => list,
            None => {
                let list = lua.create_table()?;
                table.set(&name, &list)?;
                list
            }
        };
        list.push(lua.create_string(value)?)?;
    }
    Ok(table)
}

/// The word for an `act.…` code.
pub(super) fn action_word(code: i64) -> &'static str {
    const WORDS: [&str; 8] = ["continue", "stop", "yield", "error", "done", "deny", "abort", "invalid"];
    usize::try_from(code).ok().and_then(|code| WORDS.get(code)).copied().unwrap_or("continue")
}
