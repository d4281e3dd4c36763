//! One use of a reference: what an ACL or a map converter compares with.

use std::{net::IpAddr, sync::Arc};

use super::{
    generation::Element,
    index::Spec,
    reference::{EditError, ListInfo, PatternRef},
};
use crate::{
    cfgparse::ParseError,
    rules::pattern::Method,
    sample::{SampleRef, conv::expand},
};

/// What a map gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing: it is an ACL.
    None,
    /// The value as text.
    Str,
    /// The value as an integer.
    Int,
    /// The value as an address.
    Ip,
    /// The pattern that matched.
    Key,
    /// The value with its `\1` replaced by what the regular expression has captured.
    Expanded,
}

impl Output {
    /// Whether a value can be given so.
    pub(super) fn check(self, value: &[u8]) -> Result<(), String> {
        let fits = match self {
            Self::None | Self::Str | Self::Key | Self::Expanded => true,
            Self::Int => int(value).is_some(),
            Self::Ip => addr(value).is_some(),
        };
        if fits { Ok(()) } else { Err(format!("unable to parse '{}'", String::from_utf8_lossy(value))) }
    }
}

/// A value as an integer.
pub(crate) fn int(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A value as an address.
pub(crate) fn addr(value: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A reference with a way to compare. Cheap to clone.
#[derive(Clone)]
pub struct PatternList {
    pub(super) reference: Arc<PatternRef>,
    pub(super) info: ListInfo,
}

/// What a look-up has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry's number.
    pub id: u64,
    /// The entry.
    pub element: Element,
}

impl PatternList {
    /// Every use of a reference, in the order in which they were read.
    #[must_use]
    pub fn all(reference: &Arc<PatternRef>) -> Vec<Self> {
        let lists = reference.lists().into_iter();
        lists.map(|info| Self { reference: reference.clone(), info }).collect()
    }

    /// The reference.
    #[must_use]
    pub fn reference(&self) -> &Arc<PatternRef> {
        &self.reference
    }

    /// How it compares.
    #[must_use]
    pub fn method(&self) -> Method {
        self.info.spec.method
    }

    /// What it gives.
    #[must_use]
    pub fn output(&self) -> Output {
        self.info.output
    }

    /// Whether case counts.
    #[must_use]
    pub fn ignore_case(&self) -> bool {
        self.info.spec.ignore_case
    }

    /// Whether HAProxy keeps such patterns in a tree; what `get map` says of them.
    #[must_use]
    pub fn is_tree(&self) -> bool {
        let Spec { method, ignore_case } = self.info.spec;
        matches!(method, Method::Ip) || (!ignore_case && matches!(method, Method::Str | Method::Beg))
    }

    /// Adds a pattern of an ACL's own line.
    pub(crate) fn load(&self, key: &str) -> Result<(), ParseError> {
        self.reference.load(key.as_bytes(), None, 0).map_err(|error| match error {
            EditError::Malformed(text) => ParseError::new(text),
            other => ParseError::new(other.to_string()),
        })
    }

    /// Whether a value matches an entry.
    #[must_use]
    pub fn matches(&self, value: SampleRef<'_>) -> bool {
        self.reference.with_live(|live| live.find(self.info.index, value).is_some())
    }

    /// The entry that a value matches.
    #[must_use]
    pub fn find(&self, value: SampleRef<'_>) -> Option<Found> {
        self.reference.with_live(|live| {
            let id = live.find(self.info.index, value)?;
            Some(Found { id, element: live.get(id)?.clone() })
        })
    }

    /// The text that a map gives for a value: the entry's value, or its pattern.
    #[must_use]
    pub fn text(&self, value: SampleRef<'_>) -> Option<Vec<u8>> {
        self.reference.with_live(|live| {
            let id = live.find(self.info.index, value)?;
            let element = live.get(id)?;
            let text = element.value.as_deref().unwrap_or_default();
            match self.info.output {
                Output::Key => Some(element.key.to_vec()),
                Output::Expanded => {
                    let input = value.text();
                    let groups = live.index(self.info.index)?.regex(id)?.0.captures(&input)?;
                    let mut out = Vec::with_capacity(text.len() + input.len());
                    expand(text, &groups, &mut out);
                    Some(out)
                }
                _ => Some(text.to_vec()),
            }
        })
    }
}

impl std::fmt::Debug for PatternList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatternList")
            .field("reference", &self.reference.number())
            .field("info", &self.info)
            .finish()
    }
}

impl PartialEq for PatternList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reference, &other.reference) && self.info == other.info
    }
}

impl Eq for PatternList {}
