//! The agent's side over in-memory pipes and a paused clock: deadlines, stops, siblings, limits, what observers see.

#[expect(dead_code, reason = "this file uses a part of it")]
mod support;

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spoe::agent::{Handler, MessageError, Options, Reply, Request, Seen, Siblings, serve_connection};
use spoe::frame::{
    ActionReader, Capabilities, Flags, Frame, FrameType, HaproxyHello, Header, NotifyWriter, TypedData,
};
use spoe::{Action, FrameId, Scope, Status, StreamId};
use support::{TestClock, read_frame, sleep};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Runs a test on one thread with a paused clock.
fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// A proxy's end, by hand.
struct Proxy {
    io: DuplexStream,
    agent: JoinHandle<Result<(), spoe::Error>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Proxy {
    /// Connects and greets as an engine of that name.
    async fn greet<H: Handler + 'static>(handler: Arc<H>, options: Options, engine: &str) -> Self {
        let mut proxy = Self::connect(handler, options);
        let mut hello = Vec::new();
        HaproxyHello {
            supported_versions: b"2.0",
            max_frame_size: 16_380,
            capabilities: Capabilities::PIPELINING | Capabilities::ASYNC,
            healthcheck: false,
            engine_id: Some(engine.as_bytes()),
        }
        .encode(&mut hello);
        proxy.io.write_all(&hello).await.unwrap();
        let (header, _) = read_frame(&mut proxy.io).await.unwrap();
        assert_eq!(header.kind, FrameType::AgentHello);
        proxy
    }

    fn connect<H: Handler + 'static>(handler: Arc<H>, options: Options) -> Self {
        let (io, theirs) = duplex(64 << 10);
        let (stop, stopped) = oneshot::channel::<()>();
        let agent = support::spawn(async move {
            let stopped = async {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            serve_connection(theirs, &*handler, &TestClock, options, stopped).await
        });
        Self { io, agent, stop: Some(stop) }
    }

    async fn notify(&mut self, stream: u64, write: impl FnOnce(&mut NotifyWriter<'_>)) {
        let mut payload = Vec::new();
        write(&mut NotifyWriter::new(&mut payload));
        let header = Header::of(FrameType::Notify, Flags::FIN, StreamId(stream), FrameId(1));
        let mut out = Vec::new();
        Frame { header, payload: &payload }.encode(&mut out);
        self.io.write_all(&out).await.unwrap();
    }

    /// Asks for the work of so many milliseconds.
    async fn work(&mut self, stream: u64, millis: i64) {
        self.notify(stream, |w| {
            w.message("work").arg("millis", millis.into());
        })
        .await;
    }

    /// The stream of the next ACK, and the number it sets.
    async fn ack(&mut self) -> (u64, Option<i64>) {
        let (header, payload) = read_frame(&mut self.io).await.unwrap();
        assert_eq!((header.kind, header.flags), (FrameType::Ack, Flags::FIN));
        let value = ActionReader::new(&payload).next().map(|action| match action.unwrap() {
            Action::SetVar { value, .. } => value.as_i64().unwrap(),
            Action::UnsetVar { .. } => panic!("unset"),
        });
        (header.stream.0, value)
    }
}

/// Works as long as it is told, sets how long that was; says 99 if it is late.
struct Worker;

spoe::message! {
    /// How long to work.
    struct Work("work") { millis: u64 }
}

impl Handler for Worker {
    async fn handle(&self, request: Request) -> Reply {
        let work: Work = request.read().unwrap();
        sleep(Duration::from_millis(work.millis)).await;
        Reply::new().set(Scope::Transaction, "took", work.millis)
    }

    fn deadline(&self, request: &Request) -> Option<Duration> {
        request.message("work")?.arg("deadline")?.as_i64().map(|millis| Duration::from_millis(millis as u64))
    }

