//! Rules that change pattern references: `set-map`, `del-map`, `add-acl`, `del-acl`.
//!
//! Source: configuration.txt 4.4.

use std::sync::{Arc, OnceLock};

use crate::{
    pattern_ref::PatternRef,
    sample::logformat::LogFormat,
    txn::{Direction, Txn},
};

/// Such a rule. A reference that nothing else names is none: the rule does nothing.
pub struct PatternRule {
    change: Change,
    name: Box<str>,
    /// Looked for at the first use, when all references are known.
    reference: OnceLock<Option<Arc<PatternRef>>>,
    key: LogFormat,
}

enum Change {
    Add,
    Del,
    Set(LogFormat),
}

impl PatternRule {
    /// The rule of an action's name: `value` is there for `set-map` only.
    pub(super) fn new(action: &str, name: &str, key: LogFormat, value: Option<LogFormat>) -> Self {
        let change = match value {
            Some(value) => Change::Set(value),
            None if action.starts_with("add") => Change::Add,
            None => Change::Del,
        };
        Self { change, name: name.into(), reference: OnceLock::new(), key }
    }

    pub(super) fn apply(&self, txn: &mut Txn, side: Direction) {
        let find = || txn.worker.shared.config.patterns.find(&self.name);
        let Some(reference) = self.reference.get_or_init(find).clone() else { return };
        let mut key = Vec::new();
        self.key.render(txn, side, &mut key);
        // A pattern that a user of the reference cannot read changes nothing, as in HAProxy.
        let _ = match &self.change {
            Change::Add => reference.add_once(&key),
            Change::Set(value) => {
                let mut text = Vec::new();
                value.render(txn, side, &mut text);
                reference.set_or_add(None, &key, &text)
            }
            Change::Del => {
                reference.del(None, &key);
                Ok(())
            }
        };
    }
}
