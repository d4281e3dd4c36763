//! The class `Concat`: a buffer that grows in place.
//!
//! INVARIANT: the address in [`Buffers`] is that of an object which is not collected yet: `__gc` takes it back. (A script
//! that takes the metatable away keeps that from happening, and may then add to its own buffer by another table.)
//!
//! Source: lua-api "Concat class".

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;

use rustc_hash::FxHashMap;

use crate::api::{Class, ClassDef, Method};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Concat",
    methods: &[Method::new("add", "(self, string)", add), Method::new("dump", "(self)", dump)],
    lazy: None,
    attributes: &[],
    meta: &[Method::new("__tostring", "(self)", text), Method::new("__gc", "(self)", collect)],
};

/// The buffers of a VM's objects, by their handles.
pub(crate) struct Buffers {
    list: RefCell<FxHashMap<i64, Vec<u8>>>,
    /// The object used last, which is mostly the next one: where it is, and its handle.
    last: Cell<(*const c_void, i64)>,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { list: RefCell::default(), last: Cell::new((ptr::null(), 0)) }
    }
}

pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    let number = stack.vm().new_handle();
    stack.push_object(Class::Concat, number)?;
    let buffers = &stack.vm().concats;
    buffers.list.borrow_mut().insert(number, Vec::new());
    buffers.last.set((stack.address(-1), number));
    Ok(Ret::Count(1))
}

/// The handle of the object at argument 1.
fn number(stack: &mut Stack<'_>) -> Result<i64, Failure> {
    let address = stack.address(1);
    let (last, number) = stack.vm().concats.last.get();
    if !address.is_null() && ptr::eq(address, last) {
        return Ok(number);
    }
    let number = stack.object(1, Class::Concat)?;
    stack.vm().concats.last.set((address, number));
    Ok(number)
}

fn add(stack: &mut Stack<'_>) -> Flow {
    let number = number(stack)?;
    let bytes = stack.bytes(2)?;
    match stack.vm().concats.list.borrow_mut().get_mut(&number) {
        Some(buffer) => buffer.extend_from_slice(&bytes),
        None => return Err(gone()),
    }
    Ok(Ret::Count(0))
}

fn dump(stack: &mut Stack<'_>) -> Flow {
    let number = number(stack)?;
    let buffer = stack.vm().concats.list.borrow_mut().remove(&number).ok_or_else(gone)?;
    let pushed = stack.push_bytes(&buffer);
    stack.vm().concats.list.borrow_mut().insert(number, buffer);
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
        let buffers = &stack.vm().concats;
        buffers.list.borrow_mut().remove(&number);
        if buffers.last.get().1 == number {
            buffers.last.set((ptr::null(), 0));
        }
    }
    Ok(Ret::Count(0))
}

fn gone() -> Failure {
    Failure::error("Concat: this object is gone")
}
