//! The class `TXN`. Its members `f`, `sf`, `c`, `sc`, `req`, `res`, `http` are made when first touched.
//!
//! Source: lua-api "TXN class".

use crate::api::{Class, ClassDef, Method, stream, to_string};
use crate::host::Level;
use crate::members::{self, Kept, Members};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

const T: Class = Class::Txn;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "TXN",
    methods: &[
        Method::new("set_var", "(self, var, value [, ifexist])", |stack| stream::set_var(stack, T)),
        Method::new("unset_var", "(self, var)", |stack| stream::unset_var(stack, T)),
        Method::new("get_var", "(self, var)", |stack| stream::get_var(stack, T)),
        Method::new("set_priv", "(self, data)", |stack| stream::set_priv(stack, T)),
        Method::new("get_priv", "(self)", |stack| stream::get_priv(stack, T)),
        Method::new("log", "(self, loglevel, msg)", |stack| stream::log(stack, T)),
        Method::new("deflog", "(self, msg)", |stack| stream::deflog(stack, T)),
        Method::new("Debug", "(self, msg)", |stack| stream::log_at(stack, T, Level::Debug, "debug")),
        Method::new("Info", "(self, msg)", |stack| stream::log_at(stack, T, Level::Info, "info")),
        Method::new("Warning", "(self, msg)", |stack| stream::log_at(stack, T, Level::Warning, "warning")),
        Method::new("Alert", "(self, msg)", |stack| stream::log_at(stack, T, Level::Alert, "alert")),
        Method::new("done", "(self [, reply])", done),
        Method::new("reply", "(self [, reply])", super::reply::new),
        Method::new("set_loglevel", "(self, loglevel)", set_loglevel),
        Method::new("set_fc_tos", "(self, tos)", set_tos),
        Method::new("set_tos", "(self, tos)", set_tos),
        Method::new("set_fc_mark", "(self, mark)", set_mark),
        Method::new("set_mark", "(self, mark)", set_mark),
        Method::new("set_priority_class", "(self, prio)", set_priority_class),
        Method::new("set_priority_offset", "(self, prio)", set_priority_offset),
    ],
    lazy: Some(&LAZY),
    attributes: &[
        ("c", "Converters"),
        ("sc", "Converters"),
        ("f", "Fetches"),
        ("sf", "Fetches"),
        ("req", "Channel"),
        ("res", "Channel"),
        ("http", "HTTP or nil"),
        ("http_req", "HTTPMessage in filters, or nil"),
        ("http_res", "HTTPMessage in filters, or nil"),
    ],
    meta: &[to_string!("TXN")],
};

/// What a TXN or applet object becomes while its run does not go on.
pub(crate) const STALE: ClassDef = ClassDef {
    name: "TXN",
    methods: &[],
    lazy: Some(&STALE_INDEX),
    attributes: &[],
    meta: &[to_string!("TXN (not running)")],
};

static LAZY: Method = Method::new("__index", "(methods, key)", lazy);
static STALE_INDEX: Method =
    Method::new("__index", "(object, key)", |_| Err(crate::raw::stack::stale("TXN")));

fn lazy(stack: &mut Stack<'_>) -> Flow {
    let handle = stack.vm().run.handle.get();
    let key = stack.try_bytes(2).unwrap_or_default();
    let (class, handle) = match &*key {
        b"f" => (Class::Fetches, handle),
        b"sf" => (Class::StringFetches, handle),
        b"c" => (Class::Converters, handle),
        b"sc" => (Class::StringConverters, handle),
        b"req" => (Class::Channel, handle),
        b"res" => (Class::Channel, -handle),
        b"http" if has_http(stack) => (Class::Http, handle),
        b"http_req" | b"http_res" if stack.context() == crate::ContextKind::Filter && has_http(stack) => {
            return super::http_message::push_member(
                stack,
                if *key == *b"http_req" { handle } else { -handle },
            );
        }
        _ => return Ok(Ret::Count(0)),
    };
    keep_member(stack, class, handle)
}

/// Makes a member of the run's own object, or takes the coroutine's kept one for it, keeps it in the object under the
/// key at argument 2, and returns it.
pub(crate) fn keep_member(stack: &mut Stack<'_>, class: Class, handle: i64) -> Flow {
    stack.push_own_object();
    let owner = stack.top();
    push_member(stack, class, handle)?;
    if stack.is_table(owner) {
        stack.copy(2);
        stack.copy(-2);
        stack.raw_set(owner)?;
    }
    Ok(Ret::Count(1))
}

fn push_member(stack: &mut Stack<'_>, class: Class, handle: i64) -> Result<(), Failure> {
    let run = &stack.vm().run;
    let mut members = run.members.take().unwrap_or_default();
    let pushed = push_kept(stack, &mut members, class, handle);
    run.members.set(Some(members));
    pushed
}

fn push_kept(stack: &mut Stack<'_>, members: &mut Members, class: Class, handle: i64) -> Result<(), Failure> {
    let place = members::place_of(class, handle);
    match members.at(place) {
        Some(kept) => {
            stack.push_ref(kept.reference);
            stack.set_handle(handle);
        }
        None => {
            stack.push_object(class, handle)?;
            stack.copy(-1);
            members.keep(place, Kept { address: stack.address(-1), reference: stack.make_ref()? });
        }
    }
    let run = &stack.vm().run;
    run.touched.set(run.touched.get() | 1 << place);
    run.objects.set_member(place, stack.address(-1));
    Ok(())
}

fn has_http(stack: &mut Stack<'_>) -> bool {
    stack.lent_unchecked().txn().is_ok_and(|txn| txn.http().is_some())
}

/// Ends the script; with a reply the transaction is answered by it. In a fetch it only ends the script.
fn done(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 2, "done")?;
    let reply = if stack.top() == 2 && !stack.is_nil(2) { Some(super::reply::read(stack, 2)?) } else { None };
    if stack.context() == crate::ContextKind::Action {
        stack.lent(T)?.txn()?.done(reply)?;
        stack.vm().run.done.set(true);
    } else if stack.context() == crate::ContextKind::Filter {
        // A filter ends the exchange as filter.ERROR does.
        stack.vm().run.done.set(true);
    }
    Err(Failure::Exit)
}

fn set_loglevel(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_loglevel")?;
    let level = match stack.int(2)? {
        -1 => None,
        number => Some(
            Level::from_number(number)
                .ok_or(Failure::Arg(2, "Bad log level. It must be between 0 and 7".into()))?,
        ),
    };
    stack.lent(T)?.txn()?.set_loglevel(level)?;
    Ok(Ret::Count(0))
}

fn set_tos(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_fc_tos")?;
    let tos = stack.int(2)?;
    stack.lent(T)?.txn()?.set_tos(tos as u8)?;
    Ok(Ret::Count(0))
}

fn set_mark(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_fc_mark")?;
    let mark = stack.int(2)?;
    stack.lent(T)?.txn()?.set_mark(mark as u32)?;
    Ok(Ret::Count(0))
}

fn set_priority_class(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_priority_class")?;
    let class = stack.int(2)?.clamp(-2047, 2047);
    stack.lent(T)?.txn()?.set_priority_class(class as i32)?;
    Ok(Ret::Count(0))
}

fn set_priority_offset(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_priority_offset")?;
    let offset = stack.int(2)?.clamp(-524_287, 524_287);
    stack.lent(T)?.txn()?.set_priority_offset(offset as i32)?;
    Ok(Ret::Count(0))
}
