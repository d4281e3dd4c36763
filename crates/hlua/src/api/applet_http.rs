//! The class `AppletHTTP`: a service's request and response.
//!
//! Its attributes are read from the host when touched; status and headers go straight to the host.
//!
//! Source: lua-api "AppletHTTP class".

use std::task::{Context, Poll, Waker};

use crate::api::http::{HeaderTable, check_header};
use crate::api::{Class, ClassDef, Method, core, stream, to_string, txn};
use crate::host::{AppletPart, Level};
use crate::op::{AppletReceive, AppletSend, Op};
use crate::raw::stack::{Borrowed, Failure, Flow, Ret, Stack};

const A: Class = Class::AppletHttp;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "AppletHTTP",
    methods: &[
        Method::new("set_status", "(self, code [, reason])", set_status),
        Method::new("add_header", "(self, name, value)", add_header),
        Method::new("start_response", "(self)", start_response),
        Method::new("getline", "(self)", getline).waits(),
        Method::new("receive", "(self [, size])", receive).waits(),
        Method::new("send", "(self, msg)", send).waits(),
        Method::new("set_var", "(self, var, value [, ifexist])", |stack| stream::set_var(stack, A)),
        Method::new("unset_var", "(self, var)", |stack| stream::unset_var(stack, A)),
        Method::new("get_var", "(self, var)", |stack| stream::get_var(stack, A)),
        Method::new("set_priv", "(self, data)", |stack| stream::set_priv(stack, A)),
        Method::new("get_priv", "(self)", |stack| stream::get_priv(stack, A)),
        Method::new("log", "(self, loglevel, msg)", |stack| stream::log(stack, A)),
        Method::new("deflog", "(self, msg)", |stack| stream::deflog(stack, A)),
        Method::new("Debug", "(self, msg)", |stack| stream::log_at(stack, A, Level::Debug, "debug")),
        Method::new("Info", "(self, msg)", |stack| stream::log_at(stack, A, Level::Info, "info")),
        Method::new("Warning", "(self, msg)", |stack| stream::log_at(stack, A, Level::Warning, "warning")),
        Method::new("Alert", "(self, msg)", |stack| stream::log_at(stack, A, Level::Alert, "alert")),
    ],
    lazy: Some(&LAZY),
    attributes: &[
        ("c", "Converters"),
        ("sc", "Converters"),
        ("f", "Fetches"),
        ("sf", "Fetches"),
        ("method", "string"),
        ("version", "string"),
        ("path", "string or nil"),
        ("qs", "string or nil"),
        ("length", "integer"),
        ("headers", "table of 0-based tables"),
    ],
    meta: &[to_string!("AppletHTTP")],
};

static LAZY: Method = Method::new("__index", "(methods, key)", lazy);

