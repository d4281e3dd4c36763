//! The bytes of one direction: class Channel.

use std::task::{Context, Poll};

use super::{HostError, HostResult};

/// The class `Channel`: one direction's buffer, between what came in and what is scheduled to go out.
///
/// While a filter looks at payload, the input is that filter's part of it: raw bytes, or the decoded body of an HTTP
/// message.
pub trait Channel {
    /// HTTP streams allow only the length and state calls.
    fn is_http(&self) -> bool;
    /// Bytes that came in and are not yet scheduled (headers included on HTTP streams).
    fn input_len(&self) -> usize;
    /// Bytes scheduled and not yet gone.
    fn output_len(&self) -> usize;
    /// More input may come.
    fn may_recv(&self) -> bool;
    /// No room for more input.
    fn is_full(&self) -> bool;
    /// Bytes that [`splice`](Self::splice) could still add.
    fn room(&self) -> usize {
        if self.is_full() { 0 } else { usize::MAX }
    }
    /// The input, in one piece.
    fn input(&self) -> &[u8] {
        &[]
    }
    /// Replaces `range` of the input. False: no room, nothing changed.
    fn splice(&mut self, range: std::ops::Range<usize>, with: &[u8]) -> HostResult<bool> {
        let _ = (range, with);
        Err(HostError::Unsupported("channel changes"))
    }
    /// Schedules up to `len` bytes of input and says how many.
    fn forward(&mut self, len: usize) -> HostResult<usize> {
        let _ = len;
        Err(HostError::Unsupported("channel forwarding"))
    }
    /// Ends the message after what is there, or keeps it open though its sender has finished
    /// (`HTTPMessage.set_eom`, `unset_eom`).
    fn set_ended(&mut self, ended: bool) -> HostResult<()> {
        let _ = ended;
        Err(HostError::Unsupported("the end of messages"))
    }
    /// Ready when input grew since the last call, room appeared, or the channel closed.
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}
const _: Option<&dyn Channel> = None;
