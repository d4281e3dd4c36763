//! What spans crates, tested as a user sees it: the program on real sockets.
//!
//! [`conformance`] runs scenario folders against any proxy binary, ours or upstream's ([`support::peer`]
//! says which); [`vtc`] runs scenarios in varnishtest's language against the same binary; [`demo`] tries ours out.
//! [`author_tools`] tries what script authors use. [`sim`] lives whole worlds in one thread, on virtual time, each from a seed.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests drive another process over sockets: their clock and their threads are real"
)]

mod author_tools;
mod conformance;
mod demo;
mod sim;
mod support;
mod vtc;
