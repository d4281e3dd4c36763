//! Process-wide lists, one a family.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::{Family, SubscriptionList};

static LISTS: Mutex<BTreeMap<TypeId, Box<dyn Any + Send + Sync>>> = Mutex::new(BTreeMap::new());

impl<F: Family> SubscriptionList<F> {
    /// The process-wide list of the family, made when first asked for. Keep it: finding it takes a lock.
    ///
    /// It lives as long as the process; once [closed](Self::close) it stays so.
    #[must_use]
    pub fn global() -> Self {
        let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        let list = lists.entry(TypeId::of::<F>()).or_insert_with(|| Box::new(Self::new()));
        list.downcast_ref::<Self>().expect("invariant: kept under its own type").clone()
    }
}
