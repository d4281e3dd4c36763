//! Load balancing.
//!
//! A backend's `Balancer` keeps a table of the servers that can be chosen. The table is rebuilt
//! at the next choice after a server's state or weight changed, found out by comparing two
//! numbers. Choosing takes a slot in the same step, so a choice never exceeds `maxconn`.
//!
//! | algorithm | table | a full server |
//! |---|---|---|
//! | `roundrobin`, `static-rr` | heap of turns (stride scheduling) | is passed over |
//! | `leastconn`, `first` | list | is passed over |
//! | `random` | list of running sums | the other draws, then the list |
//! | hashes | map of one entry a unit of weight | is waited for |

mod key;
mod table;

use std::sync::Arc;

use parking_lot::Mutex;

use super::server::Server;
use crate::{config::Proxy, sample::expr::Expr, txn::Txn};

/// `balance`.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Balance {
    /// Smooth weighted round robin, weights changeable while running.
    #[default]
    RoundRobin,
    /// The same with fixed weights.
    StaticRr,
    /// Fewest connections.
    LeastConn,
    /// First server with a free slot, by id.
    First,
    /// Random, better of `draws`.
    Random {
        /// How many servers to draw.
        draws: u32,
    },
    /// Hash of the client address.
    Source,
    /// Hash of the URI.
    Uri {
        /// The query string counts too.
        whole: bool,
        /// Bytes that count; 0 for all.
        len: usize,
        /// Directory levels that count; 0 for all.
        depth: usize,
    },
    /// Hash of a header.
    Hdr(String),
    /// Hash of an URL parameter.
    UrlParam(String),
    /// Hash of an expression.
    Hash(Expr),
}

impl Balance {
    /// The algorithm's name as `show stat` has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::StaticRr => "static-rr",
            Self::LeastConn => "leastconn",
            Self::First => "first",
            Self::Random { .. } => "random",
            Self::Source => "source",
            Self::Uri { .. } => "uri",
            Self::Hdr(_) => "hdr",
            Self::UrlParam(_) => "url_param",
            Self::Hash(_) => "hash",
        }
    }

    /// Whether a request's hash decides.
    pub(crate) fn is_hashed(&self) -> bool {
        matches!(self, Self::Source | Self::Uri { .. } | Self::Hdr(_) | Self::UrlParam(_) | Self::Hash(_))
    }

    /// Whether weights can be changed freely while running (else between nothing and all only).
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        matches!(self, Self::RoundRobin | Self::LeastConn | Self::First | Self::Random { .. })
    }
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice {
    /// The hash of the request; `None` falls back to taking turns.
    pub(crate) hash: Option<u32>,
    /// Chance, for `random`.
    pub(crate) random: u64,
}

impl Choice {
    /// Computes what this backend's algorithm needs and nothing else.
    pub(crate) fn of(proxy: &Proxy, txn: &mut Txn) -> Self {
        match &proxy.balance {
            Balance::RoundRobin | Balance::StaticRr | Balance::LeastConn | Balance::First => Self::default(),
            Balance::Random { .. } => Self { hash: None, random: txn.worker.host.random() },
            hashed => Self { hash: key::of(hashed, txn), random: 0 },
        }
    }
}

/// The answer of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// That server, with a slot of it taken.
    Taken(usize),
    /// That server it is, but it is full.
    Full(usize),
    /// Every server that can be chosen is full.
    AllFull,
    /// No server can be chosen.
    None,
}

/// A backend's balancing state.
#[derive(Default)]
pub(crate) struct Balancer(Mutex<table::Table>);

impl Balancer {
    /// Chooses a server and takes a slot of it.
    pub(crate) fn pick(&self, proxy: &Proxy, choice: Choice, avoid: Option<&Arc<Server>>) -> Pick {
        let avoid = avoid.and_then(|a| proxy.servers.iter().position(|s| Arc::ptr_eq(s, a)));
        let mut table = self.0.lock();
        table.refresh(proxy);
        table.pick(proxy, choice, avoid)
    }
}

#[cfg(test)]
mod tests;
