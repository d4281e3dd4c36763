//! Where tasks live: slots of 32 bytes in chunks that never move.
//!
//! ```text
//!   chunk, 4 KiB, aligned to its size
//!   ┌────────┬────────┬────────┬───
//!   │ Header │ Slot 1 │ Slot 2 │ …        a waker is the address of a slot; the address rounded down
//!   └────────┴────────┴────────┴───       is that of the header, which names the owner
//! ```
//!
//! A slot has two state words. The owner alone writes `state`, with plain stores; everybody writes
//! `shared`, with atomic read-modify-writes: wakes and kills from other threads, and the count of wakers
//! and handles. A wake on the owner's thread so costs no atomic read-modify-write, and a task that nobody
//! else refers to ends without one.
//!
//! INVARIANT: a slot is used again only when its future has been dropped, no entry of it stands in a run
//! queue (QUEUED) or in the shared queue (R_QUEUED), and its count is zero.
//! INVARIANT: chunks are freed with [`Shared`], which lives as long as its scheduler, a
//! handle to it, or any counted slot.

use std::cell::Cell;
use std::mem::size_of;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU16;

use crate::budget::Class;
use crate::core::Core;
use crate::remote::Shared;
use crate::sync::{AtomicU32, EXACT, Ordering, PLACES};
use crate::task::TaskId;

/// In a run queue: more wakes only add reasons.
pub(crate) const QUEUED: u32 = 1;
/// Its future is being polled.
pub(crate) const RUNNING: u32 = 1 << 1;
/// To be freed instead of run. In both words.
pub(crate) const KILLED: u32 = 1 << 2;
/// Ended: finished, killed or panicked. In both words.
pub(crate) const DONE: u32 = 1 << 3;
// Bits 4 to 13 of both words: the wake reasons.
/// A tasklet: goes straight to a class list, has no nice.
pub(crate) const TASKLET: u32 = 1 << 14;

/// Of `shared`: an entry of the slot stands in the shared queue.
pub(crate) const R_QUEUED: u32 = 1;
/// Of `shared`: that entry owns one count.
pub(crate) const R_RECLAIM: u32 = 1 << 1;
/// Of `shared`: the scheduler has gone; whoever drops the last count frees the chunks with it.
pub(crate) const R_ORPHAN: u32 = 1 << 14;
/// Of `shared`: too many counts for the field; the slot is never used again.
pub(crate) const R_PINNED: u32 = 1 << 15;
/// One count of `shared`, in its upper half.
pub(crate) const REF: u32 = 1 << 16;
/// From here on clones are not counted but pin the slot: far below the end of the field, as several
/// threads may pass it at once.
pub(crate) const REFS_MAX: u32 = 1 << 15;

/// No timer of its own.
pub(crate) const NO_TIMER: u32 = u32::MAX;

/// `prio` of a task with nice 0 and no class of its own.
pub(crate) const PRIO_DEFAULT: u16 = NICE_ZERO;
/// `prio` of a tasklet without a class of its own: nothing but a class list will do for it.
pub(crate) const PRIO_TASKLET: u16 = PRIO_OF_TASKLETS | NICE_ZERO;
const PRIO_OF_TASKLETS: u16 = 1 << 15;
const NICE_ZERO: u16 = 1024;
const NICE_BITS: u16 = 0x0fff;
const CLASS_BITS: u16 = 0x7000;

const CHUNK: usize = 4096;

/// A task or tasklet.
#[repr(C)]
pub(crate) struct Slot {
    /// The boxed future; in a free slot the next free one; null while it is being dropped.
    pub(crate) data: Cell<*mut ()>,
    pub(crate) state: Cell<u32>,
    pub(crate) shared: AtomicU32,
    /// Its own timer, if it has one.
    pub(crate) timer: Cell<u32>,
    /// Counts the tasks that lived here.
    pub(crate) generation: Cell<u32>,
    /// The pass in which it ran last, 0 for none.
    pub(crate) mark: Cell<u32>,
    /// What is known of its function.
    pub(crate) site: Cell<u16>,
    /// Nice and class; any thread may write it.
    prio: AtomicU16,
}

/// What all slots of a chunk share.
#[repr(C)]
pub(crate) struct Header {
    shared: *const Shared,
    /// The owner; null once it has gone. Only the owner's thread looks.
    core: Cell<*const Core>,
    /// The owner's thread.
    thread: u64,
    first: u32,
}

#[repr(C, align(4096))]
struct Chunk {
    header: Header,
    slots: [Slot; PLACES - 1],
}

