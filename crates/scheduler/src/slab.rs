//! The slots that tasks live in, and the count of calls by name.
//!
//! A slot's generation goes up each time it is freed, so an id left in a queue names nothing any more.
//! A slot whose generations are used up is retired. The header and waker of a freed slot are used again
//! if nobody else holds them: spawning then allocates the boxed future only.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use rustc_hash::FxHashMap;

use crate::stats::NameStats;
use crate::sync::Ordering;
use crate::task::{DONE, Header, KILLED, RUNNING, TASKLET, TaskId};
use crate::woken::Woken;

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// What is taken out of the slot while it runs.
pub(crate) struct Body {
    pub(crate) future: BoxFuture,
    pub(crate) waker: Waker,
}

struct Slot {
    generation: u32,
    name: u32,
    last_pass: u64,
    /// Of the present task, or left by the last one to be used again.
    header: Option<Arc<Header>>,
    waker: Option<Waker>,
    /// `None` while it runs, and in a free slot.
    future: Option<BoxFuture>,
}

/// Why a slot's body could not be taken.
pub(crate) enum Take {
    Run(Running),
    /// Killed by another thread, and to be freed.
    Killed(Body),
    /// It ran in this pass already.
    AlreadyRan,
    /// No such task any more.
    Gone,
}

impl Slot {
    fn take(&mut self) -> Option<Body> {
        let future = self.future.take()?;
        let waker = self.waker.take().expect("a task at rest has its waker");
        Some(Body { future, waker })
    }
}

/// A task about to run, already marked as running.
pub(crate) struct Running {
    pub(crate) body: Body,
    pub(crate) name: u32,
    pub(crate) woken: Woken,
}

#[derive(Default)]
pub(crate) struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
    live: usize,
    pub(crate) names: Vec<NameStats>,
    by_pointer: FxHashMap<(usize, usize), u32>,
    last_name: Option<((usize, usize), u32)>,
}

impl Slab {
    /// Reserves a slot; `header` is called for a new header unless the old one can be used again.
    pub(crate) fn reserve(&mut self, name: u32) -> (TaskId, Option<(Arc<Header>, Waker)>) {
        self.live += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                name,
                last_pass: 0,
                header: None,
                waker: None,
                future: None,
            });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 tasks")
        });
        let slot = &mut self.slots[index as usize];
        slot.name = name;
        slot.last_pass = 0;
        self.names[name as usize].spawned += 1;
        self.names[name as usize].live += 1;
        let spare = slot.header.take().zip(slot.waker.take());
        (TaskId::new(index, slot.generation), spare)
    }

    /// Fills a reserved slot.
    pub(crate) fn fill(&mut self, id: TaskId, header: Arc<Header>, body: Body) {
        self.slots[id.index()].header = Some(header);
        self.put(id, body);
    }

    fn put(&mut self, id: TaskId, body: Body) {
        let slot = &mut self.slots[id.index()];
        slot.waker = Some(body.waker);
        slot.future = Some(body.future);
    }

    fn slot(&mut self, id: TaskId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())
    }

    /// Takes a task to run it in pass `pass`, and marks it as running.
    pub(crate) fn take_for_run(&mut self, id: TaskId, pass: u64) -> Take {
        let Some(slot) = self.slot(id) else { return Take::Gone };
        if slot.last_pass == pass {
            return Take::AlreadyRan;
        }
        let Some(body) = slot.take() else { return Take::Gone };
        let Some(header) = &slot.header else { return Take::Gone };
        if header.remote.load(Ordering::Relaxed) & KILLED != 0 {
            return Take::Killed(body);
        }
        slot.last_pass = pass;
        let state = header.local.load(Ordering::Relaxed);
        header.local.store(state & TASKLET | RUNNING, Ordering::Relaxed);
        Take::Run(Running { body, name: slot.name, woken: Woken::from_state(state) })
    }

    /// Counts a run, and puts the task back unless it has ended or been killed: then it is handed back.
    pub(crate) fn after_run(&mut self, id: TaskId, name: u32, body: Body, ended: bool) -> Option<Body> {
        self.names[name as usize].calls += 1;
        if ended {
            return Some(body);
        }
        let header = self.slots[id.index()].header.as_ref().expect("a running task has its header");
        let state = header.local.load(Ordering::Relaxed);
        if state & KILLED != 0 {
            return Some(body);
        }
        header.local.store(state & !RUNNING, Ordering::Relaxed);
        self.put(id, body);
        None
    }

    /// Takes a task to free it; the running one cannot be taken.
    pub(crate) fn take(&mut self, id: TaskId) -> Option<Body> {
        self.slot(id)?.take()
    }

    /// The first task at or after a slot, for the scheduler's end.
    pub(crate) fn take_from(&mut self, index: &mut usize) -> Option<(TaskId, Body)> {
        while let Some(slot) = self.slots.get_mut(*index) {
            let id = TaskId::new(*index as u32, slot.generation);
            *index += 1;
            if let Some(body) = slot.take() {
                return Some((id, body));
            }
        }
        None
    }

    pub(crate) fn header(&self, id: TaskId) -> Option<&Arc<Header>> {
        let slot = self.slots.get(id.index())?;
        if slot.generation == id.generation() { slot.header.as_ref() } else { None }
    }

    /// Tells everybody who holds the header that its task has ended.
    pub(crate) fn mark_done(&self, id: TaskId) {
        if let Some(header) = self.header(id) {
            let state = header.local.load(Ordering::Relaxed);
            header.local.store(state & !RUNNING | DONE, Ordering::Release);
        }
    }

    pub(crate) fn count_panic(&mut self, name: u32) -> &'static str {
        let stats = &mut self.names[name as usize];
        stats.panics += 1;
        stats.name
    }

    /// Frees a slot whose future has been dropped, and answers its name.
    pub(crate) fn release(&mut self, id: TaskId, waker: Waker) -> &'static str {
        let slot = &mut self.slots[id.index()];
        let stats = &mut self.names[slot.name as usize];
        stats.live -= 1;
        self.live -= 1;
        // Ours and the waker's: nobody else can see the header, so it may serve the next task.
        if slot.header.as_ref().is_some_and(|header| Arc::strong_count(header) == 2) {
            slot.waker = Some(waker);
        } else {
            slot.header = None;
        }
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(id.index() as u32);
        }
        stats.name
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The number of a name; `Err` if it is new, with the number it has got.
    pub(crate) fn intern(&mut self, name: &'static str) -> Result<u32, u32> {
        let pointer = (name.as_ptr() as usize, name.len());
        if let Some((last, number)) = self.last_name
            && last == pointer
        {
            return Ok(number);
        }
        let number = match self.by_pointer.get(&pointer) {
            Some(number) => Ok(*number),
            None => self.intern_text(pointer, name),
        };
        self.last_name = Some((pointer, number.unwrap_or_else(|new| new)));
        number
    }

    /// Equal texts at different addresses are one name.
    fn intern_text(&mut self, pointer: (usize, usize), name: &'static str) -> Result<u32, u32> {
        let known = self.names.iter().position(|stats| stats.name == name);
        let number = known.unwrap_or(self.names.len()) as u32;
        self.by_pointer.insert(pointer, number);
        if known.is_some() {
            return Ok(number);
        }
        self.names.push(NameStats::new(name));
        Err(number)
    }
}
