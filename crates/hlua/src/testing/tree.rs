//! A value that left the script's VM as JSON, in the test's VM.

use mlua::{Lua, Value};

use crate::api::json;
use crate::value::Out;

/// The value of a JSON text.
pub(super) fn to_test(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    build(lua, json::read(text).map_err(mlua::Error::runtime)?)
}

fn build(lua: &Lua, value: Out) -> mlua::Result<Value> {
    Ok(match value {
        Out::Bool(flag) => Value::Boolean(flag),
        Out::Int(int) => Value::Integer(int),
        Out::Float(number) => Value::Number(number),
        Out::Name(name) => Value::String(lua.create_string(name)?),
        Out::Bytes(bytes) => Value::String(lua.create_string(bytes)?),
        Out::List(items) => {
            let table = lua.create_table()?;
            for item in items {
                table.push(build(lua, item)?)?;
            }
            Value::Table(table)
        }
        Out::Table(pairs) => {
            let table = lua.create_table()?;
            for (key, value) in pairs {
                table.set(build(lua, key)?, build(lua, value)?)?;
            }
            Value::Table(table)
        }
        Out::Empty(_) => Value::Table(lua.create_table()?),
        _ => Value::Nil,
    })
}
