//! The loop around a scheduler on a tokio current-thread runtime: one thread, tokio for sockets, the
//! scheduler for everything that runs.
//!
//! An echo server and its clients are tasks of the scheduler. Tokio's I/O driver calls their wakers, on
//! the same thread; the first wake after an idle pass reaches tokio through the pender, and so the pass
//! future is polled again. Idle connections are ended by a timer that each message pushes back.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use scheduler::{Budget, Handle, Scheduler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: usize = 50;
const MESSAGES: usize = 100;
const IDLE: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "an event loop is where the clock is read")]
fn clock() -> Instant {
    Instant::now()
}

/// Runs passes until `done`: between two passes tokio looks at the sockets.
struct EventLoop<'a> {
    scheduler: &'a mut Scheduler,
    alarm: Pin<&'a mut tokio::time::Sleep>,
    passes: usize,
}

impl EventLoop<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, done: impl Fn() -> bool) -> Poll<()> {
        self.scheduler.set_pender(cx.waker());
        let outcome = self.scheduler.run(clock(), Budget::default());
        self.passes += 1;
        if done() {
            return Poll::Ready(());
        }
        if outcome.more {
            cx.waker().wake_by_ref();
        } else if let Some(next) = outcome.next_expiry {
            self.alarm.as_mut().reset(next.into());
            if self.alarm.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

async fn serve(listener: TcpListener, handle: Handle, idle: Rc<Cell<usize>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (inner, idle) = (handle.clone(), Rc::clone(&idle));
        handle.spawn_tasklet("connection", async move {
            if matches!(echo(stream, &inner).await, Ok(Ended::Idle)) {
                idle.set(idle.get() + 1);
            }
        });
    }
}

enum Ended {
    Closed,
    Idle,
}

async fn echo(mut stream: TcpStream, handle: &Handle) -> io::Result<Ended> {
    let timer = handle.timer();
    let mut buffer = [0; 64];
    loop {
        timer.set(Some(handle.now() + IDLE));
        let read = {
            let mut read = pin!(stream.read(&mut buffer));
            poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => timer.poll_expired(cx).map(|()| None),
            })
            .await
        };
        match read {
            None => return Ok(Ended::Idle),
            Some(read) => match read? {
                0 => return Ok(Ended::Closed),
                length => stream.write_all(&buffer[..length]).await?,
            },
        }
    }
}

/// Sends its messages, then falls silent until the server has had enough.
async fn client(address: SocketAddr) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 64];
    let mut echoed = 0;
    for _ in 0..MESSAGES {
        stream.write_all(b"hello").await?;
        stream.read_exact(&mut buffer[..5]).await?;
        echoed += 1;
    }
    while stream.read(&mut buffer).await? > 0 {}
    Ok(echoed)
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut scheduler = Scheduler::new(clock());
    let (echoed, left, idle) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(CLIENTS)), Rc::new(Cell::new(0)));
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        scheduler.spawn_tasklet("listener", serve(listener, scheduler.handle(), Rc::clone(&idle)));
        for _ in 0..CLIENTS {
            let (echoed, left) = (Rc::clone(&echoed), Rc::clone(&left));
            scheduler.spawn("client", async move {
                let count = client(address).await.unwrap_or(0);
                echoed.set(echoed.get() + count);
                left.set(left.get() - 1);
            });
        }
        let alarm = pin!(tokio::time::sleep_until(clock().into()));
        let mut event_loop = EventLoop { scheduler: &mut scheduler, alarm, passes: 0 };
        poll_fn(|cx| event_loop.poll(cx, || left.get() == 0)).await;
        println!("{} messages echoed in {} passes", echoed.get(), event_loop.passes);
        Ok::<(), io::Error>(())
    })?;
    println!("{} connections ended for being idle", idle.get());
    for name in scheduler.snapshot().names {
        println!(
            "{:<12} {:>4} spawned {:>4} live {:>6} calls",
            name.name, name.spawned, name.live, name.calls
        );
    }
    assert_eq!(echoed.get(), CLIENTS * MESSAGES);
    Ok(())
}
