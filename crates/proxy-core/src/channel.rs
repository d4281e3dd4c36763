//! Bytes on the way from one side to the other, and the buffers that hold them.
//!
//! A buffer is taken from the worker's [`BufferPool`] when bytes may come and goes back once
//! they are gone, so an idle connection holds none.

use std::{cell::RefCell, ops::Range};

use crate::txn::Recycled;

/// One direction's bytes.
///
/// ```text
///   [ forwarded | data | after ]
/// ```
///
/// What an action or filter has forwarded waits in front of [`Channel::data`]. A filter that looks at
/// payload sees its part only: what later filters have still to pass stands before it, what earlier
/// ones hold back behind it.
#[derive(Default, Debug)]
pub struct Channel {
    pub(crate) buf: Buffer,
    pub(crate) ended: bool,
    pub(crate) settled: bool,
    /// Bytes at the front that are not shown: forwarded, or passed by the filter that looks.
    pub(crate) forwarded: usize,
    /// Bytes at the back that are not shown.
    pub(crate) after: usize,
    /// What a filter said about the end.
    end: Option<bool>,
    /// The message's head is on its way: changing it would change nothing.
    pub(crate) head_gone: bool,
}

impl Channel {
    /// What has come in and was not sent on yet. In HTTP mode the decoded body, in TCP mode raw bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let all = self.buf.unread();
        all.get(self.forwarded..all.len().saturating_sub(self.after)).unwrap_or_default()
    }

    /// Bytes before [`Channel::data`] that are on their way.
    #[must_use]
    pub fn forwarded(&self) -> usize {
        self.forwarded
    }

    /// Bytes it holds, shown or not.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.buf.len()
    }

    /// Whether the sender has finished, or a filter said so.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.end.unwrap_or(self.ended)
    }

    /// Ends the message after what is there, or keeps it open when the sender has finished, until told
    /// otherwise. Has an effect while payload is filtered.
    pub fn set_ended(&mut self, ended: bool) {
        self.end = Some(ended);
    }

    /// Whether the sender is cut short: its message is over for us, though it goes on sending.
    pub(crate) fn is_cut(&self) -> bool {
        self.end == Some(true) && !self.ended
    }

    /// Whether the message's head has been sent on, so that changes to it come too late.
    #[must_use]
    pub fn head_gone(&self) -> bool {
        self.head_gone
    }

    /// Sends the first bytes of [`Channel::data`] on, without waiting for the action or filter to end; how
    /// many there were.
    pub fn forward(&mut self, n: usize) -> usize {
        let n = n.min(self.data().len());
        self.forwarded += n;
        n
    }

    /// Whether nobody will wait for more: the sender has finished, the buffer is full, or
    /// `inspect-delay` is over. Rules that would want more data decide by what is there.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.ended() || self.settled || self.buf.is_full_of_data()
    }

    /// Replaces a range of [`Channel::data`]; the channel grows where it must.
    ///
    /// A range outside the data is cut to it.
    pub fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        let (length, from) = (self.data().len(), self.forwarded);
        let end = range.end.min(length);
        self.buf.replace(from + range.start.min(end)..from + end, with);
    }

    /// Empties it for the next exchange and gives its buffer back.
    pub(crate) fn reset(&mut self, pool: &BufferPool) {
        self.buf.release(pool);
        *self = Self::default();
    }
}