fn lazy(stack: &mut Stack<'_>) -> Flow {
    let key = stack.try_bytes(2).unwrap_or_default();
    let part = match &*key {
        b"method" => AppletPart::Method,
        b"version" => AppletPart::Version,
        b"path" => AppletPart::Path,
        b"qs" => AppletPart::QueryString,
        b"length" => {
            let length = stack.lent_unchecked().applet_http()?.length();
            stack.push_int(i64::try_from(length).unwrap_or(i64::MAX));
            return Ok(Ret::Count(1));
        }
        b"headers" => return headers(stack),
        _ => return samples(stack),
    };
    let mut lent = stack.lent_unchecked();
    match lent.applet_http()?.request(part) {
        Some(text) => stack.push_bytes(text)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// `f`, `sf`, `c`, `sc` of either applet class.
pub(crate) fn samples(stack: &mut Stack<'_>) -> Flow {
    let handle = stack.vm().run.handle.get();
    let class = match &*stack.try_bytes(2).unwrap_or_default() {
        b"f" => Class::Fetches,
        b"sf" => Class::StringFetches,
        b"c" => Class::Converters,
        b"sc" => Class::StringConverters,
        _ => return Ok(Ret::Count(0)),
    };
    txn::keep_member(stack, class, handle)
}

fn headers(stack: &mut Stack<'_>) -> Flow {
    let mut lent = stack.lent_unchecked();
    let mut table = HeaderTable::push(stack)?;
    lent.applet_http()?.headers(&mut |name, value| table.add(name, value));
    table.finish()?;
    drop(lent);
    keep(stack)
}

/// Keeps the value on top in the run's own object, under the key at argument 2, and returns it.
fn keep(stack: &mut Stack<'_>) -> Flow {
    let value = stack.top();
    stack.push_own_object();
    let owner = stack.top();
    if stack.is_table(owner) {
        stack.copy(2);
        stack.copy(value);
        stack.raw_set(owner)?;
    }
    stack.set_top(value);
    Ok(Ret::Count(1))
}

fn set_status(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "set_status")?;
    let code = stack.int(2)?;
    let reason = if stack.top() == 3 { Some(stack.bytes(3)?) } else { None };
    let valid = (100..=599).contains(&code);
    if valid {
        check_header(b"reason", reason.as_deref().unwrap_or_default())?;
        stack.lent(A)?.applet_http()?.set_status(code as u16, reason.as_deref());
    }
    stack.push_bool(valid);
    Ok(Ret::Count(1))
}

fn add_header(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "add_header")?;
    let (name, value) = (stack.bytes(2)?, stack.bytes(3)?);
    check_header(&name, &value)?;
    stack.lent(A)?.applet_http()?.add_header(&name, &value)?;
    stack.push_bool(true);
    Ok(Ret::Count(1))
}

fn start_response(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "start_response")?;
    if stack.vm().run.started.get() {
        return Err(Failure::error("Lua: 'start_response' was already called."));
    }
    stack.lent(A)?.applet_http()?.start_response()?;
    stack.vm().run.started.set(true);
    Ok(Ret::Count(0))
}

fn getline(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "getline")?;
    drop(stack.lent(A)?);
    Ok(Ret::Block(Op::AppletLine { taken: Vec::new() }))
}

fn receive(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 2, "receive")?;
    drop(stack.lent(A)?);
    let max = if stack.top() == 2 { size(stack, 2)? } else { usize::MAX };
    Ok(Ret::Block(Op::AppletReceive(Box::new(AppletReceive { taken: Vec::new(), max, deadline: None }))))
}

/// A byte count; negative ones mean no limit.
pub(crate) fn size(stack: &Stack<'_>, index: i32) -> Result<usize, Failure> {
    Ok(usize::try_from(stack.int(index)?).unwrap_or(usize::MAX))
}

fn send(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "send")?;
    let lent = stack.lent(A)?;
    if !stack.vm().run.started.get() {
        return Err(Failure::error("Lua: 'send' you must call start_response() before sending data."));
    }
    send_now(stack, lent, 2)
}

/// Sends what fits at once; the rest is left to an operation.
pub(crate) fn send_now(stack: &mut Stack<'_>, mut lent: Borrowed<'_>, index: i32) -> Flow {
    let data = stack.bytes(index)?;
    let io = lent.io()?;
    let mut sent = 0;
    while sent < data.len() {
        match io.poll_send(&mut Context::from_waker(Waker::noop()), &data[sent..]) {
            Poll::Ready(Ok(n)) => sent += n,
            Poll::Ready(Err(_)) => {
                stack.push_int(-1);
                return Ok(Ret::Count(1));
            }
            Poll::Pending => {
                drop(lent);
                core::may_wait(stack, "send")?;
                return Ok(Ret::Block(Op::AppletSend(Box::new(AppletSend {
                    data: data.into_owned(),
                    sent,
                }))));
            }
        }
    }
    stack.push_int(data.len() as i64);
    Ok(Ret::Count(1))
}
