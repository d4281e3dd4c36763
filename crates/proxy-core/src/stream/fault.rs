//! How an exchange ends before its time, and the letters that say so in the log.

use crate::applet::Reply;

/// The two letters of the termination state: who ended it, and in which phase.
pub(crate) type Letters = [u8; 2];

/// An early end.
pub(crate) enum Fault {
    /// Answer with an error page.
    Status(u16, Letters),
    /// Answer with this.
    Reply(Box<Reply>, Letters),
    /// Close without an answer, or in the middle of one.
    Close(Letters),
}

/// Nothing went wrong.
pub(crate) const NORMAL: Letters = *b"--";
