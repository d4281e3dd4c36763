//! The class `Patref`: the entries behind ACLs and maps, read as a table and changed in versions.
//!
//! Source: lua-api "Patref class".

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::api::{Class, ClassDef, Method, event_sub, to_string};
use crate::host::{HostError, HostResult, PatternEntry, PatternRef, Scope};
use crate::op::{Op, Results};
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Patref",
    methods: METHODS,
    lazy: None,
    attributes: &[],
    meta: &[
        Method::new("__index", "(self, key)", index),
        Method::new("__newindex", "(self, key, value)", |_| Ok(Ret::Count(0))),
        Method::new("__pairs", "(self)", pairs),
        Method::new("__gc", "(self)", collect),
        to_string!("Patref"),
    ],
};

const METHODS: &[Method] = &[
    Method::new("get_name", "(self)", get_name),
    Method::new("is_map", "(self)", is_map),
    Method::new("purge", "(self)", purge),
    Method::new("prepare", "(self)", prepare),
    Method::new("commit", "(self)", commit),
    Method::new("giveup", "(self)", giveup),
    Method::new("add", "(self, key [, value])", add),
    Method::new("add_bulk", "(self, table)", add_bulk).waits(),
    Method::new("del", "(self, key)", del),
    Method::new("set", "(self, key, value [, force])", set),
    Method::new("event_sub", "(self, event_types, func)", patref_event_sub),
];

/// What `pairs` steps through a reference with.
pub(crate) const CURSOR: ClassDef = ClassDef {
    name: "PatrefCursor",
    methods: &[],
    lazy: None,
    attributes: &[],
    meta: &[Method::new("__call", "(self)", step), Method::new("__gc", "(self)", collect_cursor)],
};

/// A reference that a script holds.
pub(crate) struct Held {
    reference: Arc<dyn PatternRef>,
    /// The version that its changes go to, between `prepare` and `commit` or `giveup`.
    pending: Option<u32>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(version) = self.pending {
            self.reference.give_up(version);
        }
    }
}

/// A walk over a reference: entries read ahead, and the last one's number.
pub(crate) struct Cursor {
    reference: Arc<dyn PatternRef>,
    ahead: VecDeque<PatternEntry>,
    last: u64,
}

/// `core.get_patref`
pub(crate) fn get_patref(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get_patref")?;
    let name = stack.text(1)?;
    let core = stack.core();
    let patterns = core.patterns().ok_or(HostError::Unsupported("pattern references"))?;
    let reference = patterns
        .find(&name)
        .ok_or_else(|| Failure::Error(format!("'get_patref': unknown pattern reference '{name}'").into()))?;
    let number = stack.vm().new_handle();
    stack.push_object(Class::Patref, number)?;
    stack.vm().patrefs.borrow_mut().insert(number, Held { reference, pending: None });
    Ok(Ret::Count(1))
}

/// The reference of the object at argument 1, and the version that it changes.
fn held(stack: &mut Stack<'_>) -> Result<(Arc<dyn PatternRef>, Option<u32>), Failure> {
    let number = stack.object(1, Class::Patref)?;
    let found = stack.vm().patrefs.borrow().get(&number).map(|held| (held.reference.clone(), held.pending));
    found.ok_or_else(|| Failure::error("Patref: this object is gone"))
}

/// Sets the version that the object changes from now on; gives the one before.
fn set_pending(stack: &mut Stack<'_>, version: Option<u32>) -> Result<Option<u32>, Failure> {
    let number = stack.object(1, Class::Patref)?;
    let mut all = stack.vm().patrefs.borrow_mut();
    Ok(all.get_mut(&number).and_then(|held| std::mem::replace(&mut held.pending, version)))
}

/// `true`, or nil and what is wrong.
fn answer(stack: &mut Stack<'_>, done: HostResult<()>) -> Flow {
    match done {
        Ok(()) => {
            stack.push_bool(true);
            Ok(Ret::Count(1))
        }
        Err(error) => refuse(stack, &error.to_string()),
    }
}

fn refuse(stack: &mut Stack<'_>, text: &str) -> Flow {
    stack.push_nil();
    stack.push_bytes(text.as_bytes())?;
    Ok(Ret::Count(2))
}

// ---- reading ---------------------------------------------------------------------------------------------------

