//! Futures of any type behind one thin pointer, in memory that is used again.
//!
//! The slot has room for the pointer only; what to do with it stands in the [`Vtable`] of its
//! [`Site`](crate::site::Site). That saves eight bytes a task against `Box<dyn Future>`, and the poll
//! takes as many loads. Memory of small futures goes back to a [`Pool`], by size: short tasks are spawned and
//! freed without the allocator, which takes a third of the instructions otherwise.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::pin::Pin;
use std::ptr::null_mut;
use std::task::{Context, Poll};

/// What can be done with a future of one type.
pub(crate) struct Vtable {
    /// Polls it.
    ///
    /// Safety: the pointer is from [`Pool::put`] of the same type, not dropped, and nobody else uses it.
    pub(crate) poll: unsafe fn(*mut (), &mut Context<'_>) -> Poll<()>,
    /// Drops it in its place; `None` where that does nothing.
    ///
    /// Safety: as `poll`, and it is not used again.
    drop: Option<unsafe fn(*mut ())>,
    layout: Layout,
    /// See [`grains`].
    grains: Option<usize>,
    /// The type's name.
    pub(crate) function: fn() -> &'static str,
}

/// The functions of a type. Its address may differ from call to call; equal addresses are equal types.
pub(crate) fn vtable<F: Future<Output = ()> + 'static>() -> &'static Vtable {
    const {
        &Vtable {
            poll: poll::<F>,
            drop: if std::mem::needs_drop::<F>() { Some(drop_in_place::<F>) } else { None },
            layout: Layout::new::<F>(),
            grains: grains(Layout::new::<F>()),
            function: std::any::type_name::<F>,
        }
    }
}

#[expect(unsafe_code, reason = "32 bytes a task: a thin pointer to a future")]
unsafe fn poll<F: Future<Output = ()>>(data: *mut (), cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: the pointer is from `put::<F>`, so it points to an F, and nobody else uses it. It does not
    // move until it is dropped in its place.
    unsafe { Pin::new_unchecked(&mut *data.cast::<F>()) }.poll(cx)
}

#[expect(unsafe_code, reason = "see above")]
unsafe fn drop_in_place<F>(data: *mut ()) {
    // SAFETY: the pointer is from `put::<F>`, and the future is given up by the caller.
    unsafe { std::ptr::drop_in_place(data.cast::<F>()) };
}

/// Sizes of pieces are multiples of this, and so is their alignment.
const GRAIN: usize = 16;
/// Pieces of up to this many grains are kept.
const GRAINS: usize = 32;

/// Memory of futures that have ended, by size. It is given back with the scheduler.
pub(crate) struct Pool {
    /// By number of grains: a list of free pieces, each linked through its first word.
    free: [Cell<*mut ()>; GRAINS + 1],
}

/// Gives a piece back when dropped, also if dropping the future panics.
struct GiveBack<'a>(&'a Pool, *mut (), &'static Vtable);

impl Pool {
    pub(crate) fn new() -> Self {
        Self { free: [const { Cell::new(null_mut()) }; GRAINS + 1] }
    }

    /// Puts a future into memory of its own, where it stays until [`end`](Self::end).
    #[expect(unsafe_code, reason = "see above")]
    #[inline]
    pub(crate) fn put<F: Future<Output = ()> + 'static>(&self, future: F) -> *mut () {
        let data = self.take(Layout::new::<F>());
        // SAFETY: the piece has F's size and alignment, and is nobody else's.
        unsafe { data.cast::<F>().write(future) };
        data
    }

    /// Drops a future and takes its memory back.
    ///
    /// # Safety
    /// `data` is from `put` of this pool, of the type of `vtable`, and is not used again.
    #[expect(unsafe_code, reason = "see above")]
    #[inline]
    pub(crate) unsafe fn end(&self, data: *mut (), vtable: &'static Vtable) {
        let _back = GiveBack(self, data, vtable);
        if let Some(drop) = vtable.drop {
            // SAFETY: as the caller says.
            unsafe { drop(data) };
        }
    }

    #[expect(unsafe_code, reason = "see above")]
    #[inline]
    fn take(&self, layout: Layout) -> *mut () {
        match grains(layout) {
            Some(0) => std::ptr::without_provenance_mut(layout.align()),
            Some(grains) => {
                let piece = self.free[grains].get();
                if piece.is_null() {
                    return fresh(piece_layout(grains));
                }
                // SAFETY: a free piece holds the next one's address in its first word, written by `give`.
                self.free[grains].set(unsafe { piece.cast::<*mut ()>().read() });
                piece
            }
            None => fresh(layout),
        }
    }

    #[expect(unsafe_code, reason = "see above")]
    #[inline]
    fn give(&self, piece: *mut (), vtable: &'static Vtable) {
        match vtable.grains {
            Some(0) => {}
            Some(grains) => {
                // SAFETY: the piece is from `take` of the same layout, at least a grain long and aligned to
                // one, and what it held has been dropped.
                unsafe { piece.cast::<*mut ()>().write(self.free[grains].get()) };
                self.free[grains].set(piece);
            }
            None if vtable.layout.size() == 0 => {}
            // SAFETY: it is from `fresh` of this layout.
            None => unsafe { dealloc(piece.cast(), vtable.layout) },
        }
    }
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.give(self.1, self.2);
    }
}

impl Drop for Pool {
    #[expect(unsafe_code, reason = "see above")]
    fn drop(&mut self) {
        for (grains, list) in self.free.iter().enumerate() {
            let mut piece = list.get();
            while !piece.is_null() {
                // SAFETY: as in `take`; and it is from `fresh` of this layout.
                unsafe {
                    let next = piece.cast::<*mut ()>().read();
                    dealloc(piece.cast(), piece_layout(grains));
                    piece = next;
                }
            }
        }
    }
}

/// How many grains a layout takes; `None` if it is none of the pool's.
#[inline]
const fn grains(layout: Layout) -> Option<usize> {
    let grains = layout.size().div_ceil(GRAIN);
    if layout.align() <= GRAIN && grains <= GRAINS { Some(grains) } else { None }
}

fn piece_layout(grains: usize) -> Layout {
    Layout::from_size_align(grains * GRAIN, GRAIN).expect("a small multiple of the alignment")
}

#[expect(unsafe_code, reason = "see above")]
#[cold]
fn fresh(layout: Layout) -> *mut () {
    if layout.size() == 0 {
        return std::ptr::without_provenance_mut(layout.align());
    }
    // SAFETY: the size is not zero.
    let piece = unsafe { alloc(layout) };
    if piece.is_null() {
        handle_alloc_error(layout);
    }
    piece.cast()
}
