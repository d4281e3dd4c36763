//! All references of a configuration, by name and number.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    file::{self, Name},
    index::Spec,
    list::{Output, PatternList},
    reference::PatternRef,
};
use crate::{cfgparse::ParseError, config::Place, host::PatternObserver, rules::pattern::Method};

/// The columns of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One: patterns.
    Acl,
    /// Two: patterns and values.
    Map,
}

/// The references of a configuration. Filled while it is read, then read by every thread.
#[derive(Default)]
pub struct PatternRefs {
    all: RwLock<All>,
    /// Where the line stands that is being read, for descriptions.
    place: Mutex<Place>,
    observer: Arc<OnceLock<Arc<dyn PatternObserver>>>,
    sealed: AtomicBool,
    /// References have their numbers as soon as they are made.
    numbered: AtomicBool,
}

/// In the order of their first use, and by name.
#[derive(Default)]
struct All {
    list: Vec<Arc<PatternRef>>,
    named: BTreeMap<Box<str>, Arc<PatternRef>>,
}

impl PatternRefs {
    /// Says who is told of changes. The first one stays.
    pub fn observe(&self, observer: Arc<dyn PatternObserver>) {
        let _ = self.observer.set(observer);
    }

    /// The process starts: nothing more is loaded from files.
    pub fn seal(&self) {
        self.number();
        self.sealed.store(true, Ordering::Release);
        self.all.read().list.iter().for_each(|reference| reference.freeze());
    }

    /// Gives numbers to those that have none: the free ones in the order of their first use.
    pub(crate) fn number(&self) {
        self.numbered.store(true, Ordering::Release);
        let all = self.all.read();
        let taken: BTreeSet<u32> = all.list.iter().filter_map(|reference| reference.number()).collect();
        let mut free = (0..).filter(|id| !taken.contains(id));
        for reference in all.list.iter().filter(|reference| reference.number().is_none()) {
            reference.set_number(free.next().unwrap_or(u32::MAX));
        }
    }

    /// Where the line stands that is read now.
    pub(crate) fn set_place(&self, place: &Place) {
        self.place.lock().clone_from(place);
    }

    /// All references in the order of their numbers.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PatternRef>> {
        let mut list = self.all.read().list.clone();
        list.sort_by_key(|reference| reference.number());
        list
    }

    /// A reference by its name; `file@` and `opt@` make no difference.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<PatternRef>> {
        self.all.read().named.get(Name::parse(name).key).cloned()
    }

    /// A reference by its number.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<Arc<PatternRef>> {
        self.all.read().list.iter().find(|reference| reference.number() == Some(id)).cloned()
    }

    /// A use of a map, loaded if need be.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it; its columns are used otherwise; or it is not loaded
    /// yet and the process runs.
    pub fn map(&self, name: &str, method: Method, output: Output) -> Result<PatternList, ParseError> {
        let spec = Spec { method, ignore_case: false };
        self.open(name, Kind::Map, "map", spec, output)
    }

    /// A use of a file by an ACL: of one column, or with `as_map` of two.
    ///
    /// # Errors
    /// As for [`PatternRefs::map`].
    pub(crate) fn acl(
        &self,
        name: &str,
        as_map: bool,
        method: Method,
        ignore_case: bool,
    ) -> Result<PatternList, ParseError> {
        let (kind, user) = if as_map { (Kind::Map, "map") } else { (Kind::Acl, "acl") };
        let list = self.open(name, kind, user, Spec { method, ignore_case }, Output::None)?;
        list.reference.users.lock().acl = true;
        Ok(list)
    }

    /// A new reference without a name, for what stands on an ACL's own line. `id` forces its number.
    ///
    /// # Errors
    /// The number is taken.
    pub(crate) fn inline(
        &self,
        criterion: &str,
        id: Option<u32>,
        method: Method,
        ignore_case: bool,
    ) -> Result<PatternList, ParseError> {
        let place = self.place.lock().clone();
        if let Some(id) = id
            && self.by_id(id).is_some()
        {
            return Err(ParseError::new(format!("The unique id \"{id}\" is already used.")));
        }
        let reference = Arc::new(PatternRef::new(id, None, Kind::Acl, self.observer.clone()));
        {
            let mut users = reference.users.lock();
            users.acl = true;
            users.text = format!("acl '{criterion}' file '{}' line {}", place.file, place.line);
        }
        self.all.write().list.push(reference.clone());
        self.used(reference, Spec { method, ignore_case }, Output::None)
    }

    fn open(
        &self,
        name: &str,
        kind: Kind,
        user: &str,
        spec: Spec,
        output: Output,
    ) -> Result<PatternList, ParseError> {
        let parsed = Name::parse(name);
        let reference = match self.find(name) {
            Some(found) if found.kind != kind => {
                let (is, wants) = match kind {
                    Kind::Acl => ("two", "one"),
                    Kind::Map => ("one", "two"),
                };
                return Err(ParseError::new(format!(
                    "The file \"{}\" is already used as {is} column file and cannot be used by as {wants} column file.",
                    parsed.key
                )));
            }
            Some(found) => found,
            None if self.sealed.load(Ordering::Acquire) => {
                return Err(ParseError::new(format!("{user}: cannot load {user} at runtime.")));
            }
            None => self.load(parsed, kind)?,
        };
        let list = self.used(reference, spec, output)?;
        let place = self.place.lock().clone();
        let mut users = list.reference.users.lock();
        users.map |= kind == Kind::Map;
        if !self.sealed.load(Ordering::Acquire) {
            let joint = if users.text.contains(" used by ") { "," } else { " used" };
            users.text += &format!("{joint} by {user} at file '{}' line {}", place.file, place.line);
        }
        drop(users);
        Ok(list)
    }

    fn load(&self, name: Name<'_>, kind: Kind) -> Result<Arc<PatternRef>, ParseError> {
        let reference = Arc::new(PatternRef::new(None, Some(name.key), kind, self.observer.clone()));
        reference.users.lock().text = match name.path {
            Some(path) => format!("pattern loaded from file '{path}'"),
            None => "virtual list of patterns".to_owned(),
        };
        file::load(&reference, name).map_err(ParseError::new)?;
        let mut all = self.all.write();
        all.list.push(reference.clone());
        all.named.insert(name.key.into(), reference.clone());
        drop(all);
        if self.numbered.load(Ordering::Acquire) {
            self.number();
        }
        Ok(reference)
    }

    fn used(
        &self,
        reference: Arc<PatternRef>,
        spec: Spec,
        output: Output,
    ) -> Result<PatternList, ParseError> {
        let may_add = !self.sealed.load(Ordering::Acquire);
        let index = reference.list(spec, output, may_add).map_err(ParseError::new)?;
        let index = index.ok_or_else(|| ParseError::new("map: cannot load map at runtime."))?;
        let info = super::reference::ListInfo { index, spec, output };
        Ok(PatternList { reference, info })
    }
}