/// A stretch of memory that is filled at its end and used up from its start.
///
/// INVARIANT: `start <= end <= bytes.len()`; an empty one begins at 0.
#[derive(Default, Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was put in and not used up.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether it has memory at present.
    pub(crate) fn is_allocated(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Whether nothing more fits, even after moving what is there to the front.
    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.bytes.len()
    }

    /// Whether it has memory and no room in it.
    pub(crate) fn is_full_of_data(&self) -> bool {
        self.is_allocated() && self.is_full()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Uses up `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Where the next bytes go; what is there moves to the front if the end is reached.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Counts `n` bytes that were written into [`Buffer::spare`].
    pub(crate) fn commit(&mut self, n: usize) {
        debug_assert!(self.end + n <= self.bytes.len(), "no more than the spare room is filled");
        self.end += n;
    }

    /// Adds what fits; how much that was.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.bytes.len() - self.end < bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let n = bytes.len().min(self.bytes.len() - self.end);
        self.bytes[self.end..self.end + n].copy_from_slice(&bytes[..n]);
        self.end += n;
        n
    }

    fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        let from = range.start.min(self.len());
        let to = range.end.clamp(from, self.len());
        let whole = [&self.unread()[..from], with, &self.unread()[to..]].concat();
        if whole.len() > self.bytes.len() {
            self.bytes = vec![0; whole.len().next_power_of_two()].into_boxed_slice();
        }
        self.start = 0;
        self.end = whole.len();
        self.bytes[..whole.len()].copy_from_slice(&whole);
    }

    /// Makes sure that it has memory.
    pub(crate) fn ensure(&mut self, pool: &BufferPool) {
        if self.bytes.is_empty() {
            self.bytes = pool.take();
        }
    }

    /// Makes sure that it has memory, a large stretch if it is empty.
    pub(crate) fn ensure_bulk(&mut self, pool: &BufferPool) {
        if self.is_empty() && self.bytes.len() < BULK_SIZE {
            self.release(pool);
            self.bytes = pool.take_bulk();
        }
        self.ensure(pool);
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release_if_empty(&mut self, pool: &BufferPool) {
        if self.is_empty() && !self.bytes.is_empty() {
            self.release(pool);
        }
    }

    /// Drops what is in it and gives the memory back.
    pub(crate) fn release(&mut self, pool: &BufferPool) {
        pool.put(std::mem::take(&mut self.bytes));
        self.start = 0;
        self.end = 0;
    }
}

/// Recycled memory of one worker: buffers, and what transactions are made of.
pub struct BufferPool {
    size: usize,
    free: RefCell<Vec<Box<[u8]>>>,
    free_bulk: RefCell<Vec<Box<[u8]>>>,
    free_out: RefCell<Vec<Vec<u8>>>,
    free_txns: RefCell<Vec<Recycled>>,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::new(16384)
    }
}

impl BufferPool {
    /// A pool of buffers of `size` bytes (`tune.bufsize`).
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            size: size.max(1024),
            free: RefCell::default(),
            free_bulk: RefCell::default(),
            free_out: RefCell::default(),
            free_txns: RefCell::default(),
        }
    }

    /// The size of a buffer in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    fn take(&self) -> Box<[u8]> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; self.size].into_boxed_slice())
    }

    fn take_bulk(&self) -> Box<[u8]> {
        self.free_bulk.borrow_mut().pop().unwrap_or_else(|| vec![0; BULK_SIZE].into_boxed_slice())
    }

    fn put(&self, bytes: Box<[u8]>) {
        let (mut free, max) = match bytes.len() {
            len if len == self.size => (self.free.borrow_mut(), KEPT_MAX),
            BULK_SIZE => (self.free_bulk.borrow_mut(), BULK_KEPT_MAX),
            _ => return,
        };
        if free.len() < max {
            free.push(bytes);
        }
    }

    /// An empty vector to encode into.
    pub(crate) fn take_out(&self) -> Vec<u8> {
        self.free_out.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(OUT_START))
    }

    /// Takes such a vector back.
    pub(crate) fn put_out(&self, mut out: Vec<u8>) {
        let mut free = self.free_out.borrow_mut();
        if out.capacity() != 0 && out.capacity() <= 2 * self.size && free.len() < KEPT_MAX {
            out.clear();
            free.push(out);
        }
    }

    /// The memory for a new transaction.
    pub(crate) fn take_txn(&self) -> Recycled {
        self.free_txns.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes the memory of an ended transaction back.
    pub(crate) fn put_txn(&self, recycled: Recycled) {
        let mut free = self.free_txns.borrow_mut();
        if free.len() < KEPT_MAX && recycled.size() <= 2 * self.size {
            free.push(recycled);
        }
    }
}

/// Most buffers that a worker keeps for reuse.
const KEPT_MAX: usize = 128;
/// The size of a buffer for bulk data, in bytes.
const BULK_SIZE: usize = 256 * 1024;
/// Most of those that a worker keeps for reuse.
const BULK_KEPT_MAX: usize = 8;
/// What a vector to encode into starts with, in bytes.
const OUT_START: usize = 2048;
