//! Event families: what an embedder declares, and how its events are named.
//!
//! HAProxy's "safe" and "unsafe" event data are two types here. A handler that runs inside `publish`
//! borrows [`Family::Live`]; whatever outlives `publish` owns a [`Family::Snapshot`]. The compiler then
//! refuses what HAProxy's guide asks its readers not to do.

use std::fmt;
use std::ops::{BitOr, BitOrAssign, Sub};

use crate::Error;

/// A family of up to 16 kinds of events that share their data types.
pub trait Family: Sized + 'static {
    /// What a sync handler borrows from the publisher; gone when the handler returns.
    type Live<'a>;
    /// What queues own. Made at most once a publication, and only if a queue matches.
    type Snapshot: Send + Sync + 'static;
    /// The family's name: it stands for all its subtypes.
    const NAME: &'static str;
    /// The names of the subtypes, one bit each.
    const SUBTYPES: &'static [(&'static str, Subtypes)];
    /// Copies out of the live data what may be looked at later.
    fn snapshot(live: &Self::Live<'_>) -> Self::Snapshot;
}

/// A set of subtypes of one family: 16 bits.
///
/// # Source
/// `struct event_hdl_sub_type`, event_hdl guide §2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Subtypes(u16);

impl Subtypes {
    /// No subtype. Publishing it reaches every subscription of the family.
    pub const NONE: Self = Self(0);
    /// The whole family.
    pub const ALL: Self = Self(u16::MAX);

    /// The subtype number `n`, 1 to 16.
    ///
    /// # Panics
    /// If `n` is out of range: in a constant, when compiling.
    #[must_use]
    pub const fn bit(n: u32) -> Self {
        assert!(n >= 1 && n <= 16, "subtypes are numbered 1 to 16");
        Self(1 << (n - 1))
    }

    /// The set as bits, subtype 1 lowest.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set of these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Both sets together; `|` for constants.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Asks for these subtypes under an id.
    #[must_use]
    pub const fn with_id(self, id: crate::SubscriptionId) -> crate::Request {
        crate::Request { subtypes: self, id: Some(id) }
    }
}

impl BitOr for Subtypes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Subtypes {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Sub for Subtypes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Subtypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subtypes({:#06x})", self.0)
    }
}

/// A family's names as a value, to look events up among several families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The family's name.
    pub family: &'static str,
    /// Its subtypes.
    pub subtypes: &'static [(&'static str, Subtypes)],
}

impl Names {
    /// The names of a family.
    #[must_use]
    pub const fn of<F: Family>() -> Self {
        Self { family: F::NAME, subtypes: F::SUBTYPES }
    }

    /// The subtypes that one name stands for: one, or all for the family's own name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Subtypes> {
        if name == self.family {
            return Some(Subtypes::ALL);
        }
        self.subtypes.iter().find(|(known, _)| *known == name).map(|(_, subtypes)| *subtypes)
    }

    /// Reads `A|B|C`, blanks around the names allowed.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a name of no subtype, the empty one included.
    pub fn parse(&self, text: &str) -> Result<Subtypes, Error> {
        text.split('|').map(str::trim).try_fold(Subtypes::NONE, |all, name| {
            let found = self.find(name).ok_or_else(|| Error::UnknownName(name.to_owned()))?;
            Ok(all | found)
        })
    }

    /// Prints a set as `A|B|C`, a whole family by its name, unnamed bits in hexadecimal.
    #[must_use]
    pub fn show(&self, subtypes: Subtypes) -> impl fmt::Display + use<> {
        Shown { names: *self, subtypes }
    }
}

/// Finds the one family that all the names belong to, as its index, and the subtypes they stand for.
///
/// # Errors
/// [`Error::NoSubtypes`] without names, [`Error::UnknownName`], and [`Error::MixedFamilies`] where HAProxy
/// silently ignores the names of another family than the first.
pub fn resolve<'n>(
    families: &[Names],
    names: impl IntoIterator<Item = &'n str>,
) -> Result<(usize, Subtypes), Error> {
    let mut found: Option<(usize, Subtypes)> = None;
    for name in names {
        let hit = families.iter().enumerate().find_map(|(i, family)| Some((i, family.find(name)?)));
        let (index, subtypes) = hit.ok_or_else(|| Error::UnknownName(name.to_owned()))?;
        match &mut found {
            None => found = Some((index, subtypes)),
            Some((first, all)) if *first == index => *all |= subtypes,
            Some((first, _)) => {
                let family = families[*first].family;
                return Err(Error::MixedFamilies { name: name.to_owned(), family });
            }
        }
    }
    found.ok_or(Error::NoSubtypes)
}

struct Shown {
    names: Names,
    subtypes: Subtypes,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subtypes == Subtypes::ALL {
            return f.write_str(self.names.family);
        }
        let mut rest = self.subtypes;
        let mut separator = "";
        for (name, bit) in self.names.subtypes {
            if !bit.is_empty() && self.subtypes.contains(*bit) {
                write!(f, "{separator}{name}")?;
                separator = "|";
                rest = rest - *bit;
            }
        }
        if !rest.is_empty() || separator.is_empty() {
            write!(f, "{separator}{:#x}", rest.bits())?;
        }
        Ok(())
    }
}
