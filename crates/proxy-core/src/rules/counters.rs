//! Rules about stick tables: `track-sc0` and its kin, `sc-inc-gpc0` and its kin.
//!
//! Source: configuration.txt 4.4.

use super::RuleSet;
use crate::{
    sample::expr::Expr,
    stick_table::{DataType, TableArg, Tracked},
    txn::{Direction, Txn},
};

/// `track-scN KEY [table NAME]`.
pub struct TrackRule {
    pub(super) number: usize,
    pub(super) key: Expr,
    pub(super) table: TableArg,
}

impl TrackRule {
    pub(super) fn apply(&self, at: RuleSet, txn: &mut Txn) {
        if txn.tracked.get(self.number).is_some() || txn.session.tracked.borrow().get(self.number).is_some() {
            return;
        }
        let Some(table) = self.table.table(txn) else { return };
        let mut key = None;
        self.key.peek(txn, at.direction(), &mut |value| key = table.config.key_type.key(value));
        let Some(key) = key else { return };
        let now = txn.worker.host.now();
        let Some(tracked) = Tracked::start(&table, &key, now) else { return };
        if !txn.req.method().is_empty() {
            tracked.count(DataType::HttpReqCnt, 1, now);
            tracked.count(DataType::HttpReqRate, 1, now);
        }
        if at.is_session_level() {
            txn.session.tracked.borrow_mut().set(self.number, tracked);
        } else {
            txn.tracked.set(self.number, tracked);
        }
    }
}

/// `sc-inc-gpc`, `sc-inc-gpc0`, `sc-inc-gpc1`, `sc-add-gpc`, `sc-set-gpt`, `sc-set-gpt0`.
pub struct CounterRule {
    pub(super) tracked: usize,
    /// The values that change, with their place in an array.
    pub(super) kinds: &'static [DataType],
    pub(super) index: usize,
    pub(super) amount: Amount,
    /// Set instead of added to.
    pub(super) set: bool,
}

/// By how much, or to what.
pub(super) enum Amount {
    Number(u64),
    Expr(Box<Expr>),
}

impl CounterRule {
    /// What cannot be done is not done, silently.
    pub(super) fn apply(&self, side: Direction, txn: &mut Txn) {
        let amount = match &self.amount {
            Amount::Number(number) => Some(*number),
            Amount::Expr(expr) => {
                let value = expr.eval(txn, side).and_then(|value| value.as_ref().int());
                value.and_then(|value| u32::try_from(value).ok()).map(u64::from)
            }
        };
        let Some(amount) = amount else { return };
        let now = txn.worker.host.now();
        txn.with_tracked(self.tracked, |tracked| {
            let Tracked { table, entry } = tracked?;
            for kind in self.kinds {
                if self.set {
                    table.set(entry, *kind, self.index, amount, now);
                } else {
                    table.add(entry, *kind, self.index, amount, now);
                }
            }
            Some(())
        });
    }
}
