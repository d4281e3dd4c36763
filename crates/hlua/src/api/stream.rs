//! What `TXN` and both applet classes share, because it belongs to the stream: variables, private data, log.
//!
//! Source: lua-api "TXN class", "AppletHTTP class", "AppletTCP class".

use std::any::Any;
use std::ffi::c_int;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::api::Class;
use crate::api::core::{log_level, printable};
use crate::garbage::{Dropped, Garbage};
use crate::host::{HostError, Level};
use crate::raw::machine;
use crate::raw::stack::{Failure, Flow, Ret, Stack};

pub(crate) fn set_var(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need_between(3, 4, "set_var")?;
    let name = stack.bytes(2)?;
    let value = stack.value(3);
    let if_exists = stack.top() == 4 && stack.truthy(4);
    let set = stack.lent(class)?.stream()?.set_var(&name, value, if_exists);
    stack.push_bool(set);
    Ok(Ret::Count(1))
}

pub(crate) fn unset_var(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "unset_var")?;
    let name = stack.bytes(2)?;
    let unset = stack.lent(class)?.stream()?.unset_var(&name);
    stack.push_bool(unset);
    Ok(Ret::Count(1))
}

pub(crate) fn get_var(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "get_var")?;
    let name = stack.bytes(2)?;
    let mut lent = stack.lent(class)?;
    match lent.stream()?.var(&name) {
        Some(value) => stack.push_value(&value)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

pub(crate) fn log(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(3, "log")?;
    let level = log_level(stack, 2)?;
    write(stack, class, level, 3)
}

pub(crate) fn log_at(stack: &mut Stack<'_>, class: Class, level: Level, name: &str) -> Flow {
    stack.need(2, name)?;
    write(stack, class, level, 2)
}

fn write(stack: &mut Stack<'_>, class: Class, level: Level, index: c_int) -> Flow {
    let text = printable(&stack.bytes(index)?);
    stack.lent(class)?.stream()?.log(level, &text);
    Ok(Ret::Count(0))
}

pub(crate) fn deflog(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "deflog")?;
    let text = printable(&stack.bytes(2)?);
    stack.lent(class)?.stream()?.log_default(&text);
    Ok(Ret::Count(0))
}

// ---- private data ----------------------------------------------------------------------------------------------

/// What one stream's `set_priv` stored: one registry reference a VM.
struct Private {
    entries: SmallVec<[(Arc<Garbage>, c_int); 1]>,
}

impl Drop for Private {
    fn drop(&mut self) {
        for (garbage, reference) in self.entries.drain(..) {
            garbage.add(Dropped::Reference(reference));
        }
    }
}

pub(crate) fn set_priv(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "set_priv")?;
    let mut lent = stack.lent(class)?;
    stack.copy(2);
    let reference = stack.make_ref()?;
    let garbage = &stack.vm().garbage;
    let Some(place) = lent.stream()?.extension() else {
        machine::unref(stack.vm(), reference);
        return Err(HostError::Unsupported("set_priv").into());
    };
    let private = private(place);
    match private.entries.iter_mut().find(|(owner, _)| Arc::ptr_eq(owner, garbage)) {
        Some((_, old)) => machine::unref(stack.vm(), std::mem::replace(old, reference)),
        None => private.entries.push((garbage.clone(), reference)),
    }
    Ok(Ret::Count(0))
}

pub(crate) fn get_priv(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(1, "get_priv")?;
    let mut lent = stack.lent(class)?;
    let garbage = &stack.vm().garbage;
    let stored = lent.stream()?.extension().and_then(|place| place.as_ref()?.downcast_ref::<Private>());
    let found =
        stored.and_then(|private| private.entries.iter().find(|(owner, _)| Arc::ptr_eq(owner, garbage)));
    match found {
        Some((_, reference)) => stack.push_ref(*reference),
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn private(place: &mut Option<Box<dyn Any>>) -> &mut Private {
    if !place.as_ref().is_some_and(|stored| stored.is::<Private>()) {
        *place = Some(Box::new(Private { entries: SmallVec::new() }));
    }
    place.as_mut().and_then(|stored| stored.downcast_mut()).expect("invariant: just made sure")
}

/// HAProxy's complaint about what it cannot do on this kind of stream.
pub(crate) fn not_http() -> Failure {
    Failure::error("txn object is not an HTTP transaction.")
}
