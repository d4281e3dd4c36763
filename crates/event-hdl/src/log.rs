//! What the library tells a log, with the `tracing` feature; nothing without it.
//!
//! `debug` for what embedders do, `warn` for what they should know: an id refused, a queue that its bound has paused.

#[cfg(feature = "tracing")]
pub(crate) use tracing::{debug, warn};

#[cfg(not(feature = "tracing"))]
mod silent {
    macro_rules! silence {
        ($($part:tt)*) => {};
    }
    pub(crate) use {silence as debug, silence as warn};
}
#[cfg(not(feature = "tracing"))]
pub(crate) use silent::{debug, warn};
