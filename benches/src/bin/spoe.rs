//! What SPOP's codec and an agent cost, beside the crate `spop` on the same bytes.
//!
//! Decoding ends when every argument was looked at: ours reads them where they lie, theirs are strings and vectors of their
//! own by then. Theirs writes no NOTIFY. The agents answer pipelined NOTIFYs, twenty at a time, from a socket pair; only their own thread counts.
//!
//! Source: `docs/performance.md`, "SPOP"; the goals are the project's own.

use std::future::Future;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use anyhow::Result;
use benches::{Contest, Row, Span};
use futures_util::{SinkExt, StreamExt};
use spoe::agent::{Options, Reply, Request, TokioClock, serve_connection};
use spoe::frame::{
    AckWriter, ActionReader, Capabilities, Flags, Frame, FrameType, HaproxyHello, Header, MessageReader,
    NotifyWriter, header,
};
use spoe::{FrameId, Scope, StreamId, TypedData};
use spop::frame::FramePayload;
use spop::frames::{Ack, AgentHello, FrameCapabilities};
use spop::{SpopCodec, SpopFrame, VarScope};
use tokio::sync::oneshot;
use tokio_util::codec::Framed;

fn main() -> Result<ExitCode> {
    let mut contest = Contest::from_args("spoe");
    let typical = notify(&[b'p'; 48]);
    let waf = notify(&[b'b'; 2500]);
    contest.row(decode("decode NOTIFY, 134 bytes, 3 arguments", 60.0, typical))?;
    contest.row(decode("decode NOTIFY, 2.6 KiB, with a body", 120.0, waf))?;
    contest.row(encode_notify())?;
    contest.row(encode_ack())?;
    contest.row(agent())?;
    contest.finish()
}

const USER_AGENT: &str = "curl/8.0 (a browser of some kind, 40 by.)";
/// NOTIFYs under way at once, as HAProxy does it.
const PIPELINED: u64 = 20;

fn notify(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_notify(&mut out, 4711, path);
    out
}

fn write_notify(out: &mut Vec<u8>, stream: u64, path: &[u8]) {
    let start = header::begin(Header::of(FrameType::Notify, Flags::FIN, StreamId(stream), FrameId(1)), out);
    NotifyWriter::new(out)
        .message("get-ip-rep")
        .arg("ip", TypedData::Ipv4([192, 0, 2, 1].into()))
        .arg("path", TypedData::String(path))
        .arg("ua", USER_AGENT.into());
    header::end(start, out);
}

fn decode(name: &str, goal: f64, bytes: Vec<u8>) -> Row {
    let theirs = bytes.clone();
    Row::new(name)
        .goal_ns(goal)
        .ours(move || {
            move |span: &mut Span| {
                each(span, || {
                    let (frame, _) = Frame::split(black_box(&bytes), 16_380).expect("legal").expect("whole");
                    for message in MessageReader::new(frame.payload) {
                        for argument in message.expect("legal").args() {
                            black_box((argument.name, argument.value));
                        }
                    }
                });
            }
        })
        .peer("spop", 0.3, move || {
            move |span: &mut Span| {
                each(span, || {
                    let (_, frame) = spop::parser::parse_frame(black_box(&theirs)).expect("legal");
                    if let FramePayload::ListOfMessages(messages) = frame.payload() {
                        for (name, value) in messages.iter().flat_map(|message| &message.args) {
                            black_box((name, value));
                        }
                    }
                });
            }
        })
}

fn encode_notify() -> Row {
    Row::new("encode NOTIFY, 134 bytes, 3 arguments").goal_ns(60.0).ours(|| {
        let mut out = Vec::new();
        move |span: &mut Span| {
            each(span, || {
                out.clear();
                write_notify(&mut out, black_box(4711), black_box(&[b'p'; 48]));
                black_box(&out);
            });
        }
    })
}

fn encode_ack() -> Row {
    Row::new("encode ACK, one SET-VAR")
        .goal_ns(30.0)
        .ours(|| {
            let mut out = Vec::new();
            move |span: &mut Span| {
                each(span, || {
                    out.clear();
                    let head = Header::of(FrameType::Ack, Flags::FIN, StreamId(black_box(4711)), FrameId(1));
                    let start = header::begin(head, &mut out);
                    AckWriter::new(&mut out).set_var(Scope::Session, "ip_score", black_box(42u32).into());
                    header::end(start, &mut out);
                    black_box(&out);
                });
            }
        })
        .peer("spop", 1.0, || {
            let mut out = Vec::new();
            move |span: &mut Span| {
                each(span, || {
                    out.clear();
                    let ack = Ack::new(black_box(4711), 1);
                    let ack = ack.set_var(VarScope::Session, "ip_score", black_box(42u32));
                    ack.serialize_into(&mut out).expect("legal");
                    black_box(&out);
                });
            }
        })
}

