//! The class `Channel`: one direction's buffer on TCP streams; on HTTP streams only its lengths and states.
//!
//! The response channel's handle is the negative of the request's.
//!
//! Source: lua-api "Channel class". `append` appends, as documented (HAProxy 3.4 inserts in front).

use std::ops::Range;

use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{Channel, HostError, Side};
use crate::op::{self, Op};
use crate::raw::stack::{Borrowed, Failure, Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Channel",
    methods: &[
        Method::new("append", "(self, string)", |stack| insert_at(stack, "append", |len| len)),
        Method::new("prepend", "(self, string)", |stack| insert_at(stack, "prepend", |_| 0)),
        Method::new("insert", "(self, string [, offset])", insert),
        Method::new("set", "(self, string [, offset [, length]])", set),
        Method::new("remove", "(self [, offset [, length]])", remove),
        Method::new("data", "(self [, offset [, length]])", |stack| data(stack, "data", false)).waits(),
        Method::new("line", "(self [, offset [, length]])", |stack| data(stack, "line", true)).waits(),
        Method::new("dup", "(self)", dup),
        Method::new("get", "(self)", get),
        Method::new("getline", "(self)", getline),
        Method::new("forward", "(self, length)", forward).waits(),
        Method::new("send", "(self, string)", send),
        Method::new("input", "(self)", |stack| length(stack, "input", |channel| channel.input_len())),
        Method::new("output", "(self)", |stack| length(stack, "output", |channel| channel.output_len())),
        Method::new("get_in_len", "(self)", |stack| {
            length(stack, "get_in_len", |channel| channel.input_len())
        }),
        Method::new("get_out_len", "(self)", |stack| {
            length(stack, "get_out_len", |channel| channel.output_len())
        }),
        Method::new("may_recv", "(self)", |stack| state(stack, "may_recv", |channel| channel.may_recv())),
        Method::new("is_full", "(self)", |stack| state(stack, "is_full", |channel| channel.is_full())),
        Method::new("is_resp", "(self)", is_resp),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Channel")],
};

fn side(stack: &mut Stack<'_>) -> Side {
    if stack.handle(1).is_some_and(|handle| handle < 0) { Side::Response } else { Side::Request }
}

fn channel<'a>(lent: &'a mut Borrowed<'_>, side: Side) -> Result<&'a mut dyn Channel, Failure> {
    lent.txn()?.channel(side).ok_or_else(|| HostError::Unsupported("channels").into())
}

/// The channel's bytes: not on HTTP streams.
fn bytes<'a>(lent: &'a mut Borrowed<'_>, side: Side) -> Result<&'a mut dyn Channel, Failure> {
    let channel = channel(lent, side)?;
    if channel.is_http() {
        return Err(Failure::Plain("Cannot manipulate HAProxy channels in HTTP mode.".into()));
    }
    Ok(channel)
}

fn length(stack: &mut Stack<'_>, name: &str, read: fn(&dyn Channel) -> usize) -> Flow {
    stack.need(1, name)?;
    let side = side(stack);
    let len = read(channel(&mut stack.lent(Class::Channel)?, side)?);
    stack.push_int(len as i64);
    Ok(Ret::Count(1))
}

fn state(stack: &mut Stack<'_>, name: &str, read: fn(&dyn Channel) -> bool) -> Flow {
    stack.need(1, name)?;
    let side = side(stack);
    let flag = read(channel(&mut stack.lent(Class::Channel)?, side)?);
    stack.push_bool(flag);
    Ok(Ret::Count(1))
}

fn is_resp(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "is_resp")?;
    let response = side(stack) == Side::Response;
    stack.push_bool(response);
    Ok(Ret::Count(1))
}

