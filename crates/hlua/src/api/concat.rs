//! The class `Concat`: a buffer that grows in place.
//!
//! Source: lua-api "Concat class".

use crate::api::{Class, ClassDef, Method};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Concat",
    methods: &[Method::new("add", "(self, string)", add), Method::new("dump", "(self)", dump)],
    lazy: None,
    attributes: &[],
    meta: &[Method::new("__tostring", "(self)", text), Method::new("__gc", "(self)", collect)],
};

pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    let number = stack.vm().new_handle();
    stack.push_object(Class::Concat, number)?;
    stack.vm().concats.borrow_mut().insert(number, Vec::new());
    Ok(Ret::Count(1))
}

fn add(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Concat)?;
    let bytes = stack.bytes(2)?;
    match stack.vm().concats.borrow_mut().get_mut(&number) {
        Some(buffer) => buffer.extend_from_slice(&bytes),
        None => return Err(gone()),
    }
    Ok(Ret::Count(0))
}

fn dump(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Concat)?;
    let buffer = stack.vm().concats.borrow_mut().remove(&number).ok_or_else(gone)?;
    let pushed = stack.push_bytes(&buffer);
    stack.vm().concats.borrow_mut().insert(number, buffer);
    pushed?;
    Ok(Ret::Count(1))
}

fn text(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::Concat)?;
    stack.push_bytes(format!("Concat object: 0x{number:x}").as_bytes())?;
    Ok(Ret::Count(1))
}

fn collect(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1) {
        stack.vm().concats.borrow_mut().remove(&number);
    }
    Ok(Ret::Count(0))
}

fn gone() -> Failure {
    Failure::error("Concat: this object is gone")
}
