//! Panics: caught, told to a hook, and forgotten.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::task::TaskId;

/// What a panic left behind, for the hook set with [`Handle::on_panic`](crate::Handle::on_panic).
#[non_exhaustive]
pub struct TaskPanic<'a> {
    /// The name the object was spawned under, or `"remote job"`.
    pub name: &'static str,
    /// The object, unless it was a remote job or a shared task.
    pub task: Option<TaskId>,
    /// What `panic!` was given.
    pub payload: &'a (dyn Any + Send),
}

impl TaskPanic<'_> {
    /// The panic's text, if it is one.
    #[must_use]
    pub fn message(&self) -> &str {
        let text = self.payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
    }
}

impl std::fmt::Debug for TaskPanic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskPanic").field("name", &self.name).field("message", &self.message()).finish()
    }
}

type Hook = Rc<dyn Fn(&TaskPanic<'_>)>;

#[derive(Default)]
pub(crate) struct Panics {
    hook: RefCell<Option<Hook>>,
    count: Cell<usize>,
}

impl Panics {
    pub(crate) fn set_hook(&self, hook: Hook) {
        let old = self.hook.replace(Some(hook));
        drop(old);
    }

    /// Runs foreign code. What it may leave half done is its own: it is dropped and never used again.
    pub(crate) fn catch<R>(&self, run: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(run))
    }

    /// Panics reported so far.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    pub(crate) fn report(&self, name: &'static str, task: Option<TaskId>, payload: &(dyn Any + Send)) {
        self.count.set(self.count.get() + 1);
        let hook = self.hook.borrow().clone();
        if let Some(hook) = hook {
            // A hook that panics has nobody left to tell.
            let _ = self.catch(|| hook(&TaskPanic { name, task, payload }));
        }
    }
}
