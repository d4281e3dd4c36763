//! A head as it came in: what the parser found, as ranges of the bytes it was found in.

use super::{Field, Message, Range, Start, Version};

impl Message {
    /// An empty one with memory for a head of so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { arena: Vec::with_capacity(bytes), fields: Vec::with_capacity(8), ..Self::default() }
    }

    /// Starts over with a received head: the ranges of its request line. Checked by the caller, who
    /// then adds those of the header lines and the bytes they are ranges of.
    pub(crate) fn index_request(&mut self, method: Range, uri: Range, version: Version) {
        self.clear();
        self.version = version;
        self.start = Start::Request { method, uri };
        self.live = (method.len + uri.len) as usize + 12;
    }

    /// The same for a status line.
    pub(crate) fn index_response(&mut self, status: u16, reason: Range, version: Version) {
        self.clear();
        self.version = version;
        self.start = Start::Response { status, reason };
        self.live = reason.len as usize + 15;
    }

    /// One header line's parts, and whether it stands there as it goes out. Checked by the caller.
    pub(crate) fn index_header(&mut self, name: Range, value: Range, canonical: bool) {
        let field = Field { name, value, canonical };
        self.live += field.wire_len();
        self.fields.push(field);
    }

    /// The head itself, whose parts were given.
    pub(crate) fn fill(&mut self, head: &[u8]) {
        self.arena.extend_from_slice(head);
    }

    /// Whether a line that says where the body ends was touched since the head was filled in. The
    /// framing that goes out must then be written anew.
    pub(crate) fn framing_edited(&self) -> bool {
        self.framing_edited
    }
}
