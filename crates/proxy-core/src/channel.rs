//! Bytes on the way from one side to the other, and the buffers that hold them.

/// One direction's bytes.
#[derive(Default, Debug)]
pub struct Channel {
    buf: Vec<u8>,
    ended: bool,
}

impl Channel {
    /// What has come in and was not sent on yet. In HTTP mode the decoded body, in TCP mode raw bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.buf
    }

    /// Whether the sender has finished.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }
}

/// Recycled buffers of one worker.
#[derive(Default)]
pub struct BufferPool {}
