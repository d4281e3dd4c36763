//! Requests that ask whether the proxy itself is well: answered before any rule, and not logged.
//!
//! Source: configuration.txt section 4.2, `monitor-uri` and `monitor fail`.

use super::{Conn, fault::Fault};
use crate::{error_pages, log::LevelOverride, txn::Direction};

/// The answer, if this request is one of them.
pub(super) fn answer(conn: &mut Conn) -> Option<Fault> {
    let frontend = conn.txn.frontend.clone();
    let monitor = frontend.monitor.as_ref().filter(|monitor| asks(conn.txn.req.uri(), &monitor.uri))?;
    let fails = monitor.fail.iter().any(|cond| cond.holds(&mut conn.txn, Direction::Request));
    conn.txn.log.level = Some(LevelOverride::Silent);
    let status = if fails { 503 } else { 200 };
    let reply = error_pages::reply(status, Direction::Request, &mut conn.txn);
    Some(Fault::Reply(Box::new(reply), *b"LR"))
}

/// Whether a request target is that URI; one that begins with a slash stands for any scheme and host.
fn asks(target: &[u8], uri: &str) -> bool {
    if !uri.starts_with('/') || target.starts_with(b"/") {
        return target == uri.as_bytes();
    }
    let behind_scheme = target.windows(3).position(|three| three == b"://").map(|at| &target[at + 3..]);
    let path =
        behind_scheme.and_then(|rest| rest.iter().position(|byte| *byte == b'/').map(|at| &rest[at..]));
    path == Some(uri.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::asks;

    #[test]
    fn the_whole_target_counts_and_scheme_and_host_do_not() {
        for (target, uri, expected) in [
            ("/alive", "/alive", true),
            ("/alive?x", "/alive", false),
            ("/alive?x", "/alive?x", true),
            ("/alive/", "/alive", false),
            ("http://a.example/alive", "/alive", true),
            ("http://a.example", "/alive", false),
            ("*", "*", true),
            ("http://a/b", "http://a/b", true),
            ("/b", "http://a/b", false),
        ] {
            assert_eq!(asks(target.as_bytes(), uri), expected, "{target} {uri}");
        }
    }
}
