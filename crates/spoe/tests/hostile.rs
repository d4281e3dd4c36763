//! An engine whose agents do anything: whatever they say, whenever, every exchange ends in its time and nothing is left.

#[expect(dead_code, reason = "this file uses a part of it")]
mod support;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use spoe::frame::{
    AckWriter, Capabilities, Flags, FrameType, Header, NotifyWriter, Scope, TypedData, header,
};
use spoe::{EngineConfig, FrameId, StreamError, StreamId};
use support::{AgentFn, World, agent_hello, disconnect, read_frame, sleep};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// One thing that an agent does.
#[derive(Clone, Debug)]
enum Deed {
    Hello {
        size: u32,
        capabilities: u8,
    },
    /// Reads so many frames; what it reads is remembered.
    Read(usize),
    /// Answers the remembered NOTIFY at this place (from the newest), and forgets it or not.
    Ack {
        place: usize,
        keep: bool,
        flags: u32,
    },
    /// An ACK of ids that nobody chose.
    Stray {
        stream: u64,
        frame: u64,
    },
    Bytes(Vec<u8>),
    /// A frame whose length is a lie.
    Lie {
        length: u32,
        body: Vec<u8>,
    },
    Disconnect(u32),
    Wait(u64),
    /// Says the next thing in pieces of so many bytes.
    Split(usize),
    /// Reads no more and says no more.
    Stall,
    Close,
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (200u32..20_000, 0u8..8).prop_map(|(size, capabilities)| Deed::Hello { size, capabilities }),
        6 => (1usize..6).prop_map(Deed::Read),
        8 => (0usize..5, any::<bool>(), prop_oneof![6 => Just(1u32), 1 => Just(3), 1 => 0u32..9])
            .prop_map(|(place, keep, flags)| Deed::Ack { place, keep, flags }),
        1 => (0u64..9, 0u64..90_000).prop_map(|(stream, frame)| Deed::Stray { stream, frame }),
        1 => bytes.clone().prop_map(Deed::Bytes),
        1 => (prop_oneof![0u32..40, any::<u32>()], bytes).prop_map(|(length, body)| Deed::Lie { length, body }),
        1 => (0u32..300).prop_map(Deed::Disconnect),
        3 => (0u64..300).prop_map(Deed::Wait),
        2 => (1usize..20).prop_map(Deed::Split),
        1 => Just(Deed::Stall),
        1 => Just(Deed::Close),
    ]
}

/// A well-behaved beginning most of the time, or else nothing would come of it.
fn script() -> impl Strategy<Value = Vec<Deed>> {
    let begin = prop_oneof![
        4 => Just(vec![Deed::Read(1), Deed::Hello { size: 16_380, capabilities: 7 }]),
        2 => Just(vec![Deed::Read(1), Deed::Hello { size: 256, capabilities: 5 }]),
        1 => Just(vec![]),
    ];
    (begin, proptest::collection::vec(deed(), 0..25)).prop_map(|(begin, rest)| [begin, rest].concat())
}

/// What a proxy's stream does.
#[derive(Clone, Debug)]
enum Ask {
    /// Asks with a body of so many bytes, and gives up after so many milliseconds if at all.
    Exchange {
        body: usize,
        patience: Option<u64>,
    },
    Pause(u64),
    /// So many at once.
    Burst(usize),
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => (prop_oneof![4 => 0usize..300, 1 => 0usize..200_000], proptest::option::weighted(0.3, 0u64..400))
            .prop_map(|(body, patience)| Ask::Exchange { body, patience }),
        2 => (0u64..150).prop_map(Ask::Pause),
        1 => (1usize..60).prop_map(Ask::Burst),
    ]
}

fn agents(scripts: Vec<Vec<Deed>>) -> AgentFn {
    Box::new(move |number, io| Some(play(scripts[number as usize % scripts.len()].clone(), io)))
}

fn play(script: Vec<Deed>, mut io: DuplexStream) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let (mut seen, mut pieces) = (Vec::<Header>::new(), usize::MAX);
        for deed in script {
            let words = match deed {
                Deed::Hello { size, capabilities } => {
                    let names = ["pipelining", "async", "fragmentation"];
                    let list: Vec<&str> =
                        (0..3).filter(|bit| capabilities >> bit & 1 == 1).map(|bit| names[bit]).collect();
                    agent_hello("2.0", Some(size), &list.join(","))
                }
                Deed::Read(frames) => {
                    for _ in 0..frames {
                        // What does not come in time is not waited for, even in the middle of a frame.
                        tokio::select! {
                            frame = read_frame(&mut io) => match frame {
                                Some((header, _)) => seen.push(header),
                                None => return,
                            },
                            () = sleep(Duration::from_millis(30)) => break,
                        }
                    }
                    continue;
                }
                Deed::Ack { place, keep, flags } => {
                    let notified = |h: &Header| matches!(h.kind, FrameType::Notify | FrameType::Unset);
                    let places: Vec<usize> =
                        (0..seen.len()).rev().filter(|at| notified(&seen[*at])).collect();
                    let Some(at) = places.get(place) else { continue };
                    let of = if keep { seen[*at] } else { seen.remove(*at) };
                    ack(of, Flags(flags))
                }
                Deed::Stray { stream, frame } => {
                    ack(Header::of(FrameType::Ack, Flags::FIN, StreamId(stream), FrameId(frame)), Flags::FIN)
                }
                Deed::Bytes(bytes) => bytes,
                Deed::Lie { length, body } => [&length.to_be_bytes()[..], &body].concat(),
                Deed::Disconnect(code) => disconnect(code),
                Deed::Wait(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    continue;
                }
                Deed::Split(size) => {
                    pieces = size;
                    continue;
                }
                Deed::Stall => return std::future::pending().await,
                Deed::Close => return,
            };
            for piece in words.chunks(pieces.min(words.len().max(1))) {
                if io.write_all(piece).await.is_err() {
                    return;
                }
                sleep(Duration::from_micros(100)).await;
            }
            pieces = usize::MAX;
        }
        // In the end it only listens.
        while read_frame(&mut io).await.is_some() {}
    })
}