/// Offset and length arguments from `index` on, as a range of `len` bytes of input.
fn range(
    stack: &Stack<'_>,
    index: i32,
    len: usize,
    open_end: bool,
) -> Result<(usize, Option<usize>), Failure> {
    let offset = if stack.is_nil(index) { 0 } else { stack.int(index)? };
    let offset = if offset < 0 { (len as i64 + offset).max(0) } else { offset };
    let offset = usize::try_from(offset).unwrap_or(0);
    if !open_end && offset > len {
        return Err(Failure::error("offset out of range."));
    }
    if stack.is_nil(index + 1) {
        return Ok((offset, None));
    }
    let wanted = match stack.int(index + 1)? {
        -1 => return Ok((offset, None)),
        wanted => usize::try_from(wanted).map_err(|_| Failure::error("length out of range."))?,
    };
    if !open_end && offset + wanted > len {
        return Err(Failure::error("length out of range."));
    }
    Ok((offset, Some(wanted)))
}

fn splice(channel: &mut dyn Channel, range: Range<usize>, with: &[u8]) -> Result<i64, Failure> {
    Ok(if channel.splice(range, with)? { with.len() as i64 } else { -1 })
}

fn insert_at(stack: &mut Stack<'_>, name: &str, place: fn(usize) -> usize) -> Flow {
    stack.need(2, name)?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let at = place(channel.input_len());
    let count = splice(channel, at..at, &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

fn insert(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "insert")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let (offset, _) = range(stack, 3, channel.input_len(), false)?;
    let count = splice(channel, offset..offset, &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

fn set(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 4, "set")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let all = channel.input_len();
    let (offset, len) = range(stack, 3, all, false)?;
    let count = splice(channel, offset..len.map_or(all, |len| offset + len), &text)?;
    stack.push_int(count);
    Ok(Ret::Count(1))
}

fn remove(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 3, "remove")?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let all = channel.input_len();
    let (offset, len) = range(stack, 2, all, false)?;
    let end = len.map_or(all, |len| offset + len);
    splice(channel, offset..end, b"")?;
    stack.push_int((end - offset) as i64);
    Ok(Ret::Count(1))
}

/// What is there at once, or an operation that waits for it where waiting is allowed.
fn data(stack: &mut Stack<'_>, name: &str, line: bool) -> Flow {
    stack.need_between(1, 3, name)?;
    let side = side(stack);
    let waits = stack.context().may_yield();
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let (offset, len) = range(stack, 2, channel.input_len(), true)?;
    let open = channel.may_recv() && !channel.is_full() && waits;
    match op::part(channel.input(), offset, len, line, open) {
        Some(found) => {
            drop(lent);
            stack.push_out(&found)?;
            Ok(Ret::Count(1))
        }
        None => Ok(Ret::Block(Op::ChannelData { side, offset, len, line })),
    }
}

fn dup(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "dup")?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let found = op::part(bytes(&mut lent, side)?.input(), 0, None, false, false).unwrap_or(Out::Nil);
    drop(lent);
    stack.push_out(&found)?;
    Ok(Ret::Count(1))
}

fn get(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get")?;
    consume(stack, false)
}

fn getline(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "getline")?;
    consume(stack, true)
}

fn consume(stack: &mut Stack<'_>, line: bool) -> Flow {
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let found = op::part(channel.input(), 0, None, line, false).unwrap_or(Out::Nil);
    if let Out::Bytes(taken) = &found {
        channel.splice(0..taken.len(), b"")?;
    }
    drop(lent);
    stack.push_out(&found)?;
    Ok(Ret::Count(1))
}

fn forward(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "forward")?;
    let wanted = usize::try_from(stack.int(2)?).map_err(|_| Failure::error("length out of range."))?;
    let side = side(stack);
    let waits = stack.context().may_yield();
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let done = channel.forward(wanted)?;
    if done >= wanted || !waits || !channel.may_recv() {
        stack.push_int(done as i64);
        return Ok(Ret::Count(1));
    }
    Ok(Ret::Block(Op::ChannelForward { side, left: wanted - done, done }))
}

/// Puts the text before the input and schedules it.
fn send(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "send")?;
    let text = stack.bytes(2)?;
    let side = side(stack);
    let mut lent = stack.lent(Class::Channel)?;
    let channel = bytes(&mut lent, side)?;
    let count = splice(channel, 0..0, &text)?;
    if count > 0 {
        channel.forward(text.len())?;
    }
    stack.push_int(count);
    Ok(Ret::Count(1))
}
