//! What is measured: one row a question, each with its configuration in `xtask/bench`.

use clap::ValueEnum;

/// A row of the table, by its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Plain keep-alive proxying of a small GET.
    A,
    /// The same with one Lua action that reads a header, sets a variable and sets a header.
    B,
    /// An HTTP service in Lua.
    C,
    /// A header from a Lua fetch through a Lua converter.
    D,
    /// One SPOE NOTIFY a request.
    E,
    /// TCP mode, server to client.
    F,
    /// Memory of an idle keep-alive connection.
    G,
}

/// How a peer is started: its configuration, and what is asked of it before it is measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// A file of `xtask/bench`.
    pub(super) config: &'static str,
    /// What the answer to `GET /echo` (the origin shows the request it got) must contain: a proxy that
    /// leaves the work out is not fast.
    pub(super) proof: Option<&'static str>,
    /// Environment beside the addresses.
    pub(super) env: Vec<(&'static str, String)>,
    /// It may use every core, not only that of the measurement.
    pub(super) every_core: bool,
    /// What it says on standard error is of no interest: a line for each event.
    pub(super) silent: bool,
}

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    Bulk,
    Memory,
}

impl Row {
    /// What stands in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::A => "(a) proxy",
            Self::B => "(b) Lua action",
            Self::C => "(c) Lua service",
            Self::D => "(d) Lua fetch, converter",
            Self::E => "(e) SPOE NOTIFY",
            Self::F => "(f) TCP bulk",
            Self::G => "(g) idle connection",
        }
    }

    /// What it counts.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::F => Kind::Bulk,
            Self::G => Kind::Memory,
            Self::A | Self::B | Self::C | Self::D | Self::E => Kind::Requests,
        }
    }

    /// How its peers are started.
    pub(super) fn setup(self) -> Setup {
        let proof = match self {
            Self::A | Self::G => Some("GET /echo HTTP/1.1\r\n"),
            Self::B => Some("x-lua: value/value\r\n"),
            Self::C => Some("hello from lua, GET /echo value"),
            Self::D => Some("x-lua: [value]\r\n"),
            Self::E => Some("x-score: 42\r\n"),
            Self::F => None,
        };
        Setup { config: self.config(), proof, ..Setup::default() }
    }

    /// Its configuration.
    fn config(self) -> &'static str {
        match self {
            Self::A | Self::G => "proxy.cfg",
            Self::B => "lua_action.cfg",
            Self::C => "lua_service.cfg",
            Self::D => "lua_fetch.cfg",
            Self::E => "spoe.cfg",
            Self::F => "tcp.cfg",
        }
    }
}
