//! The class `Channel`: one direction's buffer on TCP streams; on HTTP streams only its lengths and states.
//!
//! The response channel's handle is the negative of the request's. In a filter's callback on payload the input is
//! that filter's part of it. The functions on bytes serve the class `HTTPMessage` as well, for decoded bodies.
//!
//! Source: lua-api "Channel class". `append` appends, as documented (HAProxy 3.4 inserts in front).

use std::ops::Range;

use crate::api::{Class, ClassDef, Method, filter, to_string};
use crate::context::ContextKind;
use crate::host::{Channel, HostError, Side};
use crate::op::{self, ChannelSend, Op};
use crate::raw::stack::{Borrowed, Failure, Flow, Ret, Stack};
use crate::value::Out;

const C: Class = Class::Channel;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Channel",
    methods: &[
        Method::new("append", "(self, string)", |stack| insert_at(stack, C, "append", |len| len)),
        Method::new("prepend", "(self, string)", |stack| insert_at(stack, C, "prepend", |_| 0)),
        Method::new("insert", "(self, string [, offset])", |stack| insert(stack, C)),
        Method::new("set", "(self, string [, offset [, length]])", |stack| set(stack, C)),
        Method::new("remove", "(self [, offset [, length]])", |stack| remove(stack, C)),
        Method::new("data", "(self [, offset [, length]])", |stack| data(stack, "data", false)).waits(),
        Method::new("line", "(self [, offset [, length]])", |stack| data(stack, "line", true)).waits(),
        Method::new("dup", "(self)", dup),
        Method::new("get", "(self)", get),
        Method::new("getline", "(self)", getline).waits().again(),
        Method::new("forward", "(self, length)", |stack| forward(stack, C)).waits(),
        Method::new("send", "(self, string)", |stack| send(stack, C)).waits(),
        Method::new("input", "(self)", |stack| length(stack, C, "input", |channel| channel.input_len())),
        Method::new("output", "(self)", |stack| length(stack, C, "output", |channel| channel.output_len())),
        Method::new("get_in_len", "(self)", |stack| {
            length(stack, C, "get_in_len", |channel| channel.input_len())
        }),
        Method::new("get_out_len", "(self)", |stack| {
            length(stack, C, "get_out_len", |channel| channel.output_len())
        }),
        Method::new("may_recv", "(self)", |stack| state(stack, C, "may_recv", |channel| channel.may_recv())),
        Method::new("is_full", "(self)", |stack| state(stack, C, "is_full", |channel| channel.is_full())),
        Method::new("is_resp", "(self)", is_resp),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Channel")],
};

/// Pushes a channel's object that belongs to a filter's instance.
pub(crate) fn push(stack: &mut Stack<'_>, handle: i64, id: i64) -> Result<(), Failure> {
    stack.push_object(C, handle)?;
    filter::mark_top(stack, id)
}

/// Which direction the object at argument 1 is of.
pub(crate) fn side(stack: &mut Stack<'_>) -> Side {
    if stack.handle(1).is_some_and(|handle| handle < 0) { Side::Response } else { Side::Request }
}

/// The channel of one direction.
pub(crate) fn of<'a>(lent: &'a mut Borrowed<'_>, side: Side) -> Result<&'a mut dyn Channel, Failure> {
    lent.txn()?.channel(side).ok_or_else(|| HostError::Unsupported("channels").into())
}

/// Its bytes: on HTTP streams only those of a message's body.
fn bytes<'a>(lent: &'a mut Borrowed<'_>, side: Side, class: Class) -> Result<&'a mut dyn Channel, Failure> {
    let channel = of(lent, side)?;
    if class == C && channel.is_http() {
        return Err(Failure::Plain("Cannot manipulate HAProxy channels in HTTP mode.".into()));
    }
    Ok(channel)
}

pub(crate) fn length(
    stack: &mut Stack<'_>,
    class: Class,
    name: &str,
    read: fn(&dyn Channel) -> usize,
) -> Flow {
    stack.need(1, name)?;
    let side = side(stack);
    let len = read(of(&mut stack.lent(class)?, side)?);
    stack.push_int(len as i64);
    Ok(Ret::Count(1))
}

pub(crate) fn state(stack: &mut Stack<'_>, class: Class, name: &str, read: fn(&dyn Channel) -> bool) -> Flow {
    stack.need(1, name)?;
    let side = side(stack);
    let flag = read(of(&mut stack.lent(class)?, side)?);
    stack.push_bool(flag);
    Ok(Ret::Count(1))
}

pub(crate) fn is_resp(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "is_resp")?;
    let response = side(stack) == Side::Response;
    stack.push_bool(response);
    Ok(Ret::Count(1))
}

/// What may be asked for beyond the input that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// Nothing: it is to be changed.
    Nothing,
    /// Bytes behind it, which are left out.
    Length,
    /// Anything: it will be waited for.
    Offset,
}

/// Offset and length arguments from `index` on; no length stands for all there is.
fn range(
    stack: &Stack<'_>,
    index: i32,
    len: usize,
    beyond: Beyond,
) -> Result<(usize, Option<usize>), Failure> {
    let offset = if stack.is_nil(index) { 0 } else { stack.int(index)? };
    let offset = if offset < 0 { (len as i64).saturating_add(offset).max(0) } else { offset };
    let offset = usize::try_from(offset).unwrap_or(0);
    if offset > len && beyond != Beyond::Offset {
        return Err(Failure::error("offset out of range."));
    }
    let out_of_range = || Failure::error("length out of range.");
    let wanted = match if stack.is_nil(index + 1) { -1 } else { stack.int(index + 1)? } {
        -1 => return Ok((offset, None)),
        wanted => usize::try_from(wanted).map_err(|_| out_of_range())?,
    };
    if beyond == Beyond::Nothing && wanted > len - offset {
        return Err(out_of_range());
    }
    Ok((offset, Some(wanted)))
}

