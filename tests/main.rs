//! What spans crates, tested as a user sees it: the program on real sockets.
//!
//! [`conformance`] runs scenario folders against any proxy binary, ours or upstream's ([`support::peer`]
//! says which); [`compatibility`] holds COMPATIBILITY.md against them; [`vtc`] runs scenarios in varnishtest's
//! language against the same binary; [`demo`] tries ours out, [`spoa`] its tools for authors of agents.
//! [`interop`] lets our SPOE engine drive agents of other makes, [`author_tools`] tries what script authors use.
//! [`sim`] lives whole worlds in one thread, on virtual time, each from a seed.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests drive another process over sockets: their clock and their threads are real"
)]

mod author_tools;
mod compatibility;
mod conformance;
mod demo;
mod interop;
mod lua_probe;
mod sim;
mod spoa;
mod support;
mod vtc;
