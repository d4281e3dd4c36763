//! The class `Socket`: client connections that wait without blocking the worker.
//!
//! The connection itself is in its worker's table; the object holds its number there, so using it on another
//! thread finds nothing.
//!
//! Source: lua-api "Socket class".

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::api::core::may_wait;
use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{HostError, Target};
use crate::op::{self, Connect, Op, Pattern, Receive, Send, SocketEntry, SocketState};
use crate::raw::stack::{Failure, Flow, Ret, Stack};

const S: Class = Class::Socket;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Socket",
    methods: &[
        Method::new("connect", "(self, address [, port])", |stack| connect(stack, "connect", false)).waits(),
        Method::new("connect_ssl", "(self, address, port)", |stack| connect(stack, "connect_ssl", true))
            .waits(),
        Method::new("send", "(self, data [, start [, end]])", send).waits(),
        Method::new("receive", "(self [, pattern [, prefix]])", receive).waits(),
        Method::new("close", "(self)", close),
        Method::new("settimeout", "(self, value)", settimeout),
        Method::new("setoption", "(self, option [, value])", |_| Ok(Ret::Count(0))),
        Method::new("getpeername", "(self)", |stack| name(stack, "getpeername", false)),
        Method::new("getsockname", "(self)", |stack| name(stack, "getsockname", true)),
    ],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Socket"), Method::new("__gc", "(self)", collect)],
};

/// HAProxy's time to connect when the script sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `core.tcp()`; nothing in body and init, as in HAProxy.
pub(crate) fn new(stack: &mut Stack<'_>) -> Flow {
    stack.need(0, "tcp")?;
    if stack.context().is_start() {
        return Ok(Ret::Count(0));
    }
    let number = stack.vm().new_handle();
    stack.push_object(S, number)?;
    stack.worker().sockets.borrow_mut().insert(number);
    stack.vm().reaper.made(stack.vm());
    Ok(Ret::Count(1))
}

fn with<R>(stack: &mut Stack<'_>, f: impl FnOnce(&mut SocketEntry) -> R) -> Result<R, Failure> {
    let number = stack.object(1, S)?;
    let worker = stack.worker();
    let mut table = worker.sockets.borrow_mut();
    let entry =
        table.get(number).ok_or_else(|| Failure::error("connect: cannot use socket on other thread"))?;
    Ok(f(entry))
}

fn connect(stack: &mut Stack<'_>, function: &str, tls: bool) -> Flow {
    if tls {
        stack.need(3, function)?;
    } else {
        stack.need_between(2, 3, function)?;
    }
    let number = stack.object(1, S)?;
    let address = stack.text(2)?;
    let port = if stack.is_nil(3) { None } else { Some(stack.int(3)?) };
    let target =
        parse_target(&address, port).map_err(|text| Failure::Error(format!("connect: {text}").into()))?;
    may_wait(stack, function)?;
    let timeout = with(stack, |entry| entry.timeout)?.unwrap_or(CONNECT_TIMEOUT);
    let worker = stack.worker();
    let sockets = worker.core.sockets().ok_or(HostError::Unsupported("sockets"))?;
    let connecting = sockets.connect(target, tls);
    let deadline = op::deadline(&worker, Some(timeout));
    Ok(Ret::Block(Op::Connect(Box::new(Connect { socket: number, address, connecting, deadline }))))
}

/// An address in HAProxy's notation, or a host name, which HAProxy does not resolve at run time.
pub(crate) fn parse_target(address: &str, port: Option<i64>) -> Result<Target, String> {
    let bad = || format!("cannot parse destination address '{address}'");
    if let Some(path) = address.strip_prefix("unix@").or_else(|| address.starts_with('/').then_some(address))
    {
        return Ok(Target::Unix(path.as_bytes().to_vec()));
    }
    if let Some(name) = address.strip_prefix("abns@") {
        return Ok(Target::Unix([b"\0", name.as_bytes()].concat()));
    }
    let plain = address.strip_prefix("ipv4@").or_else(|| address.strip_prefix("ipv6@")).unwrap_or(address);
    let plain = plain.trim_end_matches(':');
    if let Ok(whole) = plain.parse::<SocketAddr>()
        && (plain.starts_with('[') || whole.is_ipv4())
    {
        return Ok(Target::Ip(whole));
    }
    if let Ok(ip) = plain.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(Target::Ip((ip, port_of(port)?).into()));
    }
    let (name, port) = match plain.rsplit_once(':') {
        Some((name, digits)) => (name, Some(digits.parse().map_err(|_| bad())?)),
        None => (plain, port),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(bad());
    }
    Ok(Target::Name(name.to_owned(), port_of(port)?))
}

fn port_of(port: Option<i64>) -> Result<u16, String> {
    let port = port.ok_or("port missing")?;
    u16::try_from(port).map_err(|_| format!("bad port {port}"))
}

