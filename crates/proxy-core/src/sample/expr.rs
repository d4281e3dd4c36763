//! Sample expressions: a fetch and its converters.

use std::sync::Arc;

use super::{Arg, Converter, Fetch, Sample};
use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn},
};

/// A compiled expression `fetch(args),conv(args),…`.
#[derive(Clone)]
pub struct Expr {
    fetch: (Arc<dyn Fetch>, Vec<Arg>),
    converters: Vec<(Arc<dyn Converter>, Vec<Arg>)>,
}

impl Expr {
    /// Compiles the expression that starts at `words[*at]`; moves `at` behind it.
    ///
    /// # Errors
    /// An unknown name or wrong arguments, with the offending word.
    pub fn parse(words: &[&str], at: &mut usize, registry: &Registry) -> Result<Self, ParseError> {
        let _ = (words, at, registry);
        Err(ParseError::new("no expressions yet"))
    }

    /// Evaluates it.
    pub fn eval(&self, txn: &mut Txn, direction: Direction) -> Option<Sample> {
        let first = self.fetch.0.fetch(txn, &self.fetch.1, direction)?;
        self.converters.iter().try_fold(first, |value, (conv, args)| conv.convert(txn, value, args))
    }
}