/// The same agent twice: it reads the path and sets a score by it.
fn agent() -> Row {
    Row::new(format!("agent, a frame, {PIPELINED} pipelined"))
        .uncounted()
        .ours(|| {
            Served::new(|stream| {
                let answer = |request: Request| {
                    let message = request.message("get-ip-rep").expect("ours");
                    let score = message.arg("path").and_then(|path| path.as_str()).map_or(0, str::len) as u32;
                    std::future::ready(Reply::new().set(Scope::Session, "ip_score", score))
                };
                Box::pin(async move {
                    let never = std::future::pending();
                    serve_connection(stream, &answer, &TokioClock, Options::default(), never)
                        .await
                        .expect("served");
                })
            })
            .work()
        })
        .peer("spop over tokio", 0.9, || Served::new(|stream| Box::pin(theirs(stream))).work())
}

/// As the example of the crate does it.
async fn theirs(stream: tokio::net::UnixStream) {
    let mut socket = Framed::new(stream, SpopCodec::default());
    while let Some(frame) = socket.next().await {
        let frame = frame.expect("legal");
        match frame.frame_type() {
            spop::FrameType::HaproxyHello => {
                let hello = AgentHello {
                    version: spop::Version::new(2, 0, 0),
                    max_frame_size: 16_380,
                    capabilities: vec![FrameCapabilities::Pipelining],
                };
                socket.send(hello.into()).await.expect("sent");
            }
            spop::FrameType::Notify => {
                let FramePayload::ListOfMessages(messages) = frame.payload() else { continue };
                let message = messages.iter().find(|message| message.name == "get-ip-rep").expect("ours");
                let score = match message.get("path") {
                    Some(spop::TypedData::String(path)) => path.len() as u32,
                    _ => 0,
                };
                let metadata = frame.metadata();
                let ack = Ack::new(metadata.stream_id, metadata.frame_id);
                let ack = ack.set_var(VarScope::Session, "ip_score", score);
                socket.send(Box::new(ack)).await.expect("sent");
            }
            _ => return,
        }
    }
}

/// An agent in this thread, and a proxy in another that asks it as often as it is told.
struct Served {
    runtime: tokio::runtime::Runtime,
    agent: Pin<Box<dyn Future<Output = ()>>>,
    orders: mpsc::Sender<(u64, oneshot::Sender<()>)>,
}

impl Served {
    fn new(agent: impl FnOnce(tokio::net::UnixStream) -> Pin<Box<dyn Future<Output = ()>>>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        theirs.set_nonblocking(true).expect("a socket");
        let agent = {
            let _inside = runtime.enter();
            agent(tokio::net::UnixStream::from_std(theirs).expect("a socket"))
        };
        let (orders, taken) = mpsc::channel();
        thread::Builder::new().name("proxy".to_owned()).spawn(move || proxy(ours, &taken)).expect("a thread");
        Self { runtime, agent, orders }
    }

    fn work(mut self) -> impl FnMut(&mut Span) {
        move |span: &mut Span| {
            let batches = span.operations.div_ceil(PIPELINED);
            let (done, mut finished) = oneshot::channel();
            self.orders.send((batches, done)).expect("the proxy lives");
            let (runtime, agent) = (&self.runtime, &mut self.agent);
            span.measure(|| {
                runtime.block_on(async {
                    tokio::select! {
                        () = agent => panic!("the agent ended"),
                        done = &mut finished => done.expect("the proxy lives"),
                    }
                });
            });
            span.did(batches * PIPELINED);
        }
    }
}

/// Greets, then asks batch by batch.
fn proxy(mut socket: UnixStream, orders: &mpsc::Receiver<(u64, oneshot::Sender<()>)>) {
    let mut out = Vec::new();
    HaproxyHello {
        supported_versions: b"2.0",
        max_frame_size: 16_380,
        capabilities: Capabilities::PIPELINING,
        healthcheck: false,
        engine_id: Some(b"bench"),
    }
    .encode(&mut out);
    socket.write_all(&out).expect("sent");
    let (mut read, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    receive(&mut socket, &mut read, &mut buffer, 1);
    out.clear();
    for stream in 0..PIPELINED {
        write_notify(&mut out, stream, &[b'p'; 48]);
    }
    for (batches, done) in orders {
        for _ in 0..batches {
            socket.write_all(&out).expect("sent");
            receive(&mut socket, &mut read, &mut buffer, PIPELINED);
        }
        let _ = done.send(());
    }
}

/// Reads so many frames, and looks at the actions of ACKs.
fn receive(socket: &mut UnixStream, read: &mut Vec<u8>, buffer: &mut [u8], mut frames: u64) {
    while frames > 0 {
        let n = socket.read(buffer).expect("received");
        assert!(n > 0, "the agent closed");
        read.extend_from_slice(&buffer[..n]);
        let mut used = 0;
        while let Some((frame, len)) = Frame::split(&read[used..], 16_380).expect("legal") {
            if frame.header.kind == FrameType::Ack {
                assert_eq!(ActionReader::new(frame.payload).count(), 1);
            }
            used += len;
            frames -= 1;
        }
        read.drain(..used);
    }
}

fn each(span: &mut Span, mut work: impl FnMut()) {
    let operations = span.operations;
    span.measure(|| (0..operations).for_each(|_| work()));
}
