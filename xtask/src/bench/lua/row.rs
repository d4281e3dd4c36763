//! The rows: a question, how it is measured, and the goal.

use super::super::row::Setup;

/// Which way a figure is good.
pub(super) enum Better {
    Less,
    More,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) how: How,
    /// As the project set it.
    pub(super) goal: &'static str,
}

/// How a row is measured.
pub(super) enum How {
    /// A script prints the figure; it counts times `scale`.
    Script { script: &'static str, forced_yield: Option<&'static str>, scale: f64, plain: bool },
    /// CPU microseconds of a request; the script hands the origin's status line on.
    Request(&'static str),
    /// The same, less that of another configuration.
    Added { with: &'static str, without: &'static str },
    /// Bytes of memory that a request takes while it waits in Lua.
    Parked,
    /// Bytes of memory that a sleeping task takes.
    Task,
    /// CPU of a request with two threads, over that with one.
    TwoThreadsCpu { one: &'static str, two: &'static str },
    /// CPU microseconds that a server's event takes with so many subscribers.
    Event { subscribers: u32 },
    /// Requests a second with two threads, over those with one.
    TwoThreadsRate { one: &'static str, two: &'static str },
}

impl Row {
    /// Whether HAProxy's side can be measured: version 2.6 has no events for scripts.
    pub(super) fn beside_haproxy(&self) -> bool {
        !matches!(self.how, How::Event { .. })
    }

    /// After how many instructions a hook runs in the row's proxies.
    pub(super) fn hook(&self) -> Option<&'static str> {
        match self.how {
            How::Script { forced_yield, .. } => forced_yield,
            _ => None,
        }
    }

    /// Whether a plain interpreter can run it, too.
    pub(super) fn plain(&self) -> bool {
        matches!(self.how, How::Script { plain: true, .. })
    }
}

/// The setup of a script that asks the origin and puts what it was answered into `x-mark`.
pub(super) fn asking(config: &'static str) -> Setup {
    Setup { proof: Some("x-mark: 200\r\n"), ..setup(config) }
}

/// The setup of a configuration that needs no more.
pub(super) fn setup(config: &'static str) -> Setup {
    Setup { config, ..Setup::default() }
}

const fn loops(name: &'static str, forced_yield: Option<&'static str>, goal: &'static str) -> Row {
    let how = How::Script { script: "lua/loops.lua", forced_yield, scale: 1e-6, plain: true };
    Row { name, unit: "M turns/s", better: Better::More, how, goal }
}

const fn script(
    name: &'static str,
    unit: &'static str,
    script: &'static str,
    scale: f64,
    plain: bool,
    goal: &'static str,
) -> Row {
    let how = How::Script { script, forced_yield: None, scale, plain };
    Row { name, unit, better: Better::Less, how, goal }
}

const fn requests(name: &'static str, how: How, goal: &'static str) -> Row {
    Row { name, unit: "CPU us/req", better: Better::Less, how, goal }
}

const fn event(name: &'static str, subscribers: u32, goal: &'static str) -> Row {
    Row { name, unit: "CPU us/event", better: Better::Less, how: How::Event { subscribers }, goal }
}

/// All of them.
pub(super) const ROWS: &[Row] = &[
    loops("loop, forced-yield 10", Some("10"), "at least HAProxy's"),
    loops("loop, forced-yield 100", Some("100"), "at least HAProxy's"),
    loops("loop, forced-yield 500", Some("500"), "at least HAProxy's"),
    loops("loop, forced-yield 1000", Some("1000"), "at least HAProxy's"),
    loops("loop, forced-yield 5000", Some("5000"), "at least HAProxy's"),
    loops("loop, forced-yield 10000", Some("10000"), "at least HAProxy's"),
    loops("loop, forced-yield 100000", Some("100000"), "at least HAProxy's"),
    loops("loop, forced-yield unset", None, ">= 0.97 of plain"),
    Row {
        name: "calls, tables, strings",
        unit: "M turns/s",
        better: Better::More,
        how: How::Script { script: "lua/mixed.lua", forced_yield: None, scale: 1e-6, plain: true },
        goal: ">= 0.97 of plain",
    },
    requests(
        "action adds",
        How::Added { with: "lua_action.cfg", without: "proxy.cfg" },
        "<= 0.3 of HAProxy's",
    ),
    requests(
        "fetch and converter add",
        How::Added { with: "lua_fetch.cfg", without: "proxy.cfg" },
        "<= 0.25 of HAProxy's",
    ),
    requests(
        "service adds",
        How::Added { with: "lua_service.cfg", without: "return.cfg" },
        "<= 0.35 of HAProxy's",
    ),
    script("core.yield", "CPU ns", "lua/yield.lua", 1e9, false, "<= 150 ns"),
    script("core.msleep(1), p50", "ms", "lua/msleep.lua", 1e3, false, "<= 1.4 ms"),
    requests("action by core.tcp", How::Request("lua_tcp.cfg"), "<= 0.65 of HAProxy's"),
    requests("the same unclosed, large heap", How::Request("lua_heap.cfg"), "<= 0.03 of HAProxy's"),
    requests("action by core.httpclient", How::Request("lua_httpclient.cfg"), "<= 0.5 of HAProxy's"),
    script("s .. s, 1000 x 1000", "CPU ms", "lua/concat.lua", 1e3, true, "<= 0.3 of HAProxy's"),
    script("core.concat, 1000 x 1000", "CPU ms", "lua/core_concat.lua", 1e3, false, "<= 0.5 of HAProxy's"),
    event("server event, 1 subscriber", 1, "<= 0.4 of HAProxy's, of which 2.6 has none"),
    event("server event, 100 subscribers", 100, "<= 0.15 of HAProxy's, of which 2.6 has none"),
    Row {
        name: "sleeping task",
        unit: "bytes",
        better: Better::Less,
        how: How::Task,
        goal: "<= 0.9 of HAProxy's",
    },
    Row {
        name: "request in core.sleep",
        unit: "bytes",
        better: Better::Less,
        how: How::Parked,
        goal: "<= 0.5 of HAProxy's",
    },
    Row {
        name: "lua-load, CPU of two threads",
        unit: "times one thread",
        better: Better::Less,
        how: How::TwoThreadsCpu { one: "lua_heavy_1.cfg", two: "lua_heavy_2.cfg" },
        goal: "1",
    },
    Row {
        name: "lua-load-per-thread, rate of two",
        unit: "times one thread",
        better: Better::More,
        how: How::TwoThreadsRate { one: "lua_heavy_each_1.cfg", two: "lua_heavy_each_2.cfg" },
        goal: ">= 1.9",
    },
];
