//! The built-in module `json`: `require "json"` gives it wherever no `json.lua` (or C module) is in the script's path.
//!
//! It behaves as the pure Lua modules of that name do: null becomes nil, an empty table is an array, a table with `[1]`
//! is an array, what is neither array nor object is an error. Beyond them: `json.null` stands for null where it must
//! be kept, `json.object` marks a table as an object even when it is empty (as decoded empty objects are), keys are
//! written in order, depth and size are bounded.
//!
//! Source: RFC 8259.

mod decode;
mod encode;

use crate::api::{Class, ClassDef, Library, Method};
use crate::raw::stack::{Flow, Ret, Stack};

/// Deeper values are refused both ways.
const DEPTH_MAX: usize = 512;
/// Longer texts are refused both ways.
const TEXT_BYTES_MAX: usize = 64 << 20;

pub(crate) const LIBRARY: Library = Library {
    name: "json",
    functions: &[
        Method::new("decode", "(text [, keep_null])", decode::decode),
        Method::new("encode", "(value)", encode::encode),
        Method::new("object", "([table])", object),
    ],
    constants: &[],
    lazy: Some(&LAZY),
    attributes: &[("null", "light userdata")],
};

/// What marks a table as an object, whatever is in it.
pub(crate) const OBJECT: ClassDef =
    ClassDef { name: "json.object", methods: &[], lazy: None, attributes: &[], meta: &[] };

static LAZY: Method = Method::new("__index", "(json, key)", lazy);

/// The value of a whole text; null is nil.
pub(crate) fn read(text: &[u8]) -> Result<crate::value::Out, String> {
    decode::parse(text, false)
}

/// `json.null`, the same value as that of the C module `cjson`.
fn lazy(stack: &mut Stack<'_>) -> Flow {
    if stack.try_bytes(2).as_deref() != Some(b"null") {
        return Ok(Ret::Count(0));
    }
    stack.push_null();
    Ok(Ret::Count(1))
}

/// Marks a table, or makes a marked one, and gives it.
fn object(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(0, 1, "object")?;
    if stack.top() == 0 {
        stack.push_table(0)?;
    } else if !stack.is_table(1) {
        return Err(stack.expected(1, "table"));
    }
    stack.set_class(1, Class::JsonObject);
    stack.copy(1);
    Ok(Ret::Count(1))
}
