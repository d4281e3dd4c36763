//! The global `Regex` and its class: the host's regular expressions.
//!
//! Source: lua-api "Regex class".

use crate::api::{Class, ClassDef, Library, Method, to_string};
use crate::host::Groups;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const LIBRARY: Library = Library {
    name: "Regex",
    functions: &[Method::new("new", "(regex, case_sensitive)", new)],
    constants: &[],
    lazy: None,
    attributes: &[],
};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Regex",
    methods: &[Method::new("exec", "(self, str)", exec), Method::new("match", "(self, str)", matches)],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Regex"), Method::new("__gc", "(self)", collect)],
};

/// `true, object`, or `false, message` for a pattern that does not compile.
fn new(stack: &mut Stack<'_>) -> Flow {
    let pattern = stack.text(1)?;
    if stack.type_name(2) != "boolean" {
        return Err(stack.expected(2, "boolean"));
    }
    match stack.core().regex(&pattern, stack.truthy(2)) {
        Ok(regex) => {
            let number = stack.vm().new_handle();
            stack.push_bool(true);
            stack.push_object(Class::Regex, number)?;
            stack.vm().regexes.borrow_mut().insert(number, regex);
        }
        Err(error) => {
            stack.push_bool(false);
            stack.push_bytes(error.to_string().as_bytes())?;
        }
    }
    Ok(Ret::Count(2))
}

fn regex(stack: &mut Stack<'_>) -> Result<std::sync::Arc<dyn crate::host::Regex>, Failure> {
    let number = stack.object(1, Class::Regex)?;
    let found = stack.vm().regexes.borrow().get(&number).cloned();
    found.ok_or_else(|| Failure::error("Regex: this object is gone"))
}

fn exec(stack: &mut Stack<'_>) -> Flow {
    let regex = regex(stack)?;
    let subject = stack.bytes(2)?;
    stack.push_bool(regex.is_match(&subject));
    Ok(Ret::Count(1))
}

/// `true` and the whole match with its groups behind it, up to the first group that took no part.
fn matches(stack: &mut Stack<'_>) -> Flow {
    let regex = regex(stack)?;
    let subject = stack.bytes(2)?;
    let mut groups = Groups::new();
    let found = regex.groups(&subject, &mut groups);
    let texts = groups.into_iter().take(GROUPS_MAX).map_while(|group| Some(Out::text(&subject[group?])));
    stack.push_bool(found);
    stack.push_out(&Out::List(texts.collect()))?;
    Ok(Ret::Count(2))
}

fn collect(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1) {
        stack.vm().regexes.borrow_mut().remove(&number);
    }
    Ok(Ret::Count(0))
}

/// A match gives no more texts than this, the whole one included.
const GROUPS_MAX: usize = 20;
