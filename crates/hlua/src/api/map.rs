//! The class `Map`: lookups in maps that are loaded while the process starts.
//!
//! Source: lua-api "Map class".

use std::borrow::Cow;
use std::sync::Arc;

use crate::api::{Class, ClassDef, Library, Method, to_string};
use crate::context::{ContextKind, Contexts};
use crate::host::{HostError, Map, MatchMethod, Value};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) const LIBRARY: Library = Library {
    name: "Map",
    functions: &[Method::new("new", "(name [, method])", new)
        .only(Contexts::of(&[ContextKind::Body, ContextKind::Init]))
        .refusing("'new': map: cannot load map at runtime.")],
    constants: &[
        ("_found", 0),
        ("_bool", 1),
        ("_int", 2),
        ("_ip", 3),
        ("_bin", 4),
        ("_len", 5),
        ("_str", 6),
        ("_beg", 7),
        ("_sub", 8),
        ("_dir", 9),
        ("_dom", 10),
        ("_end", 11),
        ("_reg", 12),
        ("_regm", 13),
        ("found", 0),
        ("bool", 1),
        ("int", 2),
        ("ip", 3),
        ("bin", 4),
        ("len", 5),
        ("str", 6),
        ("beg", 7),
        ("sub", 8),
        ("dir", 9),
        ("dom", 10),
        ("end", 11),
        ("reg", 12),
        ("regm", 13),
    ],
    lazy: None,
    attributes: &[],
};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Map",
    methods: &[
        Method::new("lookup", "(self, key)", |stack| lookup(stack, "lookup")),
        Method::new("slookup", "(self, key)", slookup),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Map")],
};

/// A map that a script holds.
pub(crate) struct Opened {
    map: Arc<dyn Map>,
    method: MatchMethod,
}

fn new(stack: &mut Stack<'_>) -> Flow {
    if !(1..=2).contains(&stack.top()) {
        return Err(Failure::error("'new' needs at least 1 argument."));
    }
    let name = stack.text(1)?;
    let method = if stack.top() == 2 { method(stack.int(2)?)? } else { MatchMethod::Str };
    let core = stack.core();
    let patterns = core.patterns().ok_or(HostError::Unsupported("maps"))?;
    let map = patterns
        .open_map(&name, method)
        .map_err(|error| Failure::Error(format!("'new': {error}.").into()))?;
    let mut maps = stack.vm().maps.borrow_mut();
    maps.push(Opened { map, method });
    let number = maps.len() as i64;
    drop(maps);
    stack.push_object(Class::MapObject, number)?;
    Ok(Ret::Count(1))
}

fn method(number: i64) -> Result<MatchMethod, Failure> {
    Ok(match number {
        2 => MatchMethod::Int,
        3 => MatchMethod::Ip,
        6 => MatchMethod::Str,
        7 => MatchMethod::Beg,
        8 => MatchMethod::Sub,
        9 => MatchMethod::Dir,
        10 => MatchMethod::Dom,
        11 => MatchMethod::End,
        12 => MatchMethod::Reg,
        0 | 1 | 4 | 5 | 13 => return Err(Failure::error("'new' doesn't support this match mode.")),
        _ => return Err(Failure::error("'new' needs a valid match method.")),
    })
}

fn lookup(stack: &mut Stack<'_>, name: &str) -> Flow {
    match find(stack, name)? {
        Some(value) => stack.push_bytes(&value)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn slookup(stack: &mut Stack<'_>) -> Flow {
    let value = find(stack, "slookup")?.unwrap_or_default();
    stack.push_bytes(&value)?;
    Ok(Ret::Count(1))
}

fn find(stack: &mut Stack<'_>, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    stack.need(2, name)?;
    let number = stack.object(1, Class::MapObject)?;
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let opened = stack.vm().maps.borrow().get(at).map(|opened| (opened.map.clone(), opened.method));
    let (map, method) = opened.ok_or_else(|| stack.expected(1, "Map"))?;
    let key = match method {
        MatchMethod::Int => Value::Int(stack.int(2)?),
        _ => Value::Str(Cow::Owned(stack.bytes(2)?.into_owned())),
    };
    Ok(map.lookup(&key))
}
