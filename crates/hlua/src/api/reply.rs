//! The class `Reply`: a plain table of status, reason, headers and body, for `txn:done(reply)`.
//!
//! Source: lua-api "Reply class".

use crate::api::{Class, ClassDef, Method, stream};
use crate::host::Reply;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::record;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Reply",
    methods: &[
        Method::new("set_status", "(self, status [, reason])", set_status),
        Method::new("add_header", "(self, name, value)", add_header),
        Method::new("del_header", "(self, name)", del_header),
        Method::new("set_body", "(self, body)", set_body),
    ],
    lazy: None,
    attributes: &[
        ("status", "integer"),
        ("reason", "string"),
        ("headers", "table of 1-based tables"),
        ("body", "string or nil"),
    ],
    meta: &[],
};

/// `txn:reply([table])`
pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 2, "reply")?;
    if stack.lent(Class::Txn)?.txn()?.http().is_none() {
        return Err(stream::not_http());
    }
    let given = stack.is_table(2);
    stack.push_object(Class::Reply, 0)?;
    let reply = stack.top();
    let status = if given { field_int(stack, 2, "status")?.unwrap_or(200) } else { 200 };
    set_field(stack, reply, "status", |stack| {
        stack.push_int(status);
        Ok(())
    })?;
    set_field(stack, reply, "reason", |stack| stack.push_bytes(reason_of(status).as_bytes()))?;
    if given {
        if let Some(reason) = field_bytes(stack, 2, "reason")? {
            set_field(stack, reply, "reason", |stack| stack.push_bytes(&reason))?;
        }
        copy_field(stack, 2, reply, "body")?;
        copy_field(stack, 2, reply, "headers")?;
    }
    stack.push_field(reply, "headers")?;
    let missing = stack.is_nil(-1);
    stack.pop(1);
    if missing {
        set_field(stack, reply, "headers", |stack| stack.push_out(&crate::value::Out::Table(Vec::new())))?;
    }
    for name in ["status", "reason", "headers", "body"] {
        note_field(stack, reply, name)?;
    }
    Ok(Ret::Count(1))
}

/// Records that the script was handed this field, if it was.
fn note_field(stack: &mut Stack<'_>, reply: i32, name: &str) -> Result<(), Failure> {
    if record::is_on() {
        stack.push_field(reply, name)?;
        if !stack.is_nil(-1) {
            record::reached(CLASS.name, name);
        }
        stack.pop(1);
    }
    Ok(())
}

/// The table at `index` as a value for the host.
pub(crate) fn read(stack: &mut Stack<'_>, index: i32) -> Result<Reply, Failure> {
    if !stack.is_table(index) {
        return Err(stack.expected(index, "table"));
    }
    let status = field_int(stack, index, "status")?.unwrap_or(200);
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (100..600).contains(status))
        .ok_or_else(|| Failure::error("the reply's status must be between 100 and 599"))?;
    let reason = field_bytes(stack, index, "reason")?.filter(|reason| !reason.is_empty());
    let body = field_bytes(stack, index, "body")?.unwrap_or_default();
    let mut headers = Vec::new();
    stack.push_field(index, "headers")?;
    if stack.is_table(-1) {
        let table = stack.top();
        read_headers(stack, table, &mut headers)?;
    }
    stack.pop(1);
    Ok(Reply { status, reason, headers, body })
}

fn read_headers(
    stack: &mut Stack<'_>,
    table: i32,
    into: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<(), Failure> {
    stack.push_nil();
    while stack.next(table) {
        let value = stack.top();
        let name = stack.bytes(value - 1)?.into_owned();
        if stack.is_table(value) {
            for at in 1..=stack.raw_len(value) {
                stack.push_element(value, at);
                let bytes = stack.bytes(-1)?.into_owned();
                stack.pop(1);
                into.push((name.clone(), bytes));
            }
        } else {
            into.push((name, stack.bytes(value)?.into_owned()));
        }
        stack.pop(1);
    }
    into.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
    for (name, value) in into.iter() {
        super::http::check_header(name, value)?;
    }
    Ok(())
}

fn set_status(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "set_status")?;
    let status = stack.int(2)?;
    let valid = (100..=599).contains(&status);
    if valid {
        let reason = if stack.top() == 3 { stack.text(3)? } else { reason_of(status).to_string() };
        set_field(stack, 1, "status", |stack| {
            stack.push_int(status);
            Ok(())
        })?;
        set_field(stack, 1, "reason", |stack| stack.push_bytes(reason.as_bytes()))?;
    }
    stack.push_bool(valid);
    Ok(Ret::Count(1))
}

fn add_header(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "add_header")?;
    let (_, _) = (stack.bytes(2)?, stack.bytes(3)?);
    stack.push_field(1, "headers")?;
    let headers = stack.top();
    if !stack.is_table(headers) {
        return Err(Failure::error("Reply.headers must be a table"));
    }
    stack.copy(2);
    stack.push_field_at(headers)?;
    if !stack.is_table(-1) {
        stack.pop(1);
        stack.copy(2);
        stack.push_out(&crate::value::Out::List(Vec::new()))?;
        stack.raw_set(headers)?;
        stack.copy(2);
        stack.push_field_at(headers)?;
    }
    let list = stack.top();
    let next = stack.raw_len(list) + 1;
    stack.push_int(next);
    stack.copy(3);
    stack.raw_set(list)?;
    stack.push_bool(true);
    Ok(Ret::Count(1))
}

fn del_header(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "del_header")?;
    stack.push_field(1, "headers")?;
    let headers = stack.top();
    if stack.is_table(headers) {
        stack.copy(2);
        stack.push_nil();
        stack.raw_set(headers)?;
    }
    stack.push_bool(true);
    Ok(Ret::Count(1))
}

fn set_body(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_body")?;
    let body = stack.bytes(2)?.into_owned();
    set_field(stack, 1, "body", |stack| stack.push_bytes(&body))?;
    stack.push_bool(true);
    Ok(Ret::Count(1))
}

fn set_field(
    stack: &mut Stack<'_>,
    table: i32,
    name: &str,
    push: impl FnOnce(&mut Stack<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !stack.is_table(table) {
        return Err(stack.expected(table, "table"));
    }
    stack.push_bytes(name.as_bytes())?;
    push(stack)?;
    stack.raw_set(table)
}

fn copy_field(stack: &mut Stack<'_>, from: i32, to: i32, name: &str) -> Result<(), Failure> {
    stack.push_bytes(name.as_bytes())?;
    stack.push_field(from, name)?;
    stack.raw_set(to)
}

fn field_int(stack: &mut Stack<'_>, table: i32, name: &str) -> Result<Option<i64>, Failure> {
    stack.push_field(table, name)?;
    let value = if stack.is_nil(-1) { Ok(None) } else { stack.int(-1).map(Some) };
    stack.pop(1);
    value.map_err(|_| Failure::Error(format!("the reply's {name} must be a number").into()))
}

fn field_bytes(stack: &mut Stack<'_>, table: i32, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    stack.push_field(table, name)?;
    let value =
        if stack.is_nil(-1) { Ok(None) } else { stack.bytes(-1).map(|bytes| Some(bytes.into_owned())) };
    stack.pop(1);
    value.map_err(|_| Failure::Error(format!("the reply's {name} must be a string").into()))
}

/// The usual text of a status.
pub(crate) fn reason_of(status: i64) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested range unsatisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        422 => "Unprocessable Entity",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "<unknown>",
    }
}
