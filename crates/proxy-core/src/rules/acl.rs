//! ACLs and conditions.

use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn},
};

/// The ACLs declared in a section.
#[derive(Default, Clone)]
pub struct AclTable {}

impl AclTable {
    /// Adds an `acl NAME CRITERION …` line; `words[0]` is the name.
    ///
    /// # Errors
    /// A malformed criterion, flag or pattern.
    pub fn add(&mut self, words: &[&str], registry: &Registry) -> Result<(), ParseError> {
        let _ = (words, registry);
        Err(ParseError::new("no acls yet"))
    }
}

/// A compiled `if …` or `unless …`.
#[derive(Clone)]
pub struct Cond {}

impl Cond {
    /// Compiles it: `words[0]` is `if` or `unless`; `local` ACLs are asked before `section` ones.
    ///
    /// # Errors
    /// An unknown ACL or a malformed anonymous one.
    pub fn parse(
        words: &[&str],
        local: Option<&AclTable>,
        section: &AclTable,
        registry: &Registry,
    ) -> Result<Self, ParseError> {
        let _ = (words, local, section, registry);
        Err(ParseError::new("no conditions yet"))
    }

    /// Whether the rule applies.
    pub fn holds(&self, txn: &mut Txn, direction: Direction) -> bool {
        let _ = (txn, direction);
        true
    }
}