/// An ACK that carries its own ids, so that a wrong delivery shows.
fn ack(of: Header, flags: Flags) -> Vec<u8> {
    let mut out = Vec::new();
    let start = header::begin(Header { kind: FrameType::Ack, flags, ..of }, &mut out);
    AckWriter::new(&mut out).set_var(Scope::Transaction, "stream", of.stream.0.into());
    header::end(start, &mut out);
    out
}

fn hostile(config: EngineConfig, scripts: Vec<Vec<Deed>>, asks: Vec<Ask>) {
    let processing = config.processing_timeout.unwrap();
    World::run(config, agents(scripts), move |world| async move {
        let world = Rc::new(world);
        let mut streams = Vec::new();
        let failure: Rc<RefCell<Option<String>>> = Rc::default();
        let mut stream = 0;
        for ask in asks {
            let (bodies, patience) = match ask {
                Ask::Pause(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    continue;
                }
                Ask::Exchange { body, patience } => (vec![body], patience),
                Ask::Burst(n) => (vec![20; n], None),
            };
            for body in bodies {
                stream += 1;
                let (world, failure, n) = (Rc::clone(&world), Rc::clone(&failure), stream);
                streams.push(support::spawn(async move {
                    let start = Instant::now();
                    let body = vec![b'x'; body];
                    let exchange = world.engine.exchange(StreamId(n), &mut |w: &mut NotifyWriter<'_>| {
                        w.message("m").arg("body", TypedData::Binary(&body)).arg("n", 7i64.into());
                    });
                    let outcome = tokio::select! {
                        outcome = exchange => outcome,
                        () = sleep(Duration::from_millis(patience.unwrap_or(1 << 40))) => return,
                    };
                    let fault = match outcome {
                        _ if start.elapsed() > processing + Duration::from_millis(2) => {
                            Some(format!("stream {n} waited {:?}", start.elapsed()))
                        }
                        Ok(actions) => actions.iter().find_map(|action| match action {
                            spoe::Action::SetVar { name: b"stream", value, .. } => (value.as_i64()
                                != Some(n as i64))
                            .then(|| format!("stream {n} got {value:?}")),
                            _ => None,
                        }),
                        Err(StreamError::Unknown) => Some(format!("stream {n}: unknown error")),
                        Err(_) => None,
                    };
                    if let Some(fault) = fault {
                        failure.borrow_mut().get_or_insert(fault);
                    }
                }));
            }
        }
        for stream in streams {
            stream.await.unwrap();
        }
        assert_eq!(*failure.borrow(), None);
        let stats = world.engine.stats();
        assert_eq!((stats.exchanges, stats.queued, stats.waiting), (0, 0, 0), "{stats:?}");
        assert_eq!(stats.processed, stats.answered + stats.errors + stats.abandoned, "{stats:?}");
        assert!(world.host.largest_frame_to_agent.get() <= 16_380);
        // Greeting, idle and linger times, and nothing is left of the connections either.
        sleep(Duration::from_secs(10)).await;
        let stats = world.engine.stats();
        assert_eq!((stats.connections, stats.greeting, stats.idle), (0, 0, 0), "{stats:?}");
        let tasks = Rc::clone(&world.host.tasks);
        drop(world);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(tasks.get(), 0, "tasks are left");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_agents_do_every_exchange_ends_in_time_and_all_counters_return_to_zero(
        scripts in proptest::collection::vec(script(), 1..4),
        asks in proptest::collection::vec(ask(), 1..20),
        waiting_frames_max in 1usize..30,
        pipelining: bool,
        async_acks: bool,
        spread in 1usize..4,
        connect_rate_max in prop_oneof![Just(0u32), 1u32..20],
    ) {
        let config = EngineConfig {
            processing_timeout: Some(Duration::from_millis(500)),
            hello_timeout: Duration::from_millis(100),
            idle_timeout: Some(Duration::from_secs(2)),
            waiting_frames_max,
            pipelining,
            async_acks,
            spread,
            connect_rate_max,
            ..EngineConfig::default()
        };
        hostile(config, scripts, asks);
    }
}

#[test]
fn capabilities_are_numbered_as_this_file_believes() {
    let list = Capabilities::PIPELINING | Capabilities::ASYNC | Capabilities::FRAGMENTATION;
    assert_eq!(list.as_str(), "pipelining,async,fragmentation");
}