    fn late(&self) -> Reply {
        Reply::new().set(Scope::Transaction, "took", 99i64)
    }
}

fn watched() -> (Options, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let log = Arc::clone(&seen);
    let observer = move |what: Seen| log.lock().unwrap().push(what);
    (Options { observer: Some(Arc::new(observer)), ..Options::default() }, seen)
}

#[test]
fn a_handler_over_its_deadline_is_dropped_and_the_late_answer_sent() {
    run(async {
        let (options, seen) = watched();
        let options = Options { deadline: Some(Duration::from_millis(100)), ..options };
        let mut proxy = Proxy::greet(Arc::new(Worker), options, "e").await;
        let start = Instant::now();
        proxy.work(1, 5_000).await;
        proxy.work(2, 50).await;
        // Its own deadline, before and after that of the options.
        for (stream, deadline) in [(3, 20i64), (4, 300)] {
            proxy
                .notify(stream, |w| {
                    w.message("work").arg("millis", 250i64.into()).arg("deadline", deadline.into());
                })
                .await;
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            let (stream, value) = proxy.ack().await;
            order.push((stream, value.unwrap(), start.elapsed().as_millis()));
        }
        assert_eq!(
            order.iter().map(|(s, v, _)| (*s, *v)).collect::<Vec<_>>(),
            [(3, 99), (2, 50), (1, 99), (4, 250)]
        );
        for ((_, _, at), due) in order.iter().zip([20, 50, 100, 250]) {
            assert!((due..=due + 2).contains(at), "{order:?}");
        }
        let late = |s: &&Seen| matches!(s, Seen::Late { .. });
        assert_eq!(seen.lock().unwrap().iter().filter(late).count(), 2);
    });
}

#[test]
fn a_stop_finishes_what_runs_says_disconnect_and_closes() {
    run(async {
        let (options, seen) = watched();
        let mut proxy = Proxy::greet(Arc::new(Worker), options, "e").await;
        proxy.work(1, 30).await;
        sleep(Duration::from_millis(1)).await;
        proxy.stop.take().unwrap().send(()).unwrap();
        sleep(Duration::from_millis(1)).await;
        // Too late to be asked: it is left for the proxy to ask elsewhere.
        proxy.work(2, 0).await;
        assert_eq!(proxy.ack().await, (1, Some(30)));
        let (header, _) = read_frame(&mut proxy.io).await.unwrap();
        assert_eq!(header.kind, FrameType::AgentDisconnect);
        assert!(read_frame(&mut proxy.io).await.is_none());
        proxy.agent.await.unwrap().unwrap();
        let seen = seen.lock().unwrap();
        assert!(matches!(
            seen[..],
            [
                Seen::Greeted { healthcheck: false },
                Seen::Asked { .. },
                Seen::Answered { .. },
                Seen::Closed { status: Status::NORMAL }
            ]
        ));
    });
}

#[test]
fn a_stop_waits_no_longer_than_it_may() {
    run(async {
        let (options, seen) = watched();
        let options = Options { stop_timeout: Some(Duration::from_millis(40)), ..options };
        let mut proxy = Proxy::greet(Arc::new(Worker), options, "e").await;
        proxy.work(1, 60_000).await;
        sleep(Duration::from_millis(1)).await;
        let start = Instant::now();
        proxy.stop.take().unwrap().send(()).unwrap();
        let (header, _) = read_frame(&mut proxy.io).await.unwrap();
        assert_eq!(header.kind, FrameType::AgentDisconnect);
        assert!((40..=42).contains(&start.elapsed().as_millis()));
        proxy.agent.await.unwrap().unwrap();
        assert!(seen.lock().unwrap().contains(&Seen::Unwanted));
    });
}

#[test]
fn the_answers_of_a_broken_connection_travel_on_a_sibling() {
    run(async {
        let (options, seen) = watched();
        let options = Options { siblings: Some(Siblings::default()), ..options };
        let worker = Arc::new(Worker);
        let mut first = Proxy::greet(Arc::clone(&worker), options.clone(), "e").await;
        let mut second = Proxy::greet(Arc::clone(&worker), options.clone(), "e").await;
        let mut stranger = Proxy::greet(worker, options, "other").await;
        first.work(7, 50).await;
        first.work(8, 60).await;
        sleep(Duration::from_millis(1)).await;
        let Proxy { io, agent, .. } = first;
        drop(io);
        assert_eq!(second.ack().await, (7, Some(50)));
        assert_eq!(second.ack().await, (8, Some(60)));
        agent.await.unwrap().unwrap();
        // It serves its own as before, and the other engine saw nothing of it.
        second.work(9, 1).await;
        assert_eq!(second.ack().await, (9, Some(1)));
        stranger.work(1, 1).await;
        assert_eq!(stranger.ack().await, (1, Some(1)));
        let handed = |s: &&Seen| matches!(s, Seen::HandedOver);
        assert_eq!(seen.lock().unwrap().iter().filter(handed).count(), 2);
        // Without a sibling nobody wants the answers: the handlers are dropped at once.
        second.work(10, 60_000).await;
        sleep(Duration::from_millis(1)).await;
        let Proxy { io, agent, .. } = second;
        drop(io);
        let _ = tokio::time::timeout(Duration::from_secs(120), agent).await.unwrap();
    });
}

#[test]
fn async_is_announced_only_where_siblings_are_given() {
    for siblings in [None, Some(Siblings::default())] {
        run(async {
            let has = siblings.is_some();
            let options = Options {
                capabilities: Capabilities::PIPELINING | Capabilities::ASYNC,
                siblings: siblings.clone(),
                ..Options::default()
            };
            let mut proxy = Proxy::connect(Arc::new(Worker), options);
            let mut hello = Vec::new();
            HaproxyHello {
                supported_versions: b"2.0",
                max_frame_size: 1000,
                capabilities: Capabilities::ASYNC,
                healthcheck: false,
                engine_id: Some(b"e"),
            }
            .encode(&mut hello);
            proxy.io.write_all(&hello).await.unwrap();
            let (_, payload) = read_frame(&mut proxy.io).await.unwrap();
            let hello = spoe::frame::AgentHello::decode(&payload).unwrap();
            assert_eq!(hello.capabilities.contains(Capabilities::ASYNC), has);
        });
    }
}

#[test]
fn no_more_is_read_than_may_be_handled_at_once() {
    run(async {
        let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let counted = Arc::clone(&running);
        let handler = move |_: Request| {
            let counted = Arc::clone(&counted);
            async move {
                let now = counted.0.fetch_add(1, Ordering::Relaxed) + 1;
                counted.1.fetch_max(now, Ordering::Relaxed);
                sleep(Duration::from_millis(1)).await;
                counted.0.fetch_sub(1, Ordering::Relaxed);
                Reply::new()
            }
        };
        let options = Options { waiting_frames_max: 3, ..Options::default() };
        let mut proxy = Proxy::greet(Arc::new(handler), options, "e").await;
        for stream in 0..30 {
            proxy.work(stream, 0).await;
        }
        for _ in 0..30 {
            proxy.ack().await;
        }
        assert_eq!(running.1.load(Ordering::Relaxed), 3);
    });
}

/// Real sockets and real time: `listen` brings its own.
#[cfg(feature = "tokio-net")]
#[tokio::test]
async fn no_more_connections_are_served_than_may_be() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("agent.sock");
    let (options, seen) = watched();
    let options = Options { connections_max: 1, ..options };
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let client = async {
        let hello = spoe::connection::health_check::request();
        let first = tokio::net::UnixStream::connect(&path).await.unwrap();
        let mut second = tokio::net::UnixStream::connect(&path).await.unwrap();
        second.write_all(&hello).await.unwrap();
        // The first has a place, greeted or not; the second is heard once the first is gone.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(*seen.lock().unwrap(), []);
        drop(first);
        let (header, _) = read_frame(&mut second).await.unwrap();
        assert_eq!(header.kind, FrameType::AgentHello);
        assert_eq!(*seen.lock().unwrap(), [Seen::Greeted { healthcheck: true }]);
        stop.send(()).unwrap();
    };
    let stopped = async {
        let _ = stopped.await;
    };
    tokio::join!(spoe::agent::listen(listener, Worker, options, stopped), client);
}

