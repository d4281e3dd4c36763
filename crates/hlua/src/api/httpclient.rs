//! The class `HTTPClient`: one request and its whole response.
//!
//! Received headers are tables that begin at 0, by lower-case name. Unlike HAProxy's, a request's header value may be
//! a string as well as a list of them.
//!
//! Source: lua-api "HTTPClient class".

use std::time::Duration;

use crate::api::core::may_wait;
use crate::api::socket::parse_target;
use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{HostError, HttpRequest, HttpResponse};
use crate::op::Op;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

const C: Class = Class::HttpClient;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "HTTPClient",
    methods: &[
        Method::new("get", "(self, request)", |stack| send(stack, "GET", "get")).waits(),
        Method::new("head", "(self, request)", |stack| send(stack, "HEAD", "head")).waits(),
        Method::new("put", "(self, request)", |stack| send(stack, "PUT", "put")).waits(),
        Method::new("post", "(self, request)", |stack| send(stack, "POST", "post")).waits(),
        Method::new("delete", "(self, request)", |stack| send(stack, "DELETE", "delete")).waits(),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("HTTPClient")],
};

/// Handles: an object serves one request.
const FRESH: i64 = 0;
const USED: i64 = 1;

/// `core.httpclient()`; nothing in body and init, as in HAProxy.
pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    stack.need(0, "httpclient")?;
    if stack.context().is_start() {
        return Ok(Ret::Count(0));
    }
    stack.push_object(C, FRESH)?;
    Ok(Ret::Count(1))
}

fn send(stack: &mut Stack<'_>, method: &'static str, name: &str) -> Flow {
    let state = stack.object(1, C)?;
    if stack.top() != 2 || !stack.is_table(2) {
        return Err(Failure::Error(format!("'{name}' needs a table as argument").into()));
    }
    let request = request(stack, method, name)?;
    if state == USED {
        return Err(Failure::error("an HTTPClient serves one request: get another from core.httpclient()"));
    }
    may_wait(stack, name)?;
    let core = stack.core();
    let client = core.http_client().ok_or(HostError::Unsupported("the HTTP client"))?;
    let response = client.send(request)?;
    stack.copy(1);
    stack.set_handle(USED);
    stack.pop(1);
    Ok(Ret::Block(Op::Http { response }))
}

/// Reads the table at argument 2.
fn request(stack: &mut Stack<'_>, method: &'static str, name: &str) -> Result<HttpRequest, Failure> {
    let mut request = HttpRequest {
        method,
        url: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        dst: None,
        timeout: None,
    };
    let mut has_url = false;
    stack.push_nil();
    while stack.next(2) {
        let key = if stack.type_name(-2) == "string" { stack.text(-2)? } else { String::new() };
        match &*key {
            "url" => {
                request.url = text(stack, "url")?;
                has_url = true;
            }
            "body" => request.body = string(stack, "body")?,
            "dst" => {
                let dst = text(stack, "dst")?;
                let target = parse_target(&dst, None).map_err(|text| Failure::Error(text.into()))?;
                request.dst = Some(target);
            }
            "timeout" => {
                let ms = stack.int(-1).map_err(|_| invalid("timeout", "number"))?;
                request.timeout = u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
            }
            "headers" if stack.is_table(-1) => headers(stack, &mut request.headers)?,
            "headers" => return Err(invalid("headers", "table")),
            other => return Err(Failure::Error(format!("'{other}' invalid parameter name").into())),
        }
        stack.pop(1);
    }
    if !has_url {
        return Err(Failure::Error(format!("'{name}' need a 'url' argument").into()));
    }
    Ok(request)
}

fn invalid(name: &str, kind: &str) -> Failure {
    Failure::Error(format!("invalid parameter in '{name}', must be a {kind}").into())
}

/// The string on top.
fn string(stack: &Stack<'_>, name: &str) -> Result<Vec<u8>, Failure> {
    if stack.type_name(-1) != "string" {
        return Err(invalid(name, "string"));
    }
    Ok(stack.bytes(-1)?.into_owned())
}

fn text(stack: &Stack<'_>, name: &str) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&string(stack, name)?).into_owned())
}

/// The table on top: names to values, or to lists of them.
fn headers(stack: &mut Stack<'_>, lines: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), Failure> {
    let table = stack.top();
    stack.push_nil();
    while stack.next(table) {
        let name = stack.try_bytes(-2).map(|name| name.into_owned());
        if let Some(name) = name {
            if let Some(value) = stack.try_bytes(-1) {
                lines.push((name, value.into_owned()));
            } else if stack.is_table(-1) {
                let list = stack.top();
                stack.push_nil();
                while stack.next(list) {
                    if let Some(value) = stack.try_bytes(-1) {
                        lines.push((name.clone(), value.into_owned()));
                    }
                    stack.pop(1);
                }
            }
        }
        stack.pop(1);
    }
    Ok(())
}

/// The response as scripts get it.
pub(crate) fn out(response: HttpResponse) -> Out {
    let mut names: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    for (mut name, value) in response.headers {
        name.make_ascii_lowercase();
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => names.push((name, vec![value])),
        }
    }
    let values = |values: Vec<Vec<u8>>| {
        Out::Table((0..).zip(values).map(|(at, value)| (Out::Int(at), Out::Bytes(value))).collect())
    };
    let headers = names.into_iter().map(|(name, list)| (Out::Bytes(name), values(list))).collect();
    Out::record([
        ("status", Out::Int(response.status.into())),
        ("reason", Out::Bytes(response.reason)),
        ("headers", Out::Table(headers)),
        ("body", Out::Bytes(response.body)),
    ])
}
