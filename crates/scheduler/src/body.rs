//! Futures of any type behind one thin pointer.
//!
//! The slot has room for the pointer only; what to do with it stands in the [`Vtable`] of its
//! [`Site`](crate::site::Site). That saves eight bytes a task against `Box<dyn Future>`, and the poll
//! takes as many loads.

use std::pin::Pin;
use std::task::{Context, Poll};

/// What can be done with a boxed future of one type.
pub(crate) struct Vtable {
    /// Polls it.
    ///
    /// Safety: the pointer is from [`boxed`] of the same type, not dropped, and nobody else uses it.
    pub(crate) poll: unsafe fn(*mut (), &mut Context<'_>) -> Poll<()>,
    /// Drops it and frees its memory, also if that panics.
    ///
    /// Safety: as `poll`, and it is not used again.
    pub(crate) drop: unsafe fn(*mut ()),
    /// The type's name.
    pub(crate) function: fn() -> &'static str,
}

/// Puts a future into a box.
pub(crate) fn boxed<F: Future<Output = ()> + 'static>(future: F) -> *mut () {
    Box::into_raw(Box::new(future)).cast()
}

/// The functions of a type. Its address may differ from call to call; equal addresses are equal types.
pub(crate) fn vtable<F: Future<Output = ()> + 'static>() -> &'static Vtable {
    const { &Vtable { poll: poll::<F>, drop: free::<F>, function: std::any::type_name::<F> } }
}

#[expect(unsafe_code, reason = "32 bytes a task: a thin pointer to a future")]
unsafe fn poll<F: Future<Output = ()>>(data: *mut (), cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: the pointer is from `boxed::<F>`, so it points to an F, and nobody else uses it. A boxed
    // future does not move until it is dropped in its place by `free`.
    unsafe { Pin::new_unchecked(&mut *data.cast::<F>()) }.poll(cx)
}

#[expect(unsafe_code, reason = "see above")]
unsafe fn free<F>(data: *mut ()) {
    // SAFETY: the pointer is from `boxed::<F>` and is given up by the caller.
    drop(unsafe { Box::from_raw(data.cast::<F>()) });
}
