//! The plain tables that scripts are handed, by name: what is in an event, and what is in that.
//!
//! Source: lua-api "ServerEvent class" and the classes it names.

use crate::record;
use crate::value::Out;

/// A plain table with known fields.
pub(crate) struct Record {
    pub(crate) name: &'static str,
    /// `(name, type)`
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(crate) const RECORDS: &[&Record] =
    &[&SERVER_EVENT, &SERVER_EVENT_STATE, &SERVER_EVENT_ADMIN, &SERVER_EVENT_CHECK];

/// The second argument of an event handler.
pub(crate) static SERVER_EVENT: Record = Record {
    name: "ServerEvent",
    fields: &[
        ("name", "string"),
        ("puid", "integer"),
        ("rid", "integer"),
        ("proxy_name", "string"),
        ("proxy_uuid", "integer"),
        ("reference", "Server or nil"),
        ("state", "ServerEventState or nil"),
        ("admin", "ServerEventAdmin or nil"),
        ("check", "ServerEventCheckRes or nil"),
        ("inetaddr", "table of prev and next, or nil"),
    ],
};

/// `data.state` of a `SERVER_STATE`.
pub(crate) static SERVER_EVENT_STATE: Record = Record {
    name: "ServerEventState",
    fields: &[
        ("admin", "boolean"),
        ("check", "ServerEventCheckRes or nil"),
        ("cause", "string"),
        ("old_state", "string"),
        ("new_state", "string"),
        ("requeued", "integer"),
    ],
};

/// `data.admin` of a `SERVER_ADMIN`.
pub(crate) static SERVER_EVENT_ADMIN: Record = Record {
    name: "ServerEventAdmin",
    fields: &[
        ("cause", "string"),
        ("old_admin", "table of boolean by flag"),
        ("new_admin", "table of boolean by flag"),
        ("requeued", "integer"),
    ],
};

/// `data.check` of a `SERVER_CHECK`.
pub(crate) static SERVER_EVENT_CHECK: Record = Record {
    name: "ServerEventCheckRes",
    fields: &[
        ("result", "string or nil"),
        ("agent", "boolean"),
        ("duration", "integer"),
        ("reason", "table of short, desc and code"),
        ("health", "table of cur, rise and fall"),
    ],
};

impl Record {
    /// The table with these fields; nil ones are left out.
    ///
    /// INVARIANT: every field is one of the record's, so that what is described is what scripts get.
    pub(crate) fn table(&self, fields: Vec<(&'static str, Out)>) -> Out {
        let is_known = |name: &str| self.fields.iter().any(|(known, _)| *known == name);
        debug_assert!(fields.iter().all(|(name, _)| is_known(name)), "{} has other fields", self.name);
        if record::is_on() {
            for (name, value) in &fields {
                if *value != Out::Nil {
                    record::reached(self.name, name);
                }
            }
        }
        Out::Table(fields.into_iter().map(|(name, value)| (Out::Name(name), value)).collect())
    }
}
