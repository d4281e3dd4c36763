//! Variables: `set-var(scope.name)` and `var(scope.name)`.

use crate::sample::Sample;

/// Where a variable lives, and so for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The process.
    Proc,
    /// The client connection.
    Sess,
    /// The exchange.
    Txn,
    /// Request processing.
    Req,
    /// Response processing.
    Res,
    /// A health check.
    Check,
}

/// A variable's name, hashed once when the configuration is read.
///
/// The name is what follows the scope and its dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarName {
    /// Where it lives.
    pub scope: Scope,
    /// Hash of the name.
    pub id: u64,
    /// The name, for people.
    pub name: std::sync::Arc<str>,
}

/// The variables of one scope. Few, so a list.
#[derive(Default, Debug)]
pub struct Vars {
    entries: smallvec::SmallVec<[(u64, Sample); 4]>,
}

impl Vars {
    /// The value of a variable.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<&Sample> {
        self.entries.iter().find(|(i, _)| *i == id).map(|(_, v)| v)
    }

    /// Sets a variable.
    pub fn set(&mut self, id: u64, value: Sample) {
        match self.entries.iter_mut().find(|(i, _)| *i == id) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((id, value)),
        }
    }

    /// Removes a variable; whether it was there.
    pub fn unset(&mut self, id: u64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(i, _)| *i != id);
        before != self.entries.len()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