fn splice(channel: &mut dyn Channel, range: Range<usize>, with: &[u8]) -> Result<i64, Failure> {
    Ok(if channel.splice(range, with)? { with.len() as i64 } else { -1 })
}

pub(crate) fn insert_at(stack: &mut Stack<'_>, class: Class, name: &str, place: fn(usize) -> usize) -> Flow {
    stack.need(2, name)?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let at = place(channel.input().len());
    let count = splice(channel, at..at, &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

pub(crate) fn insert(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.expect_between(1, 2, "insert")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let (offset, _) = range(stack, 3, channel.input().len(), Beyond::Nothing)?;
    let count = splice(channel, offset..offset, &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

pub(crate) fn set(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.expect_between(1, 3, "set")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let all = channel.input().len();
    let (offset, len) = range(stack, 3, all, Beyond::Nothing)?;
    let count = splice(channel, offset..len.map_or(all, |len| offset + len), &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

pub(crate) fn remove(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.expect_between(0, 2, "remove")?;
    let side = side(stack);
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let all = channel.input().len();
    let (offset, len) = range(stack, 2, all, Beyond::Nothing)?;
    let end = len.map_or(all, |len| offset + len);
    splice(channel, offset..end, b"")?;
    stack.push_int((end - offset) as i64);
    Ok(Ret::Count(1))
}

/// What is there at once, or an operation that waits for it where waiting is allowed.
fn data(stack: &mut Stack<'_>, name: &str, line: bool) -> Flow {
    stack.expect_between(0, 2, name)?;
    let side = side(stack);
    let waits = stack.context().may_yield();
    let mut lent = stack.lent(C)?;
    let channel = bytes(&mut lent, side, C)?;
    let open = channel.may_recv() && !channel.is_full() && waits;
    let beyond = if open { Beyond::Offset } else { Beyond::Length };
    let (offset, len) = range(stack, 2, channel.input().len(), beyond)?;
    match op::part(channel.input(), offset, len, line, open) {
        Some(found) => {
            let found = or_empty(found, stack.context(), channel.may_recv());
            drop(lent);
            stack.push_out(&found)?;
            Ok(Ret::Count(1))
        }
        None => Ok(Ret::Block(Op::ChannelData { side, offset, len, line })),
    }
}

/// `HTTPMessage.body`
pub(crate) fn body(stack: &mut Stack<'_>) -> Flow {
    stack.expect_between(0, 2, "data")?;
    let side = side(stack);
    let mut lent = stack.lent(Class::HttpMessage)?;
    let channel = of(&mut lent, side)?;
    let (offset, len) = range(stack, 2, channel.input().len(), Beyond::Length)?;
    let found = op::part(channel.input(), offset, len, false, false).unwrap_or(Out::Nil);
    let found = or_empty(found, ContextKind::Filter, channel.may_recv());
    drop(lent);
    stack.push_out(&found)?;
    Ok(Ret::Count(1))
}

/// A filter gets nil only when nothing will come any more.
fn or_empty(found: Out, context: ContextKind, may_recv: bool) -> Out {
    match found {
        Out::Nil if context == ContextKind::Filter && may_recv => Out::text(""),
        found => found,
    }
}

fn dup(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "dup")?;
    let side = side(stack);
    let mut lent = stack.lent(C)?;
    let found = op::part(bytes(&mut lent, side, C)?.input(), 0, None, false, false).unwrap_or(Out::Nil);
    drop(lent);
    stack.push_out(&found)?;
    Ok(Ret::Count(1))
}

fn get(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get")?;
    consume(stack, false)
}

/// Run again from its start when more has come.
fn getline(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "getline")?;
    consume(stack, true)
}

fn consume(stack: &mut Stack<'_>, line: bool) -> Flow {
    let side = side(stack);
    let waits = line && stack.context().may_yield();
    let mut lent = stack.lent(C)?;
    let channel = bytes(&mut lent, side, C)?;
    let open = channel.may_recv() && !channel.is_full() && waits;
    let Some(found) = op::part(channel.input(), 0, None, line, open) else {
        return Ok(Ret::Block(Op::ChannelData { side, offset: 0, len: None, line }));
    };
    if let Out::Bytes(taken) = &found {
        channel.splice(0..taken.len(), b"")?;
    }
    drop(lent);
    stack.push_out(&found)?;
    Ok(Ret::Count(1))
}

pub(crate) fn forward(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "forward")?;
    let wanted = usize::try_from(stack.int(2)?).map_err(|_| Failure::error("length out of range."))?;
    let side = side(stack);
    let waits = stack.context().may_yield();
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let done = channel.forward(wanted)?;
    if done >= wanted || !waits || !channel.may_recv() {
        stack.push_int(done as i64);
        return Ok(Ret::Count(1));
    }
    Ok(Ret::Block(Op::ChannelForward { side, left: wanted - done, done }))
}

/// Puts the text before the input and schedules it, as room comes.
pub(crate) fn send(stack: &mut Stack<'_>, class: Class) -> Flow {
    stack.need(2, "send")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let waits = stack.context().may_yield();
    let mut lent = stack.lent(class)?;
    let channel = bytes(&mut lent, side, class)?;
    let count = splice(channel, 0..0, &text)?;
    if count >= 0 {
        channel.forward(text.len())?;
    } else if waits {
        return Ok(Ret::Block(Op::ChannelSend(Box::new(ChannelSend {
            side,
            data: text.into_owned(),
            sent: 0,
        }))));
    }
    stack.push_int(count);
    Ok(Ret::Count(1))
}
