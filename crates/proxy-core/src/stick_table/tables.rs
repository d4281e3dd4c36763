//! All tables of a configuration, and references to them by name.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::StickTable;
use crate::{config::Place, txn::TxnData};

/// The tables of a configuration. Filled while it is read.
#[derive(Default)]
pub struct StickTables {
    all: RwLock<All>,
    /// The proxy whose lines are being read, and where its line stands.
    present: Mutex<(String, Place)>,
    /// What lines have referred to.
    wanted: Mutex<Vec<Wanted>>,
    /// The configuration was read.
    complete: AtomicBool,
}

#[derive(Default)]
struct All {
    list: Vec<Arc<StickTable>>,
    named: BTreeMap<String, Arc<StickTable>>,
}

/// A reference to a table that may not be there.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) proxy: String,
    /// As messages call it: `track-sc0`, `arg 1 of sample fetch keyword 'sc0_get_gpc0'`.
    pub(crate) by: String,
    pub(crate) place: Place,
}

impl StickTables {
    /// Adds a table; `false`: there is one of that name.
    pub(crate) fn add(&self, table: StickTable) -> bool {
        let table = Arc::new(table);
        let mut all = self.all.write();
        if all.named.contains_key(&table.config.name) {
            return false;
        }
        all.named.insert(table.config.name.clone(), table.clone());
        all.list.push(table);
        true
    }

    /// The table of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<StickTable>> {
        self.all.read().named.get(name).cloned()
    }

    /// Every table in the order of the configuration.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<StickTable>> {
        self.all.read().list.clone()
    }

    /// Which proxy's line is read now.
    pub(crate) fn set_present(&self, proxy: &str, place: &Place) {
        let mut present = self.present.lock();
        if present.0 != proxy {
            proxy.clone_into(&mut present.0);
        }
        present.1.clone_from(place);
    }

    /// A reference from the line that is read now; without a name it is the proxy's own table.
    pub(crate) fn refer(&self, name: Option<&str>, by: &str) -> TableArg {
        if self.complete.load(Ordering::Acquire) {
            return TableArg { name: name.map(Into::into), table: Arc::default() };
        }
        let (proxy, place) = self.present.lock().clone();
        let name = name.map_or_else(|| proxy.clone(), str::to_owned);
        let by = by.to_owned();
        self.wanted.lock().push(Wanted { name: name.clone(), proxy, by, place });
        TableArg { name: Some(name.into()), table: Arc::default() }
    }

    /// References to tables that are not there. They are forgotten then, and new ones are not noted.
    pub(crate) fn missing(&self) -> Vec<Wanted> {
        self.complete.store(true, Ordering::Release);
        let mut wanted = std::mem::take(&mut *self.wanted.lock());
        wanted.retain(|reference| self.find(&reference.name).is_none());
        wanted
    }
}

/// A table by name, looked for at the first use.
#[derive(Clone, Debug)]
pub struct TableArg {
    /// `None`: that of the backend, or else of the frontend.
    name: Option<Box<str>>,
    table: Arc<OnceLock<Option<Arc<StickTable>>>>,
}

impl TableArg {
    /// The table, if the configuration has it.
    pub(crate) fn table(&self, txn: &TxnData) -> Option<Arc<StickTable>> {
        let all = &txn.worker.shared.config.tables;
        match &self.name {
            Some(name) => self.table.get_or_init(|| all.find(name)).clone(),
            None => all.find(&txn.backend.name).or_else(|| all.find(&txn.frontend.name)),
        }
    }
}

impl PartialEq for TableArg {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TableArg {}

impl std::fmt::Debug for StickTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StickTable").field("config", &self.config).finish_non_exhaustive()
    }
}
