//! Keywords of `global` about machinery that HAProxy has and this proxy has not: pollers, pipes, pools, zlib, HTTP/2
//! windows. They change how HAProxy spends its time and memory, never what a client sees, so a line that is well-formed
//! is accepted and has no effect; configurations are full of them.
//!
//! Source: configuration.txt section 3.2.

use super::{ParseError, global::GlobalLine, number, words};

/// What may follow a keyword.
#[derive(Clone, Copy)]
enum Shape {
    Nothing,
    /// One of `on`, `off` and perhaps others.
    Switch(&'static [&'static str]),
    /// A number in these bounds.
    Number(i64, i64),
    Anything,
}

const NUMBER: Shape = Shape::Number(i64::MIN, i64::MAX);
const ON_OFF: Shape = Shape::Switch(&["on", "off"]);

const KEYWORDS: &[(&str, Shape)] = &[
    ("busy-polling", Shape::Nothing),
    ("cpu-map", Shape::Anything),
    ("cpu-policy", Shape::Anything),
    ("cpu-set", Shape::Anything),
    ("expose-deprecated-directives", Shape::Nothing),
    ("expose-experimental-directives", Shape::Nothing),
    ("insecure-fork-wanted", Shape::Nothing),
    ("insecure-setuid-wanted", Shape::Nothing),
    ("maxcompcpuusage", Shape::Number(0, 100)),
    ("maxcomprate", NUMBER),
    ("maxpipes", NUMBER),
    ("maxzlibmem", NUMBER),
    ("no-memory-trimming", Shape::Nothing),
    ("noepoll", Shape::Nothing),
    ("noevports", Shape::Nothing),
    ("nogetaddrinfo", Shape::Nothing),
    ("nokqueue", Shape::Nothing),
    ("noktls", Shape::Nothing),
    ("nopoll", Shape::Nothing),
    ("noreuseport", Shape::Nothing),
    ("nosplice", Shape::Nothing),
    ("numa-cpu-mapping", Shape::Nothing),
    ("prealloc-fd", Shape::Nothing),
    ("set-dumpable", Shape::Nothing),
    ("ssl-dh-param-file", Shape::Anything),
    ("strict-limits", Shape::Nothing),
    ("tune.applet.zero-copy-forwarding", ON_OFF),
    ("tune.buffers.limit", NUMBER),
    ("tune.buffers.reserve", NUMBER),
    ("tune.comp.maxlevel", Shape::Number(1, 9)),
    ("tune.disable-fast-forward", Shape::Nothing),
    ("tune.disable-zero-copy-forwarding", Shape::Nothing),
    ("tune.epoll.mask-events", Shape::Anything),
    ("tune.events.max-events-at-once", NUMBER),
    ("tune.fd.edge-triggered", ON_OFF),
    ("tune.h1.zero-copy-fwd-recv", ON_OFF),
    ("tune.h1.zero-copy-fwd-send", ON_OFF),
    ("tune.h2.header-table-size", NUMBER),
    ("tune.h2.initial-window-size", NUMBER),
    ("tune.h2.max-concurrent-streams", NUMBER),
    ("tune.h2.max-frame-size", Shape::Number(16_384, 16_777_215)),
    ("tune.h2.zero-copy-fwd-send", ON_OFF),
    ("tune.http.cookielen", NUMBER),
    ("tune.http.logurilen", NUMBER),
    ("tune.idle-pool.shared", ON_OFF),
    ("tune.idletimer", Shape::Number(0, 65_535)),
    ("tune.listener.default-shards", Shape::Anything),
    ("tune.listener.multi-queue", Shape::Switch(&["on", "fair", "off"])),
    ("tune.max-checks-per-thread", NUMBER),
    ("tune.max-rules-at-once", NUMBER),
    ("tune.maxaccept", NUMBER),
    ("tune.maxpollevents", NUMBER),
    ("tune.memory.hot-size", NUMBER),
    ("tune.pattern.cache-size", NUMBER),
    ("tune.peers.max-updates-at-once", NUMBER),
    ("tune.pipesize", NUMBER),
    ("tune.pool-high-fd-ratio", Shape::Number(0, 100)),
    ("tune.pool-low-fd-ratio", Shape::Number(0, 100)),
    ("tune.pt.zero-copy-forwarding", ON_OFF),
    ("tune.rcvbuf.backend", NUMBER),
    ("tune.rcvbuf.client", NUMBER),
    ("tune.rcvbuf.frontend", NUMBER),
    ("tune.rcvbuf.server", NUMBER),
    ("tune.recv_enough", NUMBER),
    ("tune.runqueue-depth", NUMBER),
    ("tune.sched.low-latency", ON_OFF),
    ("tune.sndbuf.backend", NUMBER),
    ("tune.sndbuf.client", NUMBER),
    ("tune.sndbuf.frontend", NUMBER),
    ("tune.sndbuf.server", NUMBER),
    ("tune.ssl.cachesize", NUMBER),
    ("tune.ssl.default-dh-param", Shape::Number(1024, i64::MAX)),
    ("tune.ssl.maxrecord", NUMBER),
    ("tune.ssl.ssl-ctx-cache-size", NUMBER),
    ("tune.zlib.memlevel", Shape::Number(1, 9)),
    ("tune.zlib.windowsize", Shape::Number(8, 15)),
];

