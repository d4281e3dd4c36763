//! The class `AppletTCP`: a service's byte stream.
//!
//! Source: lua-api "AppletTCP class".

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::api::applet_http::{samples, send_now, size};
use crate::api::{Class, ClassDef, Method, stream, to_string};
use crate::host::Level;
use crate::op::{self, AppletReceive, Op};
use crate::raw::stack::{Flow, Ret, Stack};

const A: Class = Class::AppletTcp;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "AppletTCP",
    methods: &[
        Method::new("getline", "(self)", getline).waits(),
        Method::new("receive", "(self [, size [, timeout]])", receive).waits(),
        Method::new("try_receive", "(self)", try_receive),
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
    attributes: &[("c", "Converters"), ("sc", "Converters"), ("f", "Fetches"), ("sf", "Fetches")],
    meta: &[to_string!("AppletTCP")],
};

static LAZY: Method = Method::new("__index", "(methods, key)", samples);

fn getline(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "getline")?;
    drop(stack.lent(A)?);
    Ok(Ret::Block(Op::AppletLine { taken: Vec::new() }))
}

fn receive(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 3, "receive")?;
    drop(stack.lent(A)?);
    let max = if stack.is_nil(2) { usize::MAX } else { size(stack, 2)? };
    let timeout = if stack.is_nil(3) {
        None
    } else {
        Some(Duration::from_millis(u64::try_from(stack.int(3)?).unwrap_or(0)))
    };
    let deadline = op::deadline(&stack.worker(), timeout);
    Ok(Ret::Block(Op::AppletReceive(Box::new(AppletReceive { taken: Vec::new(), max, deadline }))))
}

/// What has arrived, without waiting; nil if nothing has.
fn try_receive(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "try_receive")?;
    let mut lent = stack.lent(A)?;
    let applet = lent.applet_tcp()?;
    let len = match applet.poll_fill(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(data)) => {
            stack.push_bytes(data)?;
            data.len()
        }
        Poll::Ready(Err(_)) => {
            stack.push_bytes(b"")?;
            0
        }
        Poll::Pending => {
            stack.push_nil();
            0
        }
    };
    applet.consume(len);
    Ok(Ret::Count(1))
}

fn send(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "send")?;
    let lent = stack.lent(A)?;
    send_now(stack, lent, 2)
}
