//! The Lua API: one file a class, each a table of entries that the VM, the run-time check and the snapshots read.

use crate::context::{ContextKind, Contexts};
use crate::raw::stack::{Flow, Stack};

pub(crate) mod act;
pub(crate) mod address;
pub(crate) mod applet_http;
pub(crate) mod applet_tcp;
pub(crate) mod cert_cache;
pub(crate) mod channel;
pub(crate) mod concat;
pub(crate) mod core;
pub(crate) mod date;
pub(crate) mod event_sub;
pub(crate) mod filter;
pub(crate) mod http;
pub(crate) mod http_message;
pub(crate) mod httpclient;
pub(crate) mod json;
pub(crate) mod listener;
pub(crate) mod mailers;
pub(crate) mod map;
pub(crate) mod patref;
pub(crate) mod proxy;
pub(crate) mod queue;
pub(crate) mod records;
pub(crate) mod regex;
pub(crate) mod reply;
pub(crate) mod samples;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod stick_table;
pub(crate) mod stream;
pub(crate) mod txn;

/// The Rust side of an API function.
pub(crate) type ApiFn = fn(&mut Stack<'_>) -> Flow;

/// One function or method of the API.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) call: ApiFn,
    pub(crate) contexts: Contexts,
    pub(crate) yields: bool,
    /// What HAProxy says where it may not be called.
    pub(crate) refusal: Option<&'static str>,
    /// Called again from its start when what it waited for has come.
    pub(crate) again: bool,
}

impl Method {
    /// Callable everywhere, never waits.
    pub(crate) const fn new(name: &'static str, signature: &'static str, call: ApiFn) -> Method {
        let contexts = Contexts::ALL;
        Method { name, signature, call, contexts, yields: false, refusal: None, again: false }
    }

    /// May wait.
    pub(crate) const fn waits(mut self) -> Method {
        self.yields = true;
        self
    }

    /// Waits for something and then looks anew.
    pub(crate) const fn again(mut self) -> Method {
        self.again = true;
        self
    }

    /// Callable in these contexts only.
    pub(crate) const fn only(mut self, contexts: Contexts) -> Method {
        self.contexts = contexts;
        self
    }

    /// HAProxy has its own words for it.
    pub(crate) const fn refusing(mut self, text: &'static str) -> Method {
        self.refusal = Some(text);
        self
    }

    pub(crate) fn forbidden(&self, context: ContextKind) -> String {
        let text =
            format!("'{}' is not available in the {context} context; it is in: {}", self.name, self.contexts);
        match self.refusal {
            Some(refusal) => format!("{refusal} {text}"),
            None => text,
        }
    }
}

/// A class of objects: their methods, what is made when first touched, metamethods.
pub(crate) struct ClassDef {
    /// As `tostring` gives it.
    pub(crate) name: &'static str,
    pub(crate) methods: &'static [Method],
    /// Called for a key that is neither in the object nor a method: `(methods, key)`.
    pub(crate) lazy: Option<&'static Method>,
    /// What is made when first touched, for the snapshots.
    pub(crate) attributes: &'static [(&'static str, &'static str)],
    pub(crate) meta: &'static [Method],
}

/// A global table.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) functions: &'static [Method],
    pub(crate) constants: &'static [(&'static str, i64)],
    pub(crate) lazy: Option<&'static Method>,
    pub(crate) attributes: &'static [(&'static str, &'static str)],
}

/// The global tables.
pub(crate) const LIBRARIES: &[&Library] =
    &[&core::LIBRARY, &act::LIBRARY, &map::LIBRARY, &regex::LIBRARY, &filter::LIBRARY, &cert_cache::LIBRARY];

/// Modules that `require` finds where the script's path has none of that name.
pub(crate) const MODULES: &[&Library] = &[&json::LIBRARY];

/// What of Lua's own library `os` the host answers.
pub(crate) const OS: &[Method] = &[Method::new("getenv", "(name)", core::getenv)];

