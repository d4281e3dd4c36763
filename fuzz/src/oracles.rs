//! A module a crate. An oracle takes bytes and panics if something does not hold that should for any.

pub mod spoe;