/// Those that `no` may stand before.
pub(super) const NEGATABLE: [&str; 5] =
    ["busy-polling", "insecure-fork-wanted", "numa-cpu-mapping", "set-dumpable", "strict-limits"];

/// Handles one of these lines; `None` if it is another's.
pub(super) fn line(line: &GlobalLine<'_>) -> Option<Result<(), ParseError>> {
    let name = line.words[0];
    let (_, shape) = KEYWORDS.iter().find(|(known, _)| *known == name)?;
    Some(shape.check(name, line.words))
}

/// All of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYWORDS.iter().map(|(name, _)| *name)
}

impl Shape {
    fn check(self, name: &str, words: &[&str]) -> Result<(), ParseError> {
        let at = words.len().min(2) - 1;
        let value = words.get(1).copied().unwrap_or_default();
        match self {
            Self::Anything => return Ok(()),
            Self::Nothing => return words::at_most(words, 0),
            Self::Switch(known) if known.contains(&value) => {}
            Self::Switch([first @ .., last]) => {
                let first = first.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
                let text = format!("'{name}' expects either {first} or '{last}' but got '{value}'.");
                return Err(ParseError::at(at, text));
            }
            Self::Switch([]) => {}
            Self::Number(low, high) => match number::signed(value) {
                Some(number) if (low..=high).contains(&number) => {}
                _ => return Err(ParseError::at(at, expected(name, low, high))),
            },
        }
        words::at_most(words, 1)
    }
}

fn expected(name: &str, low: i64, high: i64) -> String {
    match (low, high) {
        (i64::MIN, _) => format!("'{name}' expects an integer argument."),
        (_, i64::MAX) => format!("'{name}' expects a value >= {low}."),
        _ => format!("'{name}' expects a numeric value between {low} and {high}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_lines_are_accepted_and_others_told() {
        let check = |words: &[&str]| {
            let (_, shape) = KEYWORDS.iter().find(|(known, _)| *known == words[0]).expect("a known keyword");
            shape.check(words[0], words).map_err(|error| error.message)
        };
        assert_eq!(check(&["tune.maxaccept", "64"]), Ok(()));
        assert_eq!(check(&["nosplice"]), Ok(()));
        assert_eq!(check(&["cpu-map", "auto:1/1-2", "0-1"]), Ok(()));
        for (words, text) in [
            (&["tune.maxaccept", "x"][..], "'tune.maxaccept' expects an integer argument."),
            (&["tune.maxaccept"], "'tune.maxaccept' expects an integer argument."),
            (&["tune.maxaccept", "4", "5"], "'tune.maxaccept' cannot handle unexpected argument '5'."),
            (&["nosplice", "x"], "'nosplice' cannot handle unexpected argument 'x'."),
            (&["tune.ssl.default-dh-param", "512"], "'tune.ssl.default-dh-param' expects a value >= 1024."),
            (
                &["tune.h2.max-frame-size", "1"],
                "'tune.h2.max-frame-size' expects a numeric value between 16384 and 16777215.",
            ),
            (
                &["tune.idle-pool.shared", "foo"],
                "'tune.idle-pool.shared' expects either 'on' or 'off' but got 'foo'.",
            ),
        ] {
            assert_eq!(check(words), Err(text.to_owned()), "{words:?}");
        }
    }
}
