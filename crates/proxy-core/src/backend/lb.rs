//! Load balancing.

use crate::sample::expr::Expr;

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
