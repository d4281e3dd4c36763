//! What a proxy answers instead of the pages that are built in: by status, from error files, redirections or templates.
//!
//! A proxy has its own set ([`ErrorPages`]); a section `http-errors` is a set with a name, which proxies import and rules
//! refer to, wherever in the configuration it stands ([`PageSections`]).
//!
//! Source: configuration.txt section 4.2 (`errorfile`, `errorfiles`, `errorloc`, `http-error`) and 12.4.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use crate::{
    applet::Reply,
    config::Place,
    http::error_page,
    rules::ReplyTemplate,
    txn::{Direction, Txn},
};

/// The statuses that can have a page of their own.
pub const STATUSES: [u16; 21] =
    [200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504];

/// One page.
#[derive(Clone)]
pub enum Page {
    /// The same for all.
    Ready(Arc<Reply>),
    /// Made for each exchange.
    Made(Arc<ReplyTemplate>),
}

impl Page {
    fn reply(&self, side: Direction, txn: &mut Txn) -> Reply {
        match self {
            Self::Ready(reply) => Reply::clone(reply),
            Self::Made(template) => template.fill(side, txn).0,
        }
    }
}

/// Pages by status.
#[derive(Clone, Default)]
pub struct ErrorPages {
    pages: BTreeMap<u16, Page>,
}

impl ErrorPages {
    /// Sets the page of a status; the last one counts.
    pub fn set(&mut self, status: u16, page: Page) {
        self.pages.insert(status, page);
    }

    /// Goes back to what was there before any page was set.
    pub fn reset(&mut self, status: u16) {
        self.pages.remove(&status);
    }

    /// The page of a status.
    #[must_use]
    pub fn find(&self, status: u16) -> Option<&Page> {
        self.pages.get(&status)
    }

    /// All of them, by status.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Page)> {
        self.pages.iter().map(|(status, page)| (*status, page))
    }

    /// The page of a status that needs no transaction: early errors know none.
    #[must_use]
    pub fn ready(&self, status: u16) -> Option<&Reply> {
        match self.find(status) {
            Some(Page::Ready(reply)) => Some(reply),
            _ => None,
        }
    }
}

/// The answer for an error that happens to `txn`: the backend's page, the frontend's, or the one that is built in.
#[must_use]
pub fn reply(status: u16, side: Direction, txn: &mut Txn) -> Reply {
    let page = txn.backend.pages.find(status).or_else(|| txn.frontend.pages.find(status));
    match page.cloned() {
        Some(page) => page.reply(side, txn),
        None => error_page::reply(status),
    }
}

/// A section `http-errors`, or only its name until it was read.
#[derive(Default)]
pub struct PageSection {
    name: String,
    read: OnceLock<(Place, ErrorPages)>,
}

impl PageSection {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pages; `None` if the configuration has no such section (so far).
    #[must_use]
    pub fn pages(&self) -> Option<&ErrorPages> {
        self.read.get().map(|(_, pages)| pages)
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.read.get().map(|(place, _)| place)
    }

    /// The answer of that section, if it has one.
    pub(crate) fn reply(&self, status: u16) -> Option<&Reply> {
        self.pages()?.ready(status)
    }
}

/// All sections `http-errors` that were read or referred to.
#[derive(Default)]
pub struct PageSections {
    sections: Mutex<BTreeMap<String, Arc<PageSection>>>,
    wanted: Mutex<Vec<Wanted>>,
}

/// A rule refers to a section.
pub(crate) struct Wanted {
    pub(crate) proxy: String,
    pub(crate) status: u16,
    pub(crate) section: Arc<PageSection>,
}

impl PageSections {
    /// The section of that name, whether or not it was read.
    #[must_use]
    pub fn section(&self, name: &str) -> Arc<PageSection> {
        let mut sections = self.sections.lock();
        let fresh = || Arc::new(PageSection { name: name.to_owned(), read: OnceLock::new() });
        sections.entry(name.to_owned()).or_insert_with(fresh).clone()
    }

    /// Notes that a rule of `proxy` answers with a page of that section.
    pub(crate) fn want(&self, name: &str, proxy: &str, status: u16) -> Arc<PageSection> {
        let section = self.section(name);
        self.wanted.lock().push(Wanted { proxy: proxy.to_owned(), status, section: section.clone() });
        section
    }

    /// What rules have referred to; it is forgotten then.
    pub(crate) fn take_wanted(&self) -> Vec<Wanted> {
        std::mem::take(&mut *self.wanted.lock())
    }

    /// Fills a section in; the first one of a name counts.
    pub(crate) fn fill(&self, name: &str, place: Place, pages: ErrorPages) {
        let _ = self.section(name).read.set((place, pages));
    }
}
