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
use crate::task::{Header, TaskId};

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// What is taken out of the slot while it runs.
pub(crate) struct Body {
    pub(crate) future: BoxFuture,
    pub(crate) waker: Waker,
    pub(crate) header: Arc<Header>,
}

struct Slot {
    generation: u32,
    name: u32,
    last_pass: u64,
    body: Option<Body>,
    spare: Option<(Arc<Header>, Waker)>,
}

/// Why a slot's body could not be taken.
pub(crate) enum Take {
    Body(Body, u32),
    /// It ran in this pass already.
    AlreadyRan,
    /// No such task any more.
    Gone,
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
            self.slots.push(Slot { generation: 0, name, last_pass: 0, body: None, spare: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 tasks")
        });
        let slot = &mut self.slots[index as usize];
        slot.name = name;
        slot.last_pass = 0;
        self.names[name as usize].spawned += 1;
        self.names[name as usize].live += 1;
        (TaskId::new(index, slot.generation), slot.spare.take())
    }

    pub(crate) fn put(&mut self, id: TaskId, body: Body) {
        self.slots[id.index()].body = Some(body);
    }

    /// Takes a body to run it in pass `pass`.
    pub(crate) fn take_for_run(&mut self, id: TaskId, pass: u64) -> Take {
        let Some(slot) = self.slots.get_mut(id.index()) else { return Take::Gone };
        if slot.generation != id.generation() {
            return Take::Gone;
        }
        if slot.last_pass == pass {
            return Take::AlreadyRan;
        }
        let Some(body) = slot.body.take() else { return Take::Gone };
        slot.last_pass = pass;
        Take::Body(body, slot.name)
    }

    /// Takes a body to free it; the running task has none.
    pub(crate) fn take(&mut self, id: TaskId) -> Option<Body> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation != id.generation() { None } else { slot.body.take() }
    }

    /// The first body at or after a slot, for the scheduler's end.
    pub(crate) fn take_from(&mut self, index: &mut usize) -> Option<(TaskId, Body)> {
        while let Some(slot) = self.slots.get_mut(*index) {
            let id = TaskId::new(*index as u32, slot.generation);
            *index += 1;
            if let Some(body) = slot.body.take() {
                return Some((id, body));
            }
        }
        None
    }

    pub(crate) fn header(&self, id: TaskId) -> Option<&Arc<Header>> {
        let slot = self.slots.get(id.index())?;
        if slot.generation != id.generation() {
            return None;
        }
        slot.body.as_ref().map(|body| &body.header)
    }

    /// Frees a slot whose future has been dropped, and answers its name.
    pub(crate) fn release(&mut self, id: TaskId, header: Arc<Header>, waker: Waker) -> &'static str {
        let slot = &mut self.slots[id.index()];
        let stats = &mut self.names[slot.name as usize];
        stats.live -= 1;
        self.live -= 1;
        // Ours and the waker's: nobody else can see the header, so it may serve the next task.
        if Arc::strong_count(&header) == 2 {
            slot.spare = Some((header, waker));
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