fn send(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 4, "send")?;
    let number = stack.object(1, S)?;
    let data = stack.bytes(2)?;
    let start = if stack.is_nil(3) { 1 } else { stack.int(3)? };
    let end = if stack.is_nil(4) { -1 } else { stack.int(4)? };
    let data = substring(&data, start, end).to_vec();
    may_wait(stack, "send")?;
    let timeout = with(stack, |entry| entry.timeout)?;
    let deadline = op::deadline(&stack.worker(), timeout);
    Ok(Ret::Block(Op::Send(Box::new(Send { socket: number, data, sent: 0, deadline }))))
}

/// `string.sub`'s idea of a range.
fn substring(data: &[u8], start: i64, end: i64) -> &[u8] {
    let len = data.len() as i64;
    let from = if start < 0 { (len + start).max(0) } else { (start - 1).max(0) };
    let to = if end < 0 { len + end + 1 } else { end.min(len) };
    if from >= to {
        return b"";
    }
    &data[from as usize..to as usize]
}

fn receive(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 3, "receive")?;
    let number = stack.object(1, S)?;
    let pattern = pattern(stack)?;
    let prefix = if stack.is_nil(3) { Vec::new() } else { stack.bytes(3)?.into_owned() };
    may_wait(stack, "receive")?;
    let timeout = with(stack, |entry| entry.timeout)?;
    let deadline = op::deadline(&stack.worker(), timeout);
    Ok(Ret::Block(Op::Receive(Box::new(Receive { socket: number, pattern, prefix, deadline }))))
}

fn pattern(stack: &Stack<'_>) -> Result<Pattern, Failure> {
    if stack.is_nil(2) {
        return Ok(Pattern::Line);
    }
    let text = stack.bytes(2)?;
    match &*text {
        b"*a" => return Ok(Pattern::All),
        b"*l" => return Ok(Pattern::Line),
        _ => {}
    }
    let count = stack.int(2).ok().and_then(|count| usize::try_from(count).ok());
    count.map(Pattern::Bytes).ok_or_else(|| Failure::Arg(2, "Unsupported pattern.".into()))
}

fn close(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "close")?;
    with(stack, |entry| entry.state = SocketState::Closed)?;
    Ok(Ret::Count(0))
}

fn settimeout(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "settimeout")?;
    let seconds = stack.number(2)?;
    if !(0.0..=f64::from(u32::MAX)).contains(&seconds) {
        return Err(Failure::error("settimeout: cannot set negatives values"));
    }
    let timeout = Duration::from_secs_f64(seconds).max(Duration::from_millis(1));
    with(stack, |entry| entry.timeout = Some(timeout))?;
    stack.push_int(1);
    Ok(Ret::Count(1))
}

fn name(stack: &mut Stack<'_>, function: &str, own: bool) -> Flow {
    stack.need(1, function)?;
    let address = with(stack, |entry| match &entry.state {
        SocketState::Connected(socket) if own => socket.local_addr(),
        SocketState::Connected(socket) => socket.peer_addr(),
        _ => None,
    })?;
    match address {
        Some(address) => stack.push_bytes(address.to_string().as_bytes())?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// Closes the connection of an object that the script dropped; on another thread's worker later.
fn collect(stack: &mut Stack<'_>) -> Flow {
    if let Some(number) = stack.handle(1) {
        stack.vm().drop_socket(number);
    }
    Ok(Ret::Count(0))
}

#[cfg(test)]
mod tests {
    use super::{parse_target, substring};
    use crate::host::Target;

    #[test]
    fn addresses_in_haproxys_notation() {
        let ip = |text: &str| Ok(Target::Ip(text.parse().unwrap()));
        assert_eq!(parse_target("127.0.0.1", Some(80)), ip("127.0.0.1:80"));
        assert_eq!(parse_target("127.0.0.1:81", None), ip("127.0.0.1:81"));
        assert_eq!(parse_target("::1", Some(80)), ip("[::1]:80"));
        assert_eq!(parse_target("[::1]:82", None), ip("[::1]:82"));
        assert_eq!(parse_target("/run/x.sock", None), Ok(Target::Unix(b"/run/x.sock".to_vec())));
        assert_eq!(parse_target("abns@x", None), Ok(Target::Unix(b"\0x".to_vec())));
        assert!(parse_target("127.0.0.1", None).is_err());
        assert_eq!(parse_target("localhost", Some(80)), Ok(Target::Name("localhost".into(), 80)));
        assert_eq!(parse_target("a-b.example:81", None), Ok(Target::Name("a-b.example".into(), 81)));
        assert_eq!(parse_target("localhost", None), Err("port missing".into()));
        assert!(parse_target("not a name", Some(80)).is_err());
        assert!(parse_target("", Some(80)).is_err());
        assert!(parse_target("127.0.0.1", Some(70_000)).is_err());
    }

    #[test]
    fn ranges_are_those_of_string_sub() {
        assert_eq!(substring(b"hello", 1, -1), b"hello");
        assert_eq!(substring(b"hello", 2, 3), b"el");
        assert_eq!(substring(b"hello", -3, -2), b"ll");
        assert_eq!(substring(b"hello", 4, 2), b"");
        assert_eq!(substring(b"hello", -9, 99), b"hello");
    }
}