#[test]
fn a_message_is_read_into_a_struct_or_the_field_is_named() {
    spoe::message! {
        /// All kinds of fields.
        struct Check<'a>("check") {
            src: IpAddr,
            v4: Ipv4Addr,
            /// With another name on the wire.
            path: &'a str = "request-path",
            body: &'a [u8],
            owned: String,
            n: i64,
            ok: bool,
            absent: Option<u32>,
            null: Option<&'a str>,
            any: spoe::TypedData<'a>,
        }
    }
    let full = |skip: &str, other: &str| -> Result<(), MessageError> {
        let outcome: Rc<RefCell<Option<Result<(), MessageError>>>> = Rc::default();
        let pairs: [(&str, TypedData<'_>); 9] = [
            ("src", TypedData::Ipv4([192, 0, 2, 1].into())),
            ("v4", TypedData::Ipv4([192, 0, 2, 2].into())),
            ("request-path", "/p".into()),
            ("body", TypedData::Binary(b"\xff")),
            ("owned", "o".into()),
            ("n", 7i32.into()),
            ("ok", true.into()),
            ("null", TypedData::Null),
            ("any", 1u64.into()),
        ];
        let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| *name != skip).collect();
        let seen = Rc::clone(&outcome);
        run(async move {
            let told = Arc::new(Mutex::new(None));
            let tell = Arc::clone(&told);
            let handler = move |request: Request| {
                let read = request.read::<Check<'_>>().map(|check| {
                    assert_eq!((check.src, check.v4), ([192, 0, 2, 1].into(), [192, 0, 2, 2].into()));
                    assert_eq!((check.path, check.body, &*check.owned), ("/p", &b"\xff"[..], "o"));
                    assert_eq!((check.n, check.ok, check.absent, check.null), (7, true, None, None));
                    assert_eq!(check.any.as_i64(), Some(1));
                });
                *tell.lock().unwrap() = Some(read);
                std::future::ready(Reply::new())
            };
            let mut proxy = Proxy::greet(Arc::new(handler), Options::default(), "e").await;
            proxy
                .notify(1, |w| {
                    w.message("check");
                    for (name, value) in &pairs {
                        w.arg(name, if *name == other { TypedData::Binary(b"x") } else { *value });
                    }
                })
                .await;
            proxy.ack().await;
            *seen.borrow_mut() = told.lock().unwrap().take();
        });
        outcome.take().expect("the handler ran")
    };
    let message = "check";
    assert_eq!(full("", ""), Ok(()));
    for argument in ["src", "v4", "request-path", "body", "owned", "n", "ok", "any"] {
        assert_eq!(full(argument, ""), Err(MessageError::NoArgument { message, argument }));
    }
    for argument in ["src", "v4", "request-path", "owned", "n", "ok"] {
        assert_eq!(full("", argument), Err(MessageError::WrongType { message, argument }));
    }
    assert_eq!(full("n", "").unwrap_err().to_string(), "message 'check' has no argument 'n'");
}
