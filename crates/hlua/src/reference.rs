//! The API as data: every entry that a script can reach, with signature, contexts, whether it waits, and what HAProxy's
//! documentation says of it.
//!
//! Two sources, kept apart on purpose. [`entries`] is what this crate registers: it comes from the tables that the VM
//! itself is filled from, so it cannot name what is not there. [`facts`] is what there is in HAProxy 3.4, one row an
//! entry, in our words (`lua-api.tsv`). Documentation, editor definitions and the coverage report join the two.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::api::records::RECORDS;
use crate::api::{Class, LIBRARIES, MODULES, Method};
use crate::context::{ContextKind, Contexts};

/// One entry of the API as it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// `core`, `TXN`, `ServerEvent`, …
    pub class: &'static str,
    /// The member's name; `(class)` for the class itself.
    pub name: &'static str,
    /// What it is.
    pub kind: EntryKind,
    /// `(self, name [, value])` for what is called, the type for an attribute, empty for the rest.
    pub signature: &'static str,
    /// Where it may be used.
    pub contexts: Contexts,
    /// It may wait.
    pub waits: bool,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A class or global table.
    Class,
    /// An integer constant.
    Constant(i64),
    /// A value.
    Attribute,
    /// Called with a dot.
    Function,
    /// Called with a colon; metamethods too.
    Method,
}

impl EntryKind {
    /// The word of the table of facts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::Class => "class",
            EntryKind::Constant(_) => "constant",
            EntryKind::Attribute => "attribute",
            EntryKind::Function => "function",
            EntryKind::Method => "method",
        }
    }
}

/// What is known of one entry of HAProxy's API; the columns of `lua-api.tsv`, `-` where there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// As in [`Entry::class`].
    pub class: &'static str,
    /// As in [`Entry::name`].
    pub name: &'static str,
    /// [`EntryKind::word`]
    pub kind: &'static str,
    /// With types: `(self:TXN, var:string, value:any, ifexist?:boolean)`.
    pub signature: &'static str,
    /// The type of what it gives.
    pub returns: &'static str,
    /// The contexts that its documentation names; a leading `~` where they are inferred.
    pub contexts: &'static str,
    /// `y`, `n`
    pub blocking: &'static str,
    /// The first version that has it.
    pub since: &'static str,
    /// What one should know.
    pub notes: &'static str,
}

/// The table of facts, with its heading.
pub const FACTS: &str = include_str!("../lua-api.tsv");

/// Every row of the table of facts, in its order.
#[must_use]
pub fn facts() -> &'static [Fact] {
    static ROWS: OnceLock<Vec<Fact>> = OnceLock::new();
    ROWS.get_or_init(|| FACTS.lines().skip(1).filter_map(Fact::parse).collect())
}

impl Fact {
    fn parse(line: &'static str) -> Option<Fact> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        Some(Fact {
            class: next()?,
            name: next()?,
            kind: next()?,
            signature: next()?,
            returns: next()?,
            contexts: next()?,
            blocking: next()?,
            since: next()?,
            notes: next()?,
        })
    }

    /// The fact about a member, if HAProxy has it.
    #[must_use]
    pub fn of(class: &str, name: &str) -> Option<&'static Fact> {
        facts().iter().find(|fact| fact.class == class && fact.name == name)
    }
}

/// Every entry that is registered, once each, a class after the other.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for library in LIBRARIES.iter().chain(MODULES) {
        let add = |kind, name, signature| entry(library.name, name, kind, signature);
        all.push(add(EntryKind::Class, CLASS, ""));
        all.extend(library.constants.iter().map(|(name, value)| add(EntryKind::Constant(*value), name, "")));
        all.extend(library.attributes.iter().map(|(name, kind)| add(EntryKind::Attribute, name, kind)));
        all.extend(library.functions.iter().map(|method| called(library.name, method, EntryKind::Function)));
    }
    all.push(entry("coroutine", "create", EntryKind::Function, "(f)"));
    for class in Class::ALL.iter().filter(|class| !class.is_hidden()) {
        let def = class.definition();
        all.push(entry(def.name, CLASS, EntryKind::Class, ""));
        all.extend(
            def.attributes.iter().map(|(name, kind)| entry(def.name, name, EntryKind::Attribute, kind)),
        );
        let methods = def.methods.iter().chain(def.meta);
        all.extend(methods.map(|method| called(def.name, method, EntryKind::Method)));
    }
    for record in RECORDS {
        all.push(entry(record.name, CLASS, EntryKind::Class, ""));
        let fields = record.fields.iter();
        all.extend(fields.map(|(name, kind)| entry(record.name, name, EntryKind::Attribute, kind)));
    }
    let mut seen = BTreeSet::new();
    all.retain(|entry| seen.insert((entry.class, entry.name)));
    all
}

/// The name of the entry that stands for a class.
pub const CLASS: &str = "(class)";

fn entry(class: &'static str, name: &'static str, kind: EntryKind, signature: &'static str) -> Entry {
    Entry { class, name, kind, signature, contexts: Contexts::ALL, waits: false }
}

fn called(class: &'static str, method: &'static Method, kind: EntryKind) -> Entry {
    let Method { name, signature, contexts, yields, .. } = *method;
    Entry { class, name, kind, signature, contexts, waits: yields }
}

/// The registered API as a table: class, name, kind, signature or value, contexts, `y` or `n` for waiting.
#[must_use]
pub fn table() -> String {
    let mut text = "class\tname\tkind\tsignature\tcontexts\twaits\n".to_owned();
    for entry in entries() {
        let value = match entry.kind {
            EntryKind::Constant(value) => value.to_string(),
            _ if entry.signature.is_empty() => "-".to_owned(),
            _ => entry.signature.to_owned(),
        };
        let waits = if entry.waits { 'y' } else { 'n' };
        let Entry { class, name, kind, contexts, .. } = entry;
        text.push_str(&format!("{class}\t{name}\t{}\t{value}\t{}\t{waits}\n", kind.word(), words(contexts)));
    }
    text
}

/// The contexts in the words of the table of facts, separated by commas.
fn words(contexts: Contexts) -> String {
    let mut words: Vec<&'static str> =
        ContextKind::ALL.into_iter().filter(|kind| contexts.allows(*kind)).map(ContextKind::word).collect();
    words.dedup();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_has_its_columns() {
        assert_eq!(facts().len(), FACTS.lines().count() - 1);
        assert!(Fact::of("TXN", "set_var").is_some_and(|fact| fact.signature.contains("ifexist?")));
    }

    #[test]
    fn entries_are_named_once_and_come_from_the_tables() {
        let all = entries();
        let find =
            |class: &str, name: &str| all.iter().filter(|e| (e.class, e.name) == (class, name)).count();
        for (class, name) in [
            ("core", "register_action"),
            ("core", "emerg"),
            ("TXN", "http"),
            ("TXN", "(class)"),
            ("Fetches", "__tostring"),
            ("ServerEventState", "cause"),
        ] {
            assert_eq!(find(class, name), 1, "{class}.{name}");
        }
        assert!(
            table()
                .contains("core\tregister_action\tfunction\t(name, contexts, func [, nb_args])\tbody\tn\n")
        );
    }
}
