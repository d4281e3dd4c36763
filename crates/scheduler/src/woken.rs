//! Why a task was woken: HAProxy's wake reasons as a small set.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of wake reasons, gathered between two runs of a task and shown to it at the next one.
///
/// Reasons accumulate: ten wakes before a run give one run that sees all ten reasons. A wake through
/// a plain [`std::task::Waker`] carries no reason and is shown as [`OTHER`](Self::OTHER).
///
/// # Source
/// `TASK_WOKEN_*` and `TASK_F_UEVT*` of HAProxy's scheduler API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Woken(u32);

impl Woken {
    /// No reason at all. A tasklet that wakes itself for no reason moves to the bulk class.
    pub const NONE: Self = Self(0);
    /// The first run after `spawn`. Set by the scheduler.
    pub const INIT: Self = Self(1 << 4);
    /// A timer of this task expired. Set by the scheduler.
    pub const TIMER: Self = Self(1 << 5);
    /// Something became readable or writable.
    pub const IO: Self = Self(1 << 6);
    /// A signal the task asked for arrived.
    pub const SIGNAL: Self = Self(1 << 7);
    /// A message from another task.
    pub const MSG: Self = Self(1 << 8);
    /// A resource the task waited for is available.
    pub const RES: Self = Self(1 << 9);
    /// Any other reason, and every wake through a plain `Waker`.
    pub const OTHER: Self = Self(1 << 10);
    /// First one-shot event whose meaning belongs to the embedder.
    pub const USER1: Self = Self(1 << 11);
    /// Second one-shot event whose meaning belongs to the embedder.
    pub const USER2: Self = Self(1 << 12);
    /// Third one-shot event whose meaning belongs to the embedder.
    pub const USER3: Self = Self(1 << 13);

    /// All the bits that reasons may use inside a state word.
    pub(crate) const MASK: u32 = 0x3ff0;

    const NAMES: [(Self, &'static str); 10] = [
        (Self::INIT, "INIT"),
        (Self::TIMER, "TIMER"),
        (Self::IO, "IO"),
        (Self::SIGNAL, "SIGNAL"),
        (Self::MSG, "MSG"),
        (Self::RES, "RES"),
        (Self::OTHER, "OTHER"),
        (Self::USER1, "USER1"),
        (Self::USER2, "USER2"),
        (Self::USER3, "USER3"),
    ];

    /// Whether every reason of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_state(state: u32) -> Self {
        Self(state & Self::MASK)
    }

    /// What is recorded: a wake without reason shows as `OTHER`.
    pub(crate) const fn recorded(self) -> Self {
        if self.0 == 0 { Self::OTHER } else { self }
    }
}

impl BitOr for Woken {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Woken {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| *name);
        match names.next() {
            None => f.write_str("NONE"),
            Some(first) => {
                f.write_str(first)?;
                names.try_for_each(|name| write!(f, "|{name}"))
            }
        }
    }
}
