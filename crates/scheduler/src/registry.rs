//! Which schedulers belong to the calling thread.
//!
//! A waker may fire anywhere. It finds out here, with one look at a thread-local, whether it is on its
//! scheduler's thread and may touch the run queue directly. Scheduler ids are never reused, so a seat
//! taken over by another scheduler is told apart.

use std::cell::RefCell;
use std::rc::Rc;

use crate::core::Core;
use crate::task::Header;
use crate::woken::Woken;

#[cfg(not(loom))]
thread_local! {
    static SEATS: RefCell<Vec<Option<Rc<Core>>>> = const { RefCell::new(Vec::new()) };
}

#[cfg(loom)]
loom::thread_local! {
    static SEATS: RefCell<Vec<Option<Rc<Core>>>> = RefCell::new(Vec::new());
}

/// The first free seat of this thread.
pub(crate) fn free_seat() -> u32 {
    let free = |seats: &Vec<Option<_>>| seats.iter().position(Option::is_none).unwrap_or(seats.len());
    SEATS.with(|seats| free(&seats.borrow())) as u32
}

pub(crate) fn sit(seat: u32, core: Rc<Core>) {
    SEATS.with(|seats| {
        let (mut seats, seat) = (seats.borrow_mut(), seat as usize);
        if seats.len() <= seat {
            seats.resize_with(seat + 1, || None);
        }
        seats[seat] = Some(core);
    });
}

pub(crate) fn leave(seat: u32) {
    // Dropped outside the borrow: the last reference may free what wakes others.
    drop(SEATS.try_with(|seats| seats.borrow_mut()[seat as usize].take()));
}

/// Wakes a task if this is its thread, and says whether the pender is to be told.
pub(crate) fn wake(header: &Header, reasons: Woken) -> Option<bool> {
    SEATS
        .try_with(|seats| {
            let seats = seats.try_borrow().ok()?;
            let core = seats.get(header.seat as usize)?.as_ref()?;
            (core.id == header.scheduler).then(|| core.wake(header, reasons))
        })
        .ok()
        .flatten()
}

pub(crate) fn find(scheduler: u64, seat: u32) -> Option<Rc<Core>> {
    SEATS
        .try_with(|seats| {
            let seats = seats.try_borrow().ok()?;
            let core = seats.get(seat as usize)?.as_ref()?;
            (core.id == scheduler).then(|| Rc::clone(core))
        })
        .ok()
        .flatten()
}
