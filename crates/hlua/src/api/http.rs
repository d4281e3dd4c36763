//! The class `HTTP`: the headers and first lines of both messages.
//!
//! Source: lua-api "HTTP class". Argument complaints name the functions as HAProxy does (`req_set_hdr`).

use std::ffi::c_int;

use smallvec::SmallVec;

use crate::api::{Class, ClassDef, Method, stream, to_string};
use crate::context::ContextKind;
use crate::host::{HostResult, Http, RequestPart, Side, Side::*};
use crate::raw::stack::{Borrowed, Failure, Flow, Ret, Stack};

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "HTTP",
    methods: &[
        Method::new("req_get_headers", "(self)", |stack| get_headers(stack, Request, "req_get_headers")),
        Method::new("req_add_header", "(self, name, value)", |stack| add(stack, Request, "req_add_hdr")),
        Method::new("req_set_header", "(self, name, value)", |stack| set(stack, Request, "req_set_hdr")),
        Method::new("req_del_header", "(self, name)", |stack| del(stack, Request, "req_del_hdr")),
        Method::new("req_rep_header", "(self, name, regex, replace)", |s| {
            rep(s, Request, "req_rep_hdr", false)
        }),
        Method::new("req_rep_value", "(self, name, regex, replace)", |s| {
            rep(s, Request, "req_rep_hdr", true)
        }),
        Method::new("req_set_method", "(self, method)", |s| part(s, RequestPart::Method, "req_set_meth")),
        Method::new("req_set_path", "(self, path)", |s| part(s, RequestPart::Path, "req_set_path")),
        Method::new("req_set_query", "(self, query)", |s| part(s, RequestPart::Query, "req_set_query")),
        Method::new("req_set_uri", "(self, uri)", |s| part(s, RequestPart::Uri, "req_set_uri")),
        Method::new("res_get_headers", "(self)", |stack| get_headers(stack, Response, "res_get_headers")),
        Method::new("res_add_header", "(self, name, value)", |stack| add(stack, Response, "res_add_hdr")),
        Method::new("res_set_header", "(self, name, value)", |stack| set(stack, Response, "res_set_hdr")),
        Method::new("res_del_header", "(self, name)", |stack| del(stack, Response, "res_del_hdr")),
        Method::new("res_rep_header", "(self, name, regex, replace)", |s| {
            rep(s, Response, "res_rep_hdr", false)
        }),
        Method::new("res_rep_value", "(self, name, regex, replace)", |s| {
            rep(s, Response, "res_rep_hdr", true)
        }),
        Method::new("res_set_status", "(self, status [, reason])", set_status),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("HTTP")],
};

/// The messages, if rules of that side run, or a filter.
fn http<'a>(
    lent: &'a mut Borrowed<'_>,
    context: ContextKind,
    side: Side,
) -> Result<&'a mut dyn Http, Failure> {
    let http = lent.txn()?.http().ok_or_else(stream::not_http)?;
    let elsewhere = http.side().is_some_and(|running| running != side);
    if elsewhere && context != ContextKind::Filter {
        return Err(Failure::error("this message is not there in these rules"));
    }
    Ok(http)
}

fn get_headers(stack: &mut Stack<'_>, side: Side, name: &str) -> Flow {
    stack.need(1, name)?;
    let context = stack.context();
    let mut lent = stack.lent(Class::Http)?;
    let http = http(&mut lent, context, side)?;
    let mut table = HeaderTable::push(stack)?;
    let shown = http.headers(side, &mut |name, value| table.add(name, value));
    table.finish()?;
    shown?;
    Ok(Ret::Count(1))
}

/// Headers as scripts get them: lower-case names, 0-based lists of values. Filled in place, on top of the stack.
pub(crate) struct HeaderTable<'s, 'a> {
    stack: &'s mut Stack<'a>,
    table: c_int,
    result: Result<(), Failure>,
}

