//! A head as it goes out.

use super::{Message, Start};

impl Message {
    /// Appends the start line without its line end.
    pub fn write_start_line(&self, out: &mut Vec<u8>) {
        match self.start {
            Start::Empty => {}
            Start::Request { method, uri } => {
                out.extend_from_slice(self.bytes(method));
                out.push(b' ');
                out.extend_from_slice(self.bytes(uri));
                out.push(b' ');
                out.extend_from_slice(self.version.as_str().as_bytes());
            }
            Start::Response { status, reason } => {
                out.extend_from_slice(self.version.as_str().as_bytes());
                out.push(b' ');
                out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
                out.push(b' ');
                out.extend_from_slice(self.bytes(reason));
            }
        }
    }

    /// Appends the header lines with their line ends, without the empty line.
    ///
    /// Neighbouring lines that stand in the arena as they go out are copied as one piece: a head
    /// that nobody changed costs one copy.
    pub fn write_headers(&self, out: &mut Vec<u8>) {
        let mut run: Option<(usize, usize)> = None;
        for field in &self.fields {
            let (from, to) = (field.name.at as usize, field.value.end() + 2);
            if !field.canonical {
                self.flush_run(&mut run, out);
                out.extend_from_slice(self.bytes(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.bytes(field.value));
                out.extend_from_slice(b"\r\n");
                continue;
            }
            match &mut run {
                Some((_, end)) if *end == from => *end = to,
                _ => {
                    self.flush_run(&mut run, out);
                    run = Some((from, to));
                }
            }
        }
        self.flush_run(&mut run, out);
    }

    /// Bytes that start line and header lines take on the wire, the closing empty line included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.live + 2
    }

    fn flush_run(&self, run: &mut Option<(usize, usize)>, out: &mut Vec<u8>) {
        if let Some((from, to)) = run.take() {
            out.extend_from_slice(&self.arena[from..to]);
        }
    }
}
