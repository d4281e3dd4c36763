//! The class `HTTPMessage`: one message of an HTTP stream, as a filter has it.
//!
//! Its handle is the run's, negative for the response. The head may be changed until it goes out; the payload only
//! in `http_payload`, where offsets count within what this filter was given.
//!
//! Source: lua-api "HTTPMessage class".

use crate::api::http::{HeaderTable, check_header, status_of};
use crate::api::{Class, ClassDef, Method, channel, filter, stream, to_string};
use crate::context::ContextKind::Filter;
use crate::context::Contexts;
use crate::filter::Callback;
use crate::host::{HostResult, Http, RequestPart, Side};
use crate::raw::stack::{Borrowed, Failure, Flow, Ret, Stack};
use crate::value::Out;

const C: Class = Class::HttpMessage;
const FILTER: Contexts = Contexts::of(&[Filter]);

const fn method(name: &'static str, signature: &'static str, call: crate::api::ApiFn) -> Method {
    Method::new(name, signature, call).only(FILTER)
}

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "HTTPMessage",
    methods: &[
        method("get_stline", "(self)", get_stline),
        method("get_headers", "(self)", get_headers),
        method("add_header", "(self, name, value)", |s| {
            change(s, "add_header", |http, side, name, value| http.add_header(side, name, value))
        }),
        method("set_header", "(self, name, value)", |s| {
            change(s, "set_header", |http, side, name, value| http.set_header(side, name, value))
        }),
        method("del_header", "(self, name)", del_header),
        method("rep_header", "(self, name, regex, replace)", |s| rep(s, "rep_header", false)),
        method("rep_value", "(self, name, regex, replace)", |s| rep(s, "rep_value", true)),
        method("set_method", "(self, method)", |s| part(s, RequestPart::Method, "set_method")),
        method("set_path", "(self, path)", |s| part(s, RequestPart::Path, "set_path")),
        method("set_query", "(self, query)", |s| part(s, RequestPart::Query, "set_query")),
        method("set_uri", "(self, uri)", |s| part(s, RequestPart::Uri, "set_uri")),
        method("set_status", "(self, status [, reason])", set_status),
        method("set_body_len", "(self, length)", set_body_len),
        method("body", "(self [, offset [, length]])", |s| payload(s, "body", channel::body)),
        method("append", "(self, string)", |s| {
            payload(s, "append", |s| channel::insert_at(s, C, "append", |len| len))
        }),
        method("prepend", "(self, string)", |s| {
            payload(s, "prepend", |s| channel::insert_at(s, C, "prepend", |_| 0))
        }),
        method("insert", "(self, string [, offset])", |s| payload(s, "insert", |s| channel::insert(s, C))),
        method("set", "(self, string [, offset [, length]])", |s| payload(s, "set", |s| channel::set(s, C))),
        method("remove", "(self [, offset [, length]])", |s| payload(s, "remove", |s| channel::remove(s, C))),
        method("send", "(self, string)", |s| payload(s, "send", |s| channel::send(s, C))),
        method("forward", "(self, length)", |s| payload(s, "forward", |s| channel::forward(s, C))),
        method("input", "(self)", |s| channel::length(s, C, "input", |channel| channel.input_len())),
        method("output", "(self)", |s| channel::length(s, C, "output", |channel| channel.output_len())),
        method("is_full", "(self)", |s| channel::state(s, C, "is_full", |channel| channel.is_full())),
        method("may_recv", "(self)", |s| channel::state(s, C, "may_recv", |channel| channel.may_recv())),
        method("eom", "(self)", |s| channel::state(s, C, "eom", |channel| !channel.may_recv())),
        method("set_eom", "(self)", |s| set_ended(s, "set_eom", true)),
        method("unset_eom", "(self)", |s| set_ended(s, "unset_eom", false)),
        method("is_resp", "(self)", channel::is_resp),
    ],
    lazy: None,
    attributes: &[("channel", "Channel")],
    meta: &[to_string!("HTTPMessage")],
};

/// Pushes a message's object with its channel.
pub(crate) fn push(stack: &mut Stack<'_>, handle: i64, id: i64) -> Result<(), Failure> {
    stack.push_object(C, handle)?;
    let message = stack.top();
    filter::mark_top(stack, id)?;
    stack.push_bytes(b"channel")?;
    channel::push(stack, handle, id)?;
    if crate::record::is_on() {
        crate::record::reached(CLASS.name, "channel");
    }
    stack.raw_set(message)
}

/// `txn.http_req`, `txn.http_res`: made when first touched, kept in the TXN under the key at argument 2.
pub(crate) fn push_member(stack: &mut Stack<'_>, handle: i64) -> Flow {
    let id = stack.vm().run.filter.get().id;
    stack.push_own_object();
    let owner = stack.top();
    push(stack, handle, id)?;
    if stack.is_table(owner) {
        stack.copy(2);
        stack.copy(-2);
        stack.raw_set(owner)?;
    }
    Ok(Ret::Count(1))
}

fn http<'a>(lent: &'a mut Borrowed<'_>) -> Result<&'a mut dyn Http, Failure> {
    lent.txn()?.http().ok_or_else(stream::not_http)
}

