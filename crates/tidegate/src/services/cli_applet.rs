//! One command of the runtime API that a service answers: `core.register_cli`.
//!
//! The service reads what the client sends after the command's line and writes to it; what it leaves unread are the
//! next commands.
//!
//! Source: lua-api "core.register_cli".

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use proxy_core::{
    applet::{AppletIo, Service, ServiceMaker},
    host::BoxIo,
    txn::Txn,
    worker::Worker,
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::cli_session::LINE_BYTES_MAX;

/// Runs a service to its end. `unread` is what has come after the command, `ended` that no more will; both are
/// given back as the service leaves them.
///
/// # Errors
/// The client can be written to no more.
pub(super) async fn run(
    worker: &Rc<Worker>,
    io: &mut BoxIo,
    maker: Arc<dyn ServiceMaker>,
    unread: Vec<u8>,
    ended: bool,
) -> io::Result<(Vec<u8>, bool)> {
    let Some(txn) = Txn::detached(worker) else {
        use tokio::io::AsyncWriteExt as _;
        io.write_all(b"This command needs a configuration with a frontend.\n").await?;
        return Ok((unread, ended));
    };
    let applet = AppletIo {
        txn,
        input: unread,
        input_ended: ended,
        started: false,
        output: Vec::new(),
        output_limit: worker.buffers.size(),
        client_gone: false,
    };
    let mut run = Run { service: Some(maker.start(worker)), applet: Some(applet), failed: None };
    poll_fn(|cx| run.poll(io, cx)).await
}

struct Run {
    /// None once it has ended.
    service: Option<Box<dyn Service>>,
    /// Out only while the service is polled.
    applet: Option<AppletIo>,
    failed: Option<io::Error>,
}

impl Run {
    fn poll(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, bool)>> {
        loop {
            let mut applet = self.applet.take().expect("invariant: the service hands its applet back");
            let read = poll_read(&mut applet, io, cx);
            if let Some(service) = &mut self.service {
                let (back, ended) = service.poll(applet, cx);
                applet = back;
                if ended.is_ready() {
                    self.service = None;
                }
            }
            let had_output = !applet.output.is_empty();
            let written = poll_write(&mut applet, io, cx);
            if let Poll::Ready(Err(error)) = written {
                applet.client_gone = true;
                applet.output.clear();
                self.failed = Some(error);
            }
            if self.service.is_none() {
                if self.failed.is_none() && !applet.output.is_empty() {
                    self.applet = Some(applet);
                    return Poll::Pending;
                }
                let left = (std::mem::take(&mut applet.input), applet.input_ended);
                return Poll::Ready(self.failed.take().map_or(Ok(left), Err));
            }
            let moved = read.is_ready() || (had_output && applet.output.is_empty());
            self.applet = Some(applet);
            if !moved {
                return Poll::Pending;
            }
        }
    }
}

/// Ready when something has come, or the end.
fn poll_read(applet: &mut AppletIo, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<()> {
    if applet.input_ended || applet.input.len() >= LINE_BYTES_MAX {
        return Poll::Pending;
    }
    let mut chunk = [0; 4096];
    let mut buf = ReadBuf::new(&mut chunk);
    match ready!(Pin::new(io).poll_read(cx, &mut buf)) {
        Ok(()) if !buf.filled().is_empty() => applet.input.extend_from_slice(buf.filled()),
        _ => applet.input_ended = true,
    }
    Poll::Ready(())
}

/// Ready when all of the output is gone.
fn poll_write(applet: &mut AppletIo, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !applet.output.is_empty() {
        let written = ready!(Pin::new(&mut *io).poll_write(cx, &applet.output))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        applet.output.drain(..written);
    }
    Poll::Ready(Ok(()))
}
