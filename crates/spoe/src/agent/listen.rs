//! Listening with tokio: accepts connections, serves each in a task, stops gracefully.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;

use super::handler::Handler;
use super::options::Options;
use super::serve::serve_connection;
use crate::host::{Clock, Timer};

/// What [`listen`] can accept from: tokio's TCP and unix listeners.
pub trait Listener {
    /// The connections it gives.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // An answer is a small write that somebody waits for.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Accepts and serves connections until `stop` is ready; then accepts no more, lets each connection finish its exchanges and
/// say DISCONNECT, and returns when all have. Must run inside a tokio runtime with time and I/O.
///
/// No more than [`Options::connections_max`] are served at once: the others wait to be accepted. A connection's own failure
/// ends that connection only. A failure to accept (out of descriptors, say) is tried again after a
/// moment.
pub async fn listen<L, H, S>(listener: L, handler: H, options: Options, stop: S)
where
    L: Listener,
    H: Handler + Send + Sync + 'static,
    S: Future<Output = ()>,
{
    let handler = Arc::new(handler);
    let (stop_all, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((io, place)) => {
                let (handler, options, mut stopped) =
                    (Arc::clone(&handler), options.clone(), stopped.clone());
                spawn(async move {
                    let stop = async {
                        // The sender lives as long as any connection may: an error means "stopped" as well.
                        let _ = stopped.wait_for(|stop| *stop).await;
                    };
                    // How a connection ended concerns nobody but its proxy, which was told.
                    let _ = serve_connection(io, &*handler, &TokioClock, options, stop).await;
                    drop(place);
                });
            }
            Err(_) => TokioClock.sleep(ACCEPT_RETRY).await,
        }
    }
    drop((listener, stopped));
    stop_all.send_replace(true);
    stop_all.closed().await;
}

/// The next connection, once one more may be served.
async fn accept<L: Listener>(
    listener: &L,
    places: &Arc<Semaphore>,
) -> io::Result<(L::Io, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("invariant: nobody closes the semaphore");
    Ok((listener.accept().await?, place))
}

/// Tokio's clock, which a test can pause.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl TokioClock {
    fn sleep(self, duration: Duration) -> Sleep {
        tokio::time::sleep_until(tokio::time::Instant::now() + duration)
    }
}

impl Clock for TokioClock {
    type Timer = TokioTimer;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer(None)
    }
}

/// A timer on tokio's clock.
#[derive(Debug)]
pub struct TokioTimer(Option<Pin<Box<Sleep>>>);

impl Timer for TokioTimer {
    fn reset(&mut self, at: Instant) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.0 = Some(Box::pin(tokio::time::sleep_until(at.into()))),
        }
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this feature is the host: it names tokio so that agents need not"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

const ACCEPT_RETRY: Duration = Duration::from_millis(50);
