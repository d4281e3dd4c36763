//! The scheduler of the calling thread: the one that ran last, if there are several.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use crate::core::Core;
use crate::sync::thread_local;

thread_local! {
    static HERE: RefCell<Weak<Core>> = const { RefCell::new(Weak::new()) };
}

/// Makes it the thread's.
pub(crate) fn set(core: &Rc<Core>) {
    // At the end of the thread there is nobody left to ask for it.
    let _ = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        if !std::ptr::eq(here.as_ptr(), Rc::as_ptr(core)) {
            *here = Rc::downgrade(core);
        }
    });
}

/// The thread's scheduler, if it has one.
pub(crate) fn with<R>(f: impl FnOnce(&Rc<Core>) -> R) -> Option<R> {
    let core = HERE.try_with(|here| here.borrow().upgrade()).ok().flatten();
    core.map(|core| f(&core))
}