macro_rules! classes {
    ($($class:ident => $def:path,)*) => {
        /// The classes of objects; the number is the place in the VM's list of metatables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Class { $(#[doc = stringify!($class)] $class,)* }

        impl Class {
            pub(crate) const ALL: &'static [Class] = &[$(Class::$class,)*];

            pub(crate) fn definition(self) -> &'static ClassDef {
                match self { $(Class::$class => &$def,)* }
            }
        }
    };
}

classes! {
    Txn => txn::CLASS,
    Stale => txn::STALE,
    Fetches => samples::FETCHES,
    StringFetches => samples::STRING_FETCHES,
    Converters => samples::CONVERTERS,
    StringConverters => samples::STRING_CONVERTERS,
    Channel => channel::CLASS,
    Http => http::CLASS,
    Reply => reply::CLASS,
    AppletHttp => applet_http::CLASS,
    AppletTcp => applet_tcp::CLASS,
    Socket => socket::CLASS,
    HttpClient => httpclient::CLASS,
    Proxy => proxy::CLASS,
    ProxyList => proxy::LIST,
    Server => server::CLASS,
    ServerList => server::LIST,
    Listener => listener::CLASS,
    EventSub => event_sub::CLASS,
    Concat => concat::CLASS,
    Address => address::CLASS,
    MapObject => map::CLASS,
    Patref => patref::CLASS,
    PatrefCursor => patref::CURSOR,
    StickTable => stick_table::CLASS,
    Queue => queue::CLASS,
    Regex => regex::CLASS,
    JsonObject => json::OBJECT,
    HttpMessage => http_message::CLASS,
}

impl Class {
    /// Fields to make room for in a new object: the handle, and members that scripts usually touch.
    pub(crate) fn members(self) -> std::ffi::c_int {
        match self {
            Class::Txn | Class::AppletHttp => 4,
            _ => 1,
        }
    }

    /// Only metatables: scripts meet no member of theirs.
    pub(crate) fn is_hidden(self) -> bool {
        matches!(self, Class::Stale | Class::JsonObject)
    }

    pub(crate) fn name(self) -> &'static str {
        self.definition().name
    }
}

/// `HAProxy class NAME`, the `__tostring` of most classes.
macro_rules! to_string {
    ($name:literal) => {
        crate::api::Method::new("__tostring", "(self)", |stack| {
            stack.push_bytes(concat!("HAProxy class ", $name).as_bytes())?;
            Ok(crate::raw::stack::Ret::Count(1))
        })
    };
}
pub(crate) use to_string;

/// The API as text, one string a class, for snapshots and documentation: every entry with signature, contexts and
/// whether it waits.
pub fn describe() -> Vec<(String, String)> {
    let libraries = LIBRARIES.iter().chain(MODULES);
    let mut pages: Vec<_> = libraries.map(|library| describe_library(library)).collect();
    for class in Class::ALL {
        if class.is_hidden() {
            continue;
        }
        let (name, page) = describe_class(*class);
        // A constructor's table and its class share a page.
        match pages.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.push_str(&page),
            None => pages.push((name, page)),
        }
    }
    pages
}

fn describe_library(library: &Library) -> (String, String) {
    let mut page = String::new();
    for (name, value) in library.constants {
        page.push_str(&format!("{}.{name} = {value}\n", library.name));
    }
    for (name, kind) in library.attributes {
        page.push_str(&format!("{}.{name}: {kind}\n", library.name));
    }
    for method in library.functions {
        page.push_str(&describe_method(library.name, ".", method));
    }
    (library.name.to_string(), page)
}

fn describe_class(class: Class) -> (String, String) {
    let def = class.definition();
    let mut page = String::new();
    for (name, kind) in def.attributes {
        page.push_str(&format!("{}.{name}: {kind}\n", def.name));
    }
    for method in def.methods.iter().chain(def.meta) {
        page.push_str(&describe_method(def.name, ":", method));
    }
    (format!("{class:?}"), page)
}

fn describe_method(owner: &str, separator: &str, method: &Method) -> String {
    let waits = if method.yields { ", waits" } else { "" };
    format!("{owner}{separator}{}{}  [{}{waits}]\n", method.name, method.signature, method.contexts)
}
