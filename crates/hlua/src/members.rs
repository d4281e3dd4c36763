//! The objects that serve as `txn.f`, `txn.http` and so on: kept with a coroutine for one run after the other.
//!
//! Making such a table costs a tenth of a small action. Reused, one that a script kept belongs to whichever run
//! touched that member last on this coroutine, and to no other: it never reaches a stream whose function is not the
//! one running. What a function has touched once is put into the object of its next runs from the start, which spares
//! those runs the call that makes members.
//!
//! INVARIANT: an address in [`Objects`] is that of a table which the present run keeps alive, by its coroutine's slot
//! or its coroutine's members. So an object is known by its address alone.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use crate::api::Class;

/// How many members there are.
pub(crate) const COUNT: usize = 7;

/// A set of members, a bit each by [`place_of`].
pub(crate) type Places = u8;

/// The field that each is in.
pub(crate) const NAMES: [&CStr; COUNT] = [c"f", c"sf", c"c", c"sc", c"http", c"req", c"res"];

/// The place of `txn.http`, which a TCP stream has not.
pub(crate) const HTTP: usize = 4;

/// From this place on an object's handle says which direction it is of, so that each run sets it anew.
pub(crate) const HANDLED: usize = 5;

/// The place of the member with that class and handle.
pub(crate) fn place_of(class: Class, handle: i64) -> usize {
    match class {
        Class::Fetches => 0,
        Class::StringFetches => 1,
        Class::Converters => 2,
        Class::StringConverters => 3,
        Class::Http => HTTP,
        _ => HANDLED + usize::from(handle < 0),
    }
}

/// One coroutine's kept objects.
#[derive(Default)]
pub(crate) struct Members([Kept; COUNT]);

/// A registry reference, 0 where the object was not needed yet, and where the object is.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) reference: c_int,
    pub(crate) address: *const c_void,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { reference: 0, address: ptr::null() }
    }
}

impl Members {
    /// What is kept at that place.
    pub(crate) fn at(&self, place: usize) -> Option<Kept> {
        Some(self.0[place]).filter(|kept| kept.reference != 0)
    }

    pub(crate) fn keep(&mut self, place: usize, kept: Kept) {
        self.0[place] = kept;
    }

    /// Every reference.
    pub(crate) fn references(&self) -> impl Iterator<Item = c_int> {
        self.0.into_iter().map(|kept| kept.reference).filter(|reference| *reference != 0)
    }
}

/// The addresses of the present run's own object and of the members that it touched; null for the rest.
pub(crate) struct Objects {
    own: Cell<*const c_void>,
    members: [Cell<*const c_void>; COUNT],
}

impl Default for Objects {
    fn default() -> Self {
        Objects { own: Cell::new(ptr::null()), members: [const { Cell::new(ptr::null()) }; COUNT] }
    }
}

impl Objects {
    /// A run begins or goes on.
    pub(crate) fn set(&self, own: *const c_void, members: Option<&Members>, touched: Places) {
        self.own.set(own);
        for (place, address) in self.members.iter().enumerate() {
            let kept = members.filter(|_| touched >> place & 1 != 0).and_then(|members| members.at(place));
            address.set(kept.map_or(ptr::null(), |kept| kept.address));
        }
    }

    pub(crate) fn set_member(&self, place: usize, address: *const c_void) {
        self.members[place].set(address);
    }

    /// Takes over every address of `from`.
    pub(crate) fn restore(&self, from: &Objects) {
        self.own.set(from.own.get());
        for (to, from) in self.members.iter().zip(&from.members) {
            to.set(from.get());
        }
    }

    /// Whether the table at that address is this run's object of that class. No: look at its handle.
    pub(crate) fn has(&self, class: Class, address: *const c_void) -> bool {
        let at = |place: usize| ptr::eq(self.members[place].get(), address);
        match class {
            Class::Txn | Class::AppletHttp | Class::AppletTcp => ptr::eq(self.own.get(), address),
            Class::Fetches => at(1) || at(0),
            Class::Converters => at(3) || at(2),
            Class::Http => at(HTTP),
            _ => false,
        }
    }
}
