//! Commands that change a server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{AdminContext, Answer};
use crate::{
    backend::server::{AdminRequest, OpCause, OpState, Server, Updater, WeightChange},
    config::Proxy,
    host::Addr,
};

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
                     check-addr | check-port | fqdn | health | ssl | state | weight";
const STATIC_WEIGHTS: &str =
    "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.";
const NO_AGENT: &str = "agent checks are not enabled on this server.";

/// `set server <backend>/<server> …`
pub(super) fn set(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let (proxy, server) = match cx.server(words.first()) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    match &words[1..] {
        ["weight", rest @ ..] => weight(rest, proxy, server, cx),
        ["state", rest @ ..] => {
            let request = match rest {
                ["ready", ..] => AdminRequest::Ready,
                ["drain", ..] => AdminRequest::Drain,
                ["maint", ..] => AdminRequest::Maint,
                _ => return Answer::error("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
            };
            server.set_admin(request, Default::default(), &cx.change(proxy));
            Answer::done()
        }
        ["health", rest @ ..] => {
            let to = match rest {
                ["up", ..] => OpState::Running,
                ["stopping", ..] => OpState::Stopping,
                ["down", ..] => OpState::Stopped,
                _ => return Answer::error("'set server <srv> health' expects 'up', 'stopping', or 'down'."),
            };
            server.set_health(to, OpCause::Cli, &cx.change(proxy));
            Answer::done()
        }
        ["addr", rest @ ..] => addr(rest, proxy, server, cx),
        ["check-port", rest @ ..] => check_port(rest, server),
        ["agent" | "agent-addr" | "agent-port" | "agent-send", ..] => Answer::error(NO_AGENT),
        ["fqdn", ..] => Answer::error("set server <b>/<s> fqdn failed because no resolution is configured."),
        ["ssl", ..] => {
            Answer::error("'set server <srv> ssl' cannot be set.  default-server should define ssl settings")
        }
        ["check-addr", ..] => Answer::error("'set server <srv> check-addr' is not supported yet."),
        _ => Answer::error(USAGE),
    }
}

/// `set weight <backend>/<server> <weight>[%]`
pub(super) fn set_weight(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    match cx.server(words.first()) {
        Ok((proxy, server)) => weight(&words[1..], proxy, server, cx),
        Err(answer) => answer,
    }
}

/// `get weight <backend>/<server>`
pub(super) fn get_weight(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    match cx.server(words.first()) {
        Ok((_, server)) => {
            let present = server.status(cx.now).user_weight;
            Answer::text(format!("{present} (initial {})\n", server.initial_weight()))
        }
        Err(answer) => answer,
    }
}

/// `set maxconn server <backend>/<server> <n>`
pub(super) fn set_maxconn(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let (proxy, server) = match cx.server(words.first()) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let Some(text) = words.get(1) else { return Answer::error("Require <maxconn>.") };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match text.split_at(digits) {
        ("", _) => Answer::bare_error("maxconn string empty or preceded by garbage"),
        (_, "") => match text.parse() {
            Ok(maxconn) => {
                server.set_maxconn(maxconn, &cx.change(proxy));
                Answer::done()
            }
            Err(_) => Answer::bare_error("maxconn out of range"),
        },
        _ => Answer::bare_error("Trailing garbage in maxconn string"),
    }
}

/// `enable` and `disable` of a server, its health checks, its agent.
pub(super) fn switch(on: bool, what: &str, words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let (proxy, server) = match cx.server(words.first()) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    match what {
        "server" => {
            let request = if on { AdminRequest::Enable } else { AdminRequest::Disable };
            server.set_admin(request, Default::default(), &cx.change(proxy));
        }
        "health" if on && !server.config.check => {
            return Answer::error("Health check was not configured on this server, cannot enable.");
        }
        "health" => server.set_checks_enabled(on),
        _ if on => return Answer::error("Agent was not configured on this server, cannot enable."),
        _ => {}
    }
    Answer::done()
}

fn weight(words: &[&str], proxy: &Arc<Proxy>, server: &Arc<Server>, cx: &AdminContext<'_>) -> Answer {
    let Some(text) = words.first() else { return Answer::error("Require <weight> or <weight%>.") };
    let (sign, digits) = text.strip_prefix('-').map_or((1, *text), |digits| (-1, digits));
    let end = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = digits.split_at(end);
    if number.is_empty() {
        return Answer::bare_error("Empty weight string empty or preceded by garbage");
    }
    let number = number.parse::<i64>().unwrap_or(i64::MAX) * sign;
    let change = match unit {
        "" => match u32::try_from(number) {
            Ok(n) if n <= 256 => WeightChange::Absolute(n),
            _ => return Answer::error("Absolute weight can only be between 0 and 256 inclusive."),
        },
        "%" => match u32::try_from(number.min(i64::from(u32::MAX))) {
            Ok(percent) => WeightChange::Percent(percent),
            Err(_) => return Answer::error("Relative weight must be positive."),
        },
        _ => return Answer::bare_error("Trailing garbage in weight string"),
    };
    let whole = matches!(change, WeightChange::Absolute(n) if n == 0 || n == server.initial_weight())
        || matches!(change, WeightChange::Percent(0 | 100));
    if !whole && !proxy.balance.is_dynamic() {
        return Answer::error(STATIC_WEIGHTS);
    }
    server.set_weight(change, &cx.change(proxy));
    Answer::done()
}

fn check_port(words: &[&str], server: &Server) -> Answer {
    if !server.config.check {
        return Answer::bare_error("health checks are not enabled on this server");
    }
    match words.first().map(|text| text.parse::<i64>()) {
        None => Answer::error("set server <b>/<s> check-port requires a port."),
        Some(Err(_)) => Answer::bare_error("provided port is not an integer"),
        Some(Ok(port)) => match u16::try_from(port) {
            Ok(port) => {
                server.set_check_port(port);
                Answer::done()
            }
            Err(_) => Answer::bare_error("provided port is invalid"),
        },
    }
}

/// `addr <ip> [port <port>]`. Both are looked at before either is changed.
fn addr(words: &[&str], proxy: &Arc<Proxy>, server: &Arc<Server>, cx: &AdminContext<'_>) -> Answer {
    let by = Updater::Cli.text();
    let (text, port) = match words {
        [] => return Answer::error("set server <b>/<s> addr requires an address and optionally a port."),
        [ip, "port", port, ..] => (ip, Some(*port)),
        [ip, "port"] => (ip, Some("")),
        [ip, ..] => (ip, None),
    };
    let Ok(ip) = text.parse::<IpAddr>() else {
        return Answer::error(format!("Invalid addr '{text}' by {by}"));
    };
    let old = server.addr();
    let (old_ip, old_port) = match &*old {
        Addr::Ip(addr) => (addr.ip().to_string(), addr.port()),
        other => (other.to_string(), 0),
    };
    let new_port = match port.map(str::parse::<u16>) {
        None => old_port,
        Some(_) if port.is_some_and(|p| p.starts_with(['+', '-'])) => {
            return Answer::error(format!("port mapping is not supported yet by {by}"));
        }
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            let port = port.unwrap_or_default();
            return Answer::error(format!("problem converting port '{port}' to an int by {by}"));
        }
    };
    server.set_addr(Addr::Ip(SocketAddr::new(ip, new_port)), Updater::Cli, &cx.change(proxy));
    let mut said = if old_ip == ip.to_string() {
        "no need to change the addr".to_owned()
    } else {
        format!("IP changed from '{old_ip}' to '{ip}'")
    };
    match port {
        None => {}
        Some(_) if new_port == old_port => said.push_str(", no need to change the port"),
        Some(_) => said.push_str(&format!(", port changed from '{old_port}' to '{new_port}'")),
    }
    Answer::text(format!("{said} by {by}\n"))
}