impl<'s, 'a> HeaderTable<'s, 'a> {
    /// Pushes an empty table.
    pub(crate) fn push(stack: &'s mut Stack<'a>) -> Result<Self, Failure> {
        stack.push_table(HEADERS_USUAL)?;
        let table = stack.top();
        Ok(HeaderTable { stack, table, result: Ok(()) })
    }

    /// Adds a header; after a failure it does nothing.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        if self.result.is_ok() {
            self.result = self.try_add(name, value);
        }
    }

    fn try_add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Failure> {
        let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(name);
        lower.make_ascii_lowercase();
        self.stack.add_to_list(self.table, &lower, value)
    }

    /// Whether all went well; the table is on top of the stack then.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.result
    }
}

/// Names that a request mostly has no more of.
const HEADERS_USUAL: c_int = 8;

/// Nothing a script gives may end a header line early.
pub(crate) fn check_header(name: &[u8], value: &[u8]) -> Result<(), Failure> {
    let bad = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if bad(name) || bad(value) {
        return Err(Failure::error("a header name or value holds CR, LF or NUL"));
    }
    if name.is_empty() {
        return Err(Failure::error("a header name is empty"));
    }
    Ok(())
}

fn add(stack: &mut Stack<'_>, side: Side, name: &str) -> Flow {
    change(stack, side, name, |http, name, value| http.add_header(side, name, value))
}

fn set(stack: &mut Stack<'_>, side: Side, name: &str) -> Flow {
    change(stack, side, name, |http, name, value| http.set_header(side, name, value))
}

fn change(
    stack: &mut Stack<'_>,
    side: Side,
    function: &str,
    apply: impl FnOnce(&mut dyn Http, &[u8], &[u8]) -> HostResult<()>,
) -> Flow {
    stack.need(3, function)?;
    let (name, value) = (stack.bytes(2)?, stack.bytes(3)?);
    check_header(&name, &value)?;
    apply(http(&mut stack.lent(Class::Http)?, stack.context(), side)?, &name, &value)?;
    Ok(Ret::Count(0))
}

fn del(stack: &mut Stack<'_>, side: Side, function: &str) -> Flow {
    stack.need(2, function)?;
    let name = stack.bytes(2)?;
    http(&mut stack.lent(Class::Http)?, stack.context(), side)?.del_header(side, &name)?;
    Ok(Ret::Count(0))
}

fn rep(stack: &mut Stack<'_>, side: Side, function: &str, each_value: bool) -> Flow {
    stack.need(4, function)?;
    let (name, regex, replacement) = (stack.bytes(2)?, stack.text(3)?, stack.bytes(4)?);
    check_header(&name, &replacement)?;
    let mut lent = stack.lent(Class::Http)?;
    let result =
        http(&mut lent, stack.context(), side)?.replace_header(side, &name, &regex, &replacement, each_value);
    result.map_err(|error| Failure::Arg(3, error.to_string().into()))?;
    Ok(Ret::Count(0))
}

fn part(stack: &mut Stack<'_>, part: RequestPart, function: &str) -> Flow {
    stack.need(2, function)?;
    let value = stack.bytes(2)?;
    let set =
        http(&mut stack.lent(Class::Http)?, stack.context(), Request)?.set_request_part(part, &value)?;
    stack.push_bool(set);
    Ok(Ret::Count(1))
}

fn set_status(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "res_set_status")?;
    let status = status_of(stack)?;
    let reason = if stack.top() == 3 { Some(stack.bytes(3)?) } else { None };
    http(&mut stack.lent(Class::Http)?, stack.context(), Response)?.set_status(status, reason.as_deref())?;
    Ok(Ret::Count(0))
}

/// The status at argument 2.
pub(crate) fn status_of(stack: &Stack<'_>) -> Result<u16, Failure> {
    u16::try_from(stack.int(2)?).map_err(|_| Failure::Arg(2, "not a status".into()))
}