const _: () = assert!(!EXACT || size_of::<Slot>() == 32 && size_of::<Header>() == 32);
const _: () = assert!(size_of::<Chunk>() == CHUNK);

/// A slot of a chunk that is alive.
///
/// INVARIANT: whoever holds one also holds what keeps the chunk: the scheduler's inside, or a count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef(NonNull<Slot>);

#[expect(unsafe_code, reason = "32 bytes a task and wakes at 12 ns: a waker is the address of a slot")]
impl SlotRef {
    /// The slot that a waker points to.
    ///
    /// # Safety
    /// `data` comes from [`as_ptr`](Self::as_ptr), and a count of that slot is held, or its task is
    /// being polled.
    pub(crate) unsafe fn from_ptr(data: *const ()) -> Self {
        // SAFETY: it came from `as_ptr`, so it is not null.
        Self(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) })
    }

    /// Stands where there is none; never to be followed.
    pub(crate) const NOBODY: Self = Self(NonNull::dangling());

    pub(crate) fn as_ptr(self) -> *const () {
        self.0.as_ptr().cast()
    }

    fn header(&self) -> &Header {
        let header = self.0.as_ptr().map_addr(|address| address & !(CHUNK - 1)).cast::<Header>();
        // SAFETY: the chunk is alive (the type's invariant), it is aligned to its size, the slot's
        // address was derived from the chunk's, and the header stands first in it.
        unsafe { &*header }
    }

    /// Whether the calling thread, of this token, owns the slot.
    pub(crate) fn belongs_to(&self, thread: u64) -> bool {
        self.header().thread == thread
    }

    /// The owner, unless it has gone.
    ///
    /// # Safety
    /// The caller is on the owner's thread, and lets go of the reference before the owner can go.
    pub(crate) unsafe fn core(&self) -> Option<&Core> {
        // SAFETY: the owner nulls the pointer before it goes, on this very thread.
        unsafe { self.header().core.get().as_ref() }
    }

    /// The part of the owner that outlives it.
    pub(crate) fn shared(&self) -> *const Shared {
        self.header().shared
    }
}

#[expect(unsafe_code, reason = "see above")]
impl Deref for SlotRef {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        // SAFETY: the chunk is alive (the type's invariant) and was filled before it gave out slots.
        // Other threads touch the atomic fields and the header only.
        unsafe { self.0.as_ref() }
    }
}

impl SlotRef {
    /// Its number in the slab.
    pub(crate) fn index(self) -> u32 {
        let offset = (self.0.as_ptr().addr() & (CHUNK - 1)) - std::mem::offset_of!(Chunk, slots);
        self.header().first + (offset / size_of::<Slot>()) as u32
    }

    pub(crate) fn id(self) -> TaskId {
        TaskId::new(self.index(), self.generation.get())
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            data: Cell::new(std::ptr::null_mut()),
            state: Cell::new(DONE | RUNNING),
            shared: AtomicU32::new(0),
            timer: Cell::new(NO_TIMER),
            generation: Cell::new(0),
            mark: Cell::new(0),
            site: Cell::new(0),
            prio: AtomicU16::new(PRIO_DEFAULT),
        }
    }

    pub(crate) fn set_prio(&self, prio: u16) {
        self.prio.store(prio, Ordering::Relaxed);
    }

    pub(crate) fn nice(&self) -> i32 {
        i32::from(self.prio.load(Ordering::Relaxed) & NICE_BITS) - i32::from(NICE_ZERO)
    }

    pub(crate) fn set_nice(&self, nice: i32) {
        let bits = (nice.clamp(-1024, 1024) + i32::from(NICE_ZERO)) as u16;
        let _ = self
            .prio
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |prio| Some(prio & !NICE_BITS | bits));
    }

    /// The class it is pinned to.
    pub(crate) fn class(&self) -> Option<Class> {
        match (self.prio.load(Ordering::Relaxed) & CLASS_BITS) >> 12 {
            0 => None,
            class => Class::ALL.get(usize::from(class) - 1).copied(),
        }
    }

    pub(crate) fn set_class(&self, class: Option<Class>) {
        let bits = class.map_or(0, |class| class as u16 + 1) << 12;
        let _ = self
            .prio
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |prio| Some(prio & !CLASS_BITS | bits));
    }

    /// A tasklet that is not pinned: the usual case.
    #[inline]
    pub(crate) fn is_plain_tasklet(&self) -> bool {
        self.prio.load(Ordering::Relaxed) == PRIO_TASKLET
    }

    /// Ended, as seen from any thread that holds a count.
    pub(crate) fn is_done(&self) -> bool {
        self.shared.load(Ordering::Acquire) & DONE != 0
    }
}