/// The message whose head may still be changed.
fn head<'a>(lent: &'a mut Borrowed<'_>, side: Side) -> Result<&'a mut dyn Http, Failure> {
    let http = http(lent)?;
    if http.head_gone(side) {
        return Err(Failure::error("the headers of this message have already been forwarded"));
    }
    Ok(http)
}

fn request_only(side: Side, name: &str) -> Result<(), Failure> {
    match side {
        Side::Request => Ok(()),
        Side::Response => {
            Err(Failure::Error(format!("'{name}' works on requests, this is a response").into()))
        }
    }
}

fn get_stline(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get_stline")?;
    let side = channel::side(stack);
    let line = http(&mut stack.lent(C)?)?.start_line(side)?;
    let Some(line) = line else { return Ok(Ret::Count(0)) };
    let names = match side {
        Side::Request => ["method", "uri", "version"],
        Side::Response => ["version", "code", "reason"],
    };
    let values = [line.first, line.second, line.third];
    let mut values = values.into_iter().map(Out::Bytes);
    stack.push_out(&Out::record(names.map(|name| (name, values.next().unwrap_or(Out::Nil)))))?;
    Ok(Ret::Count(1))
}

fn get_headers(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get_headers")?;
    let side = channel::side(stack);
    let mut lent = stack.lent(C)?;
    let mut table = HeaderTable::push(stack)?;
    let shown = head(&mut lent, side)?.headers(side, &mut |name, value| table.add(name, value));
    table.finish()?;
    shown?;
    Ok(Ret::Count(1))
}

fn change(
    stack: &mut Stack<'_>,
    function: &str,
    apply: impl FnOnce(&mut dyn Http, Side, &[u8], &[u8]) -> HostResult<()>,
) -> Flow {
    stack.need(3, function)?;
    let (name, value) = (stack.bytes(2)?, stack.bytes(3)?);
    check_header(&name, &value)?;
    let side = channel::side(stack);
    apply(head(&mut stack.lent(C)?, side)?, side, &name, &value)?;
    Ok(Ret::Count(0))
}

fn del_header(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "del_header")?;
    let name = stack.bytes(2)?;
    let side = channel::side(stack);
    head(&mut stack.lent(C)?, side)?.del_header(side, &name)?;
    Ok(Ret::Count(0))
}

fn rep(stack: &mut Stack<'_>, function: &str, each_value: bool) -> Flow {
    stack.need(4, function)?;
    let (name, regex, replacement) = (stack.bytes(2)?, stack.text(3)?, stack.bytes(4)?);
    check_header(&name, &replacement)?;
    let side = channel::side(stack);
    let mut lent = stack.lent(C)?;
    let result = head(&mut lent, side)?.replace_header(side, &name, &regex, &replacement, each_value);
    result.map_err(|error| Failure::Arg(3, error.to_string().into()))?;
    Ok(Ret::Count(0))
}

fn part(stack: &mut Stack<'_>, part: RequestPart, function: &str) -> Flow {
    stack.need(2, function)?;
    let value = stack.bytes(2)?;
    let side = channel::side(stack);
    request_only(side, function)?;
    let set = head(&mut stack.lent(C)?, side)?.set_request_part(part, &value)?;
    stack.push_bool(set);
    Ok(Ret::Count(1))
}

fn set_status(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "set_status")?;
    let status = status_of(stack)?;
    let reason = if stack.top() == 3 { Some(stack.bytes(3)?) } else { None };
    let side = channel::side(stack);
    if side == Side::Request {
        return Err(Failure::error("'set_status' works on responses, this is a request"));
    }
    let set = head(&mut stack.lent(C)?, side)?.set_status(status, reason.as_deref())?;
    stack.push_bool(set);
    Ok(Ret::Count(1))
}

fn set_body_len(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_body_len")?;
    let length = match stack.type_name(2) {
        "string" if *stack.bytes(2)? == *b"chunked" => None,
        "number" => Some(u64::try_from(stack.int(2)?).map_err(|_| not_a_length())?),
        _ => return Err(not_a_length()),
    };
    let side = channel::side(stack);
    let set = head(&mut stack.lent(C)?, side)?.set_body_len(side, length)?;
    stack.push_bool(set);
    Ok(Ret::Count(1))
}

fn not_a_length() -> Failure {
    Failure::Arg(2, "a length of 0 or more, or 'chunked', is expected".into())
}

/// Runs a function on payload where there is some to work on.
fn payload(stack: &mut Stack<'_>, name: &str, run: fn(&mut Stack<'_>) -> Flow) -> Flow {
    let running = stack.vm().run.filter.get();
    if running.callback != Callback::HttpPayload || running.side() != channel::side(stack) {
        return Err(Failure::Error(
            format!("'{name}' works on payload: call it in http_payload, on the message given there").into(),
        ));
    }
    run(stack)
}

fn set_ended(stack: &mut Stack<'_>, name: &str, ended: bool) -> Flow {
    stack.need(1, name)?;
    let side = channel::side(stack);
    channel::of(&mut stack.lent(C)?, side)?.set_ended(ended)?;
    Ok(Ret::Count(0))
}
