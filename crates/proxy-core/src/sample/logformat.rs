//! Log-format strings: text with `%[expression]` and `%tag` parts.

use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn},
};

/// A compiled log-format string.
#[derive(Clone)]
pub struct LogFormat {}

impl LogFormat {
    /// Compiles it.
    ///
    /// # Errors
    /// An unknown tag or a wrong expression.
    pub fn parse(text: &str, registry: &Registry) -> Result<Self, ParseError> {
        let _ = (text, registry);
        Err(ParseError::new("no log-format yet"))
    }

    /// Appends the text for this transaction.
    pub fn render(&self, txn: &mut Txn, direction: Direction, out: &mut Vec<u8>) {
        let _ = (txn, direction, out);
    }
}
