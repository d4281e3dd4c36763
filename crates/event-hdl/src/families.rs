//! The families of an embedder together: to read and print events of any of them by name.
//!
//! Within a program a family is a type and cannot be confused with another; here, where text comes in, it is a
//! number, and mixing two is an error.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Error, Names, Subtypes, resolve};

/// Up to 255 families, numbered from 1 in the order of declaration.
///
/// # Source
/// event_hdl guide §2: 8 bits of family, 16 of subtypes; family 0 is reserved.
#[derive(Clone, Debug)]
pub struct Families(Vec<Names>);

/// Some events of one family: its number, and subtypes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType {
    /// The family's number among [`Families`], 1 to 255.
    pub family: u8,
    /// The subtypes.
    pub subtypes: Subtypes,
}

impl EventType {
    /// Both together.
    ///
    /// # Errors
    /// [`Error::OtherFamily`], where HAProxy leaves `other` out without a word.
    pub fn union(self, other: Self) -> Result<Self, Error> {
        self.with(other, |a, b| a | b)
    }

    /// This without the other.
    ///
    /// # Errors
    /// [`Error::OtherFamily`].
    pub fn difference(self, other: Self) -> Result<Self, Error> {
        self.with(other, |a, b| a - b)
    }

    /// Whether all of `other` is in this; never of another family.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.family == other.family && self.subtypes.contains(other.subtypes)
    }

    fn with(self, other: Self, both: impl Fn(Subtypes, Subtypes) -> Subtypes) -> Result<Self, Error> {
        if self.family != other.family {
            return Err(Error::OtherFamily);
        }
        Ok(Self { family: self.family, subtypes: both(self.subtypes, other.subtypes) })
    }
}

impl Families {
    /// Declares the families.
    ///
    /// # Errors
    /// [`Error::InvalidFamily`] if there are more than 255, a subtype is not one bit or two are the same bit, or a
    /// name is empty, used twice, or has a blank or `|` in it.
    pub fn new(families: impl IntoIterator<Item = Names>) -> Result<Self, Error> {
        let families: Vec<Names> = families.into_iter().collect();
        let mut names = BTreeSet::new();
        for (index, family) in families.iter().enumerate() {
            let fault = if index >= usize::from(u8::MAX) {
                Some("there are 255 before it")
            } else {
                fault_of(family, &mut names)
            };
            if let Some(reason) = fault {
                return Err(Error::InvalidFamily { family: family.family, reason });
            }
        }
        Ok(Self(families))
    }

    /// The names of a family, by its number.
    #[must_use]
    pub fn names(&self, family: u8) -> Option<&Names> {
        self.0.get(usize::from(family).checked_sub(1)?)
    }

    /// Finds what several names stand for together.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn resolve<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<EventType, Error> {
        let (index, subtypes) = resolve(&self.0, names)?;
        let family = u8::try_from(index + 1).expect("invariant: at most 255 families");
        Ok(EventType { family, subtypes })
    }

    /// Reads `A|B|C`, or a family's name for all of it; blanks around the names allowed.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn parse(&self, text: &str) -> Result<EventType, Error> {
        self.resolve(text.split('|').map(str::trim))
    }

    /// Prints what [`parse`](Self::parse) reads; the number of a family that is not declared.
    #[must_use]
    pub fn show(&self, event: EventType) -> impl fmt::Display + use<> {
        match self.names(event.family) {
            Some(names) => names.show(event.subtypes).to_string(),
            None => format!("{}:{:#x}", event.family, event.subtypes.bits()),
        }
    }
}

fn fault_of(family: &Names, names: &mut BTreeSet<&'static str>) -> Option<&'static str> {
    let mut seen = Subtypes::NONE;
    for (_, subtype) in family.subtypes {
        if !subtype.bits().is_power_of_two() || seen.contains(*subtype) {
            return Some("its subtypes are not one bit each");
        }
        seen |= *subtype;
    }
    for name in std::iter::once(family.family).chain(family.subtypes.iter().map(|(name, _)| *name)) {
        if name.is_empty() || name.contains(|c: char| c == '|' || c.is_whitespace()) {
            return Some("a name in it cannot be read back");
        }
        if !names.insert(name) {
            return Some("a name in it is in use");
        }
    }
    None
}