/// The chunks of one scheduler; they are freed when this is dropped.
#[derive(Default)]
pub(crate) struct Chunks(Vec<NonNull<Chunk>>);

#[expect(unsafe_code, reason = "see above")]
// SAFETY: it only frees them, and whoever drops it is the last to know of them.
unsafe impl Send for Chunks {}

#[expect(unsafe_code, reason = "see above")]
impl Drop for Chunks {
    fn drop(&mut self) {
        for chunk in &self.0 {
            // SAFETY: each was made by `Box::new` in `Slab::grow` and is freed once, here.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
    }
}

/// An entry of a queue that several threads use.
#[derive(Clone, Copy)]
pub(crate) struct SharedSlot(pub(crate) SlotRef);

#[expect(unsafe_code, reason = "see above")]
// SAFETY: only the owner takes it out again; it uses the rest of the slot on its thread.
unsafe impl Send for SharedSlot {}

/// The owner's view of its chunks.
pub(crate) struct Slab {
    chunks: Vec<NonNull<Chunk>>,
    free: Option<SlotRef>,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: None }
    }

    /// Takes a free slot.
    #[expect(unsafe_code, reason = "see above")]
    pub(crate) fn reserve(&mut self, core: &Core) -> SlotRef {
        let slot = match self.free {
            Some(slot) => slot,
            None => self.grow(core),
        };
        // SAFETY: `data` of a free slot is null or was stored by `release`, from `as_ptr`.
        self.free = NonNull::new(slot.data.get()).map(|next| unsafe { SlotRef::from_ptr(next.as_ptr()) });
        slot
    }

    /// Takes a slot back whose future has been dropped and that nobody refers to.
    pub(crate) fn release(&mut self, slot: SlotRef) {
        // A slot whose generations are used up is not used again.
        if let Some(generation) = slot.generation.get().checked_add(1) {
            slot.generation.set(generation);
            slot.data.set(self.free.map_or(std::ptr::null_mut(), |next| next.as_ptr().cast_mut()));
            self.free = Some(slot);
        }
    }

    /// The slot of a number that was given out.
    #[expect(unsafe_code, reason = "see above")]
    pub(crate) fn slot(&self, index: u32) -> Option<SlotRef> {
        let (chunk, place) = (index as usize / PLACES, index as usize % PLACES);
        let chunk = self.chunks.get(chunk)?;
        if place >= PLACES - 1 {
            return None;
        }
        // SAFETY: the chunk is alive, and the place lies in its array.
        let slot = unsafe { (&raw mut (*chunk.as_ptr()).slots).cast::<Slot>().add(place) };
        NonNull::new(slot).map(SlotRef)
    }

    /// The first slot at or after a number, which is moved on past it.
    pub(crate) fn from(&self, index: &mut u32) -> Option<SlotRef> {
        let mut all = *index..(self.chunks.len() * PLACES) as u32;
        let slot = all.find_map(|index| self.slot(index))?;
        *index = slot.index() + 1;
        Some(slot)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = SlotRef> + '_ {
        let mut index = 0;
        std::iter::from_fn(move || self.from(&mut index))
    }

    /// Tells all slots that the owner goes.
    #[expect(unsafe_code, reason = "see above")]
    pub(crate) fn disown(&self) {
        for chunk in &self.chunks {
            // SAFETY: the chunk is alive, and this is the owner's thread.
            unsafe { &(*chunk.as_ptr()).header }.core.set(std::ptr::null());
        }
    }

    #[cold]
    fn grow(&mut self, core: &Core) -> SlotRef {
        let first = u32::try_from(self.chunks.len() * PLACES).expect("fewer than 2^32 tasks");
        let header = Header {
            shared: std::sync::Arc::as_ptr(&core.shared),
            core: Cell::new(std::ptr::from_ref(core)),
            thread: core.thread,
            first,
        };
        let chunk = Box::new(Chunk { header, slots: std::array::from_fn(|_| Slot::new()) });
        let chunk = NonNull::from(Box::leak(chunk));
        core.shared.keep(|chunks| chunks.0.push(chunk));
        self.chunks.push(chunk);
        let mut next = None::<SlotRef>;
        for place in (0..PLACES as u32 - 1).rev() {
            let slot = self.slot(first + place).expect("the chunk was just added");
            slot.data.set(next.map_or(std::ptr::null_mut(), |next| next.as_ptr().cast_mut()));
            next = Some(slot);
        }
        next.expect("a chunk has slots")
    }
}
