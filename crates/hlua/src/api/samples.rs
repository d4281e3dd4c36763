//! The classes `Fetches` and `Converters`: `txn.f`, `txn.sf`, `txn.c`, `txn.sc`.
//!
//! A method comes into being when it is first named: the host's catalog gives its number, and the closure stays in
//! the class for the life of the VM.
//!
//! Source: lua-api "Fetches class", "Converters class".

use smallvec::SmallVec;

use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{SampleId, Value};
use crate::raw::stack::{Flow, Ret, Stack};

const NOTE: &[(&str, &str)] =
    &[("*", "one method a name of the host's catalog, `.`, `-` and `+` written `_`")];

pub(crate) const FETCHES: ClassDef = ClassDef {
    name: "Fetches",
    methods: &[],
    lazy: Some(&FIND_FETCH),
    attributes: NOTE,
    meta: &[to_string!("Fetches")],
};

pub(crate) const STRING_FETCHES: ClassDef = ClassDef { lazy: Some(&FIND_STRING_FETCH), ..FETCHES };

pub(crate) const CONVERTERS: ClassDef = ClassDef {
    name: "Converters",
    methods: &[],
    lazy: Some(&FIND_CONVERTER),
    attributes: NOTE,
    meta: &[to_string!("Converters")],
};

pub(crate) const STRING_CONVERTERS: ClassDef = ClassDef { lazy: Some(&FIND_STRING_CONVERTER), ..CONVERTERS };

static FIND_FETCH: Method = Method::new("__index", "(f, name)", |stack| find(stack, &FETCH, true));
static FIND_STRING_FETCH: Method =
    Method::new("__index", "(sf, name)", |stack| find(stack, &STRING_FETCH, true));
static FIND_CONVERTER: Method = Method::new("__index", "(c, name)", |stack| find(stack, &CONVERT, false));
static FIND_STRING_CONVERTER: Method =
    Method::new("__index", "(sc, name)", |stack| find(stack, &STRING_CONVERT, false));

static FETCH: Method = Method::new("fetch", "(self [, args...])", |stack| fetch(stack, false));
static STRING_FETCH: Method = Method::new("fetch", "(self [, args...])", |stack| fetch(stack, true));
static CONVERT: Method = Method::new("converter", "(self, input [, args...])", |stack| convert(stack, false));
static STRING_CONVERT: Method =
    Method::new("converter", "(self, input [, args...])", |stack| convert(stack, true));

/// Makes the method named by argument 2, if the host has it, and keeps it in the class's table (argument 1).
fn find(stack: &mut Stack<'_>, method: &'static Method, is_fetch: bool) -> Flow {
    if !stack.is_table(1) {
        return Ok(Ret::Count(0));
    }
    let Some(name) = stack.try_bytes(2) else { return Ok(Ret::Count(0)) };
    let Ok(name) = std::str::from_utf8(&name) else { return Ok(Ret::Count(0)) };
    let core = stack.core();
    let Some(catalog) = core.catalog() else { return Ok(Ret::Count(0)) };
    let found = if is_fetch { catalog.fetch(name) } else { catalog.converter(name) };
    let Some(SampleId(id)) = found else { return Ok(Ret::Count(0)) };
    stack.push_method(method, id.into())?;
    stack.copy(2);
    stack.copy(-2);
    stack.raw_set(1)?;
    Ok(Ret::Count(1))
}

fn fetch(stack: &mut Stack<'_>, text: bool) -> Flow {
    let id = SampleId(stack.upvalue_int() as u32);
    let args = arguments(stack, 2);
    let mut lent = stack.lent(Class::Fetches)?;
    let value = lent.stream()?.fetch(id, &args)?;
    push(stack, value.as_ref(), text)
}

fn convert(stack: &mut Stack<'_>, text: bool) -> Flow {
    let id = SampleId(stack.upvalue_int() as u32);
    if stack.top() < 2 {
        return Err(stack.expected(2, "input"));
    }
    let input = stack.value(2);
    let args = arguments(stack, 3);
    let mut lent = stack.lent(Class::Converters)?;
    let value = lent.stream()?.convert(id, input, &args)?;
    push(stack, value.as_ref(), text)
}

fn arguments<'a>(stack: &Stack<'a>, from: i32) -> SmallVec<[Value<'a>; 4]> {
    let mut arguments = SmallVec::new();
    for index in from..=stack.top() {
        arguments.push(stack.value(index));
    }
    arguments
}

fn push(stack: &mut Stack<'_>, value: Option<&Value<'_>>, text: bool) -> Flow {
    match value {
        value if text => stack.push_text(value)?,
        Some(value) => stack.push_value(value)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}
