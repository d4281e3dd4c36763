//! The classes AppletHTTP and AppletTCP: a service's io.

use std::{
    any::Any,
    borrow::Cow,
    io,
    task::{Context, Poll},
};

use hlua::host::{self, AppletPart, HostResult, Lent, Level, SampleId, Value};
use proxy_core::{
    applet::AppletIo,
    http::{Message, message::Version},
    txn::{Direction, Txn},
    vars::{Scope, VarKey},
};

use super::{
    catalog::{refused, run_converter, run_fetch},
    stream::stream_methods,
};
use crate::adapters::{Extension, values};

/// A service's io while a script has it. One lives as long as the service's run, then the worker
/// keeps it for the next.
#[derive(Default)]
pub struct LuaApplet {
    io: Option<AppletIo>,
    scratch: Vec<u8>,
}

impl LuaApplet {
    /// Puts a service's io in for one poll.
    #[must_use]
    pub fn with(mut self: Box<Self>, io: AppletIo) -> Box<Self> {
        self.io = Some(io);
        self
    }

    /// The box and the io, after the script.
    #[must_use]
    pub fn back(lent: Lent) -> (Box<Self>, AppletIo) {
        let any = lent.into_any().expect("a lent applet comes back");
        let mut applet: Box<Self> = any.downcast().expect("hlua hands back what it was lent");
        let io = applet.io.take().expect("was put in by with");
        (applet, io)
    }

    fn io(&self) -> &AppletIo {
        self.io.as_ref().expect("a script runs only while the io is in")
    }

    fn io_mut(&mut self) -> &mut AppletIo {
        self.io.as_mut().expect("a script runs only while the io is in")
    }

    fn parts(&mut self) -> (&mut Txn, Direction, &mut Vec<u8>) {
        let io = self.io.as_mut().expect("a script runs only while the io is in");
        (&mut io.txn, Direction::Request, &mut self.scratch)
    }

    /// The head of the answer while it is made; `None` once it is started.
    fn head(&mut self) -> Option<&mut Message> {
        let io = self.io_mut();
        if io.started {
            return None;
        }
        if !io.txn.res.is_response() {
            io.txn.res.set_response(200, None, Version::Http11).expect("a valid head");
        }
        Some(&mut io.txn.res)
    }
}

impl host::Stream for LuaApplet {
    stream_methods!();
}

impl host::AppletIo for LuaApplet {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        // The stream polls the service again when it has put something in.
        let io = self.io();
        if io.input.is_empty() && !io.input_ended && !io.client_gone {
            return Poll::Pending;
        }
        Poll::Ready(Ok(&io.input))
    }

    fn consume(&mut self, len: usize) {
        self.io_mut().consume(len);
    }

    fn poll_send(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let io = self.io_mut();
        if io.client_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let take = data.len().min(io.room());
        if take == 0 && !data.is_empty() {
            return Poll::Pending;
        }
        io.output.extend_from_slice(&data[..take]);
        Poll::Ready(Ok(take))
    }
}

impl host::AppletTcp for LuaApplet {}

impl host::AppletHttp for LuaApplet {
    fn request(&self, part: AppletPart) -> Option<&[u8]> {
        let request = &self.io().txn.req;
        Some(match part {
            AppletPart::Method => request.method(),
            AppletPart::Version => match request.version() {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
            },
            AppletPart::Path => request.path(),
            AppletPart::QueryString => request.query().unwrap_or_default(),
        })
    }

    fn length(&self) -> u64 {
        let length = self.io().txn.req.header(b"content-length");
        length.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok()).unwrap_or(0)
    }

    fn headers(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.io().txn.req.headers() {
            visit(name, value);
        }
    }

    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) {
        if let Some(head) = self.head() {
            // hlua lets no other status or reason through than a head takes.
            let _ = head.set_status(status, reason);
        }
    }

    fn add_header(&mut self, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.head().map_or(Ok(()), |head| head.add_header(name, value)).map_err(refused)
    }

    fn start_response(&mut self) -> HostResult<()> {
        self.head();
        self.io_mut().started = true;
        Ok(())
    }
}