/// A method of that name, else the value of the first entry with that key.
fn index(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    let Some(key) = stack.try_bytes(2).map(Cow::into_owned) else { return Ok(Ret::Count(0)) };
    if let Some(method) = METHODS.iter().find(|method| method.name.as_bytes() == key) {
        // Kept in the object, so that it is found without this the next time.
        stack.push_method(method, 0)?;
        stack.push_bytes(&key)?;
        stack.copy(-2);
        stack.raw_set(1)?;
        return Ok(Ret::Count(1));
    }
    match reference.entry(&key) {
        Some(entry) => push_value(stack, &entry)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// ACL entries are true.
fn push_value(stack: &mut Stack<'_>, entry: &PatternEntry) -> Result<(), Failure> {
    match &entry.value {
        Some(value) => stack.push_bytes(value),
        None => {
            stack.push_bool(true);
            Ok(())
        }
    }
}

/// A cursor that is called for each step: entries are read a few at a time, and keys may repeat.
fn pairs(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    let number = stack.vm().new_handle();
    stack.push_object(Class::PatrefCursor, number)?;
    let cursor = Cursor { reference, ahead: VecDeque::new(), last: 0 };
    stack.vm().cursors.borrow_mut().insert(number, cursor);
    Ok(Ret::Count(1))
}

fn step(stack: &mut Stack<'_>) -> Flow {
    let number = stack.object(1, Class::PatrefCursor)?;
    let next = stack.vm().cursors.borrow_mut().get_mut(&number).and_then(Cursor::next);
    let Some(entry) = next else {
        stack.push_nil();
        return Ok(Ret::Count(1));
    };
    stack.push_bytes(&entry.key)?;
    push_value(stack, &entry)?;
    Ok(Ret::Count(2))
}

impl Cursor {
    fn next(&mut self) -> Option<PatternEntry> {
        if self.ahead.is_empty() {
            self.ahead = self.reference.entries(self.last, BATCH).into();
            self.last = self.ahead.back()?.id;
        }
        self.ahead.pop_front()
    }
}

fn get_name(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    stack.push_bytes(reference.name().as_bytes())?;
    Ok(Ret::Count(1))
}

fn is_map(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    stack.push_bool(reference.is_map());
    Ok(Ret::Count(1))
}

// ---- versions --------------------------------------------------------------------------------------------------

fn purge(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    reference.purge();
    answer(stack, Ok(()))
}

fn prepare(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    let version = reference.prepare();
    if let Some(before) = set_pending(stack, Some(version))? {
        reference.give_up(before);
    }
    Ok(Ret::Count(0))
}

fn commit(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    match set_pending(stack, None)? {
        None => refuse(stack, "Nothing to do"),
        Some(version) if reference.commit(version) => answer(stack, Ok(())),
        Some(version) => {
            reference.give_up(version);
            refuse(stack, "Commit failed")
        }
    }
}

fn giveup(stack: &mut Stack<'_>) -> Flow {
    let (reference, _) = held(stack)?;
    if let Some(version) = set_pending(stack, None)? {
        reference.give_up(version);
    }
    Ok(Ret::Count(0))
}

// ---- changes ---------------------------------------------------------------------------------------------------

fn add(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "add")?;
    let (reference, version) = held(stack)?;
    let key = stack.bytes(2)?;
    let value = if stack.is_nil(3) { None } else { Some(stack.bytes(3)?) };
    let done = match (reference.is_map(), value) {
        (true, None) => return refuse(stack, "a map needs a value"),
        (true, Some(value)) => reference.add(version, &key, Some(&value), false),
        (false, _) => reference.add(version, &key, None, false),
    };
    answer(stack, done)
}

fn del(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "del")?;
    let (reference, version) = held(stack)?;
    let key = stack.bytes(2)?;
    stack.push_bool(reference.del(version, &key));
    Ok(Ret::Count(1))
}

fn set(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(3, 4, "set")?;
    let (reference, version) = held(stack)?;
    let (key, value) = (stack.bytes(2)?, stack.bytes(3)?);
    if !reference.is_map() {
        return refuse(stack, "only maps have values");
    }
    let force = stack.truthy(4);
    let done = reference.set(version, &key, &value, force);
    answer(stack, done)
}

/// Entries on their way into a reference.
pub(crate) struct Bulk {
    reference: Arc<dyn PatternRef>,
    version: Option<u32>,
    entries: std::vec::IntoIter<(Vec<u8>, Option<Vec<u8>>)>,
}

fn add_bulk(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "add_bulk")?;
    let (reference, version) = held(stack)?;
    if !stack.is_table(2) {
        return Err(stack.expected(2, "table"));
    }
    let is_map = reference.is_map();
    let mut entries = Vec::new();
    stack.push_nil();
    while stack.next(2) {
        let value = stack.try_bytes(-1).map(Cow::into_owned);
        let entry = if is_map {
            stack.try_bytes(-2).map(Cow::into_owned).zip(value).map(|(key, value)| (key, Some(value)))
        } else {
            value.map(|key| (key, None))
        };
        match entry {
            Some(entry) => entries.push(entry),
            None => {
                let expected = if is_map { "string keys and values" } else { "string values" };
                return Err(Failure::Arg(2, format!("a table with {expected} is expected").into()));
            }
        }
        stack.pop(1);
    }
    let mut bulk = Bulk { reference, version, entries: entries.into_iter() };
    if stack.context().may_yield() && bulk.entries.len() > BATCH {
        return Ok(Ret::Block(Op::Bulk(Box::new(bulk))));
    }
    let done = bulk.add(usize::MAX);
    answer(stack, done)
}

impl Bulk {
    /// Adds up to `max` entries.
    fn add(&mut self, max: usize) -> HostResult<()> {
        for (key, value) in self.entries.by_ref().take(max) {
            self.reference.add(self.version, &key, value.as_deref(), false)?;
        }
        Ok(())
    }

    /// Adds some entries a turn.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Results> {
        if let Err(error) = self.add(BATCH) {
            return Poll::Ready(Ok(vec![Out::Nil, Out::text(error.to_string())]));
        }
        if self.entries.len() == 0 {
            return Poll::Ready(Ok(vec![Out::Bool(true)]));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Entries read or added at a time.
const BATCH: usize = 100;

// ---- events and the end ----------------------------------------------------------------------------------------

fn patref_event_sub(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "event_sub")?;
    let (reference, _) = held(stack)?;
    event_sub::subscribe(stack, Scope::Pattern { id: reference.id() }, 2)
}

fn collect(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1) {
        let held = stack.vm().patrefs.borrow_mut().remove(&number);
        drop(held);
    }
    Ok(Ret::Count(0))
}

fn collect_cursor(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1) {
        stack.vm().cursors.borrow_mut().remove(&number);
    }
    Ok(Ret::Count(0))
}
