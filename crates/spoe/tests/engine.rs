//! The engine against our own agent and against scripted ones, over in-memory pipes and a paused clock.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use spoe::agent::{Reply, Request};
use spoe::frame::{Flags, FrameType};
use spoe::host::Notice;
use spoe::{Action, EngineConfig, NotifyWriter, Scope, Status, StreamError, StreamId, TypedData};
use support::{Fault, Scripted, World, ack, agent_hello, disconnect, sleep};
use tokio::time::Instant;

async fn echo(request: Request) -> Reply {
    let message = request.messages().next().unwrap();
    if let Some(millis) = message.arg("wait").and_then(|v| v.as_i64()) {
        sleep(Duration::from_millis(millis as u64)).await;
    }
    match message.arg("x") {
        Some(TypedData::Int64(x)) => Reply::new().set(Scope::Transaction, "x", x),
        Some(other) => Reply::new().set(Scope::Transaction, "x", other),
        None => Reply::new(),
    }
}

fn message(x: i64) -> impl FnMut(&mut NotifyWriter<'_>) {
    move |w| {
        w.message("m").arg("x", x.into());
    }
}

fn slow(x: i64, millis: i64) -> impl FnMut(&mut NotifyWriter<'_>) {
    move |w| {
        w.message("m").arg("x", x.into()).arg("wait", millis.into());
    }
}

fn config() -> EngineConfig {
    EngineConfig {
        processing_timeout: Some(Duration::from_millis(500)),
        hello_timeout: Duration::from_millis(100),
        idle_timeout: Some(Duration::from_secs(5)),
        ..EngineConfig::default()
    }
}

fn value(actions: &spoe::Actions) -> i64 {
    match actions.iter().next() {
        Some(Action::SetVar { scope: Scope::Transaction, name: b"x", value }) => value.as_i64().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_exchange_gets_its_own_answer() {
    World::run(config(), support::agent(echo), |world| async move {
        let mut exchanges = Vec::new();
        for n in 0..1000i64 {
            // Some wait, so that answers overtake each other.
            exchanges.push(world.engine.exchange(StreamId(n as u64), &mut slow(n, n % 7)));
        }
        for (n, exchange) in exchanges.into_iter().enumerate() {
            assert_eq!(value(&exchange.await.unwrap()), n as i64);
        }
        let stats = world.engine.stats();
        assert_eq!((stats.exchanges, stats.waiting, stats.queued, stats.errors), (0, 0, 0, 0));
        // 20 wait on a connection at most, and a cold burst of 1000 finds none.
        assert_eq!(world.host.connects.get(), 50);
    });
}

#[test]
fn a_warm_connection_carries_twenty_in_one_write() {
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        let writes = world.host.writes.get();
        let exchanges: Vec<_> =
            (0..20).map(|n| world.engine.exchange(StreamId(n as u64), &mut message(n))).collect();
        for (n, exchange) in exchanges.into_iter().enumerate() {
            assert_eq!(value(&exchange.await.unwrap()), n as i64);
        }
        assert_eq!(world.host.connects.get(), 1);
        assert_eq!(world.host.writes.get() - writes, 1);
    });
}

#[test]
fn nothing_to_say_sends_nothing() {
    World::run(config(), support::agent(echo), |world| async move {
        let actions = world.engine.exchange(StreamId(0), &mut |_| {}).await.unwrap();
        assert!(!actions.is_answer());
        assert_eq!(world.host.connects.get(), 0);
        // Warm, it is the same.
        world.engine.exchange(StreamId(0), &mut message(1)).await.unwrap();
        let writes = world.host.writes.get();
        assert!(!world.engine.exchange(StreamId(0), &mut |_| {}).await.unwrap().is_answer());
        assert_eq!(world.host.writes.get(), writes);
    });
}

#[test]
fn an_empty_ack_is_an_answer() {
    World::run(config(), support::agent(echo), |world| async move {
        let exchange = world.engine.exchange(StreamId(0), &mut |w| {
            w.message("m");
        });
        let actions = exchange.await.unwrap();
        assert!(actions.is_answer());
        assert_eq!(actions.iter().count(), 0);
    });
}

#[test]
fn a_silent_agent_costs_the_processing_timeout_and_no_more() {
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        let start = Instant::now();
        let late = world.engine.exchange(StreamId(1), &mut slow(1, 60_000));
        let prompt = world.engine.exchange(StreamId(2), &mut message(2));
        assert_eq!(value(&prompt.await.unwrap()), 2);
        assert_eq!(late.await.unwrap_err(), StreamError::Timeout);
        let took = start.elapsed();
        assert!((500..=502).contains(&took.as_millis()), "{took:?}");
        assert_eq!(world.engine.stats().exchanges, 0);
    });
}

#[test]
fn a_late_answer_is_never_taken_for_another_exchange() {
    World::run(config(), support::agent(echo), |world| async move {
        let stream = StreamId(7);
        let late = world.engine.exchange(stream, &mut slow(1, 600));
        // Other answers show that the connection is alive, so that it is kept.
        sleep(Duration::from_millis(100)).await;
        world.engine.exchange(StreamId(8), &mut message(0)).await.unwrap();
        assert_eq!(late.await.unwrap_err(), StreamError::Timeout);
        // The answer to the first comes while this one waits, on the same stream and connection.
        let next = world.engine.exchange(stream, &mut slow(2, 300));
        assert_eq!(value(&next.await.unwrap()), 2);
        assert_eq!(world.host.connects.get(), 1);
    });
}

#[test]
fn an_abandoned_exchange_frees_everything_at_once() {
    World::run(config(), support::agent(echo), |world| async move {
        // While nothing is connected, then while all wait for their answers.
        for _ in 0..2 {
            let exchanges: Vec<_> =
                (0..1000).map(|n| world.engine.exchange(StreamId(n as u64), &mut slow(n, 100))).collect();
            sleep(Duration::from_millis(u64::from(world.host.connects.get() > 0))).await;
            drop(exchanges);
            let stats = world.engine.stats();
            assert_eq!((stats.exchanges, stats.waiting, stats.queued), (0, 0, 0));
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(value(&world.engine.exchange(StreamId(0), &mut message(5)).await.unwrap()), 5);
    });
}

#[test]
fn a_payload_fits_to_the_byte_or_is_too_big() {
    for (fragments, over) in [(false, Some(StreamError::TooBig)), (true, None)] {
        let config = EngineConfig { frame_size_bytes_max: 1000, send_fragments: fragments, ..config() };
        World::run(config, support::agent(echo), |world| async move {
            world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
            // Envelope 7 to 11 bytes, message name and count 3, argument name 1, type and length 3: found by search.
            let mut largest = 0;
            for len in 900..1100 {
                let body = vec![b'a'; len];
                let exchange = world.engine.exchange(StreamId(0), &mut |w| {
                    w.message("m").arg("", TypedData::Binary(&body));
                });
                match exchange.await {
                    Ok(_) => largest = len,
                    Err(error) => assert_eq!(Some(error), over),
                }
                assert!(world.host.largest_frame_to_agent.get() <= 1000, "{len}");
            }
            assert_eq!(world.host.largest_frame_to_agent.get(), 1000);
            assert_eq!(largest == 1099, fragments, "{largest}");
        });
    }
}

#[test]
fn a_large_body_arrives_in_fragments() {
    async fn length(request: Request) -> Reply {
        let message = request.message("m").unwrap();
        let body = message.arg("body").unwrap().as_bytes().unwrap().to_vec();
        assert!(body.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8));
        assert_eq!(message.arg("after").unwrap().as_i64(), Some(7));
        Reply::new().set(Scope::Transaction, "x", body.len() as i64)
    }
    for frame_size_bytes_max in [256, 1000, 16_380] {
        let config = EngineConfig { frame_size_bytes_max, ..config() };
        World::run(config, support::agent(length), move |world| async move {
            for len in [0, 1, 255, 5000, 1 << 20] {
                let body: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
                let exchange = world.engine.exchange(StreamId(1), &mut |w| {
                    w.message("m").arg("body", TypedData::Binary(&body)).arg("after", 7i64.into());
                });
                assert_eq!(value(&exchange.await.unwrap()), len as i64);
            }
            assert!(world.host.largest_frame_to_agent.get() <= frame_size_bytes_max as usize);
        });
    }
}

#[test]
fn a_body_that_the_agent_refuses_half_way_is_an_error_and_not_an_answer() {
    let options = spoe::agent::Options { payload_bytes_max: 50_000, ..Default::default() };
    World::run(config(), support::agent_with(options, echo), |world| async move {
        for (len, refused) in [(49_000, false), (51_000, true), (500_000, true), (10, false)] {
            let body = vec![b'x'; len];
            let exchange = world.engine.exchange(StreamId(len as u64), &mut |w| {
                w.message("m").arg("body", TypedData::Binary(&body));
            });
            match exchange.await {
                Ok(actions) => assert!(!refused && actions.is_answer(), "{len}"),
                Err(error) => assert_eq!((refused, error), (true, StreamError::FragmentAborted), "{len}"),
            }
        }
        assert_eq!(world.host.connects.get(), 1);
    });
}

#[test]
fn a_body_given_up_half_way_ends_in_an_abort_and_frees_its_connection() {
    let frames: Rc<RefCell<Vec<(FrameType, Flags, u64)>>> = Rc::default();
    let seen = Rc::clone(&frames);
    World::run(config(), support::late_reader(Duration::from_millis(50), frames), |world| async move {
        let body = vec![b'x'; 1 << 20];
        let mut large = |w: &mut NotifyWriter<'_>| {
            w.message("m").arg("body", TypedData::Binary(&body));
        };
        let given_up = world.engine.exchange(StreamId(1), &mut large);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(world.engine.stats().waiting, 1);
        // Nobody else waits behind a body that is half sent.
        let other = world.engine.exchange(StreamId(2), &mut message(2));
        assert_eq!((world.engine.stats().waiting, world.engine.stats().queued), (1, 1));
        drop(given_up);
        assert_eq!((world.engine.stats().waiting, world.engine.stats().queued), (1, 0));
        assert!(other.await.unwrap().is_answer());
        assert!(world.engine.exchange(StreamId(3), &mut large).await.unwrap().is_answer());
        let seen = seen.borrow();
        let of = |stream: u64| seen.iter().filter(move |(_, _, s)| *s == stream).collect::<Vec<_>>();
        let (first, last) = (of(1)[0], *of(1).last().unwrap());
        assert_eq!((first.0, first.1), (FrameType::Notify, Flags::NONE));
        assert_eq!((last.0, last.1), (FrameType::Unset, Flags::FIN | Flags::ABORT));
        // Far less than the 65 frames of the whole body.
        assert!((3..40).contains(&of(1).len()), "{}", of(1).len());
        assert_eq!(of(3).len(), 65);
        assert_eq!(world.engine.stats().abandoned, 1);
    });
}

#[test]
fn a_body_over_its_deadline_half_way_is_aborted_too() {
    let frames: Rc<RefCell<Vec<(FrameType, Flags, u64)>>> = Rc::default();
    let seen = Rc::clone(&frames);
    World::run(config(), support::late_reader(Duration::from_millis(700), frames), |world| async move {
        let body = vec![b'x'; 1 << 20];
        let late = world.engine.exchange(StreamId(1), &mut |w| {
            w.message("m").arg("body", TypedData::Binary(&body));
        });
        assert_eq!(late.await.unwrap_err(), StreamError::Timeout);
        sleep(Duration::from_millis(500)).await;
        let last = *seen.borrow().iter().rfind(|(_, _, stream)| *stream == 1).unwrap();
        assert_eq!((last.0, last.1), (FrameType::Unset, Flags::FIN | Flags::ABORT));
    });
}

/// What an agent does wrong in its greeting, and what its waiters see.
fn bad_greetings() -> Vec<(&'static str, Scripted, StreamError)> {
    let spop = |status| StreamError::Spop(status);
    vec![
        ("frame too long", Scripted::Say(vec![0xff; 8]), spop(Status::TOO_BIG)),
        ("wrong version", Scripted::Say(agent_hello("1.0", Some(16380), "")), spop(Status::BAD_VERSION)),
        ("unreadable version", Scripted::Say(agent_hello("abc", Some(16380), "")), spop(Status::BAD_VERSION)),
        ("size too small", Scripted::Say(agent_hello("2.0", Some(255), "")), spop(Status::BAD_FRAME_SIZE)),
        ("size too large", Scripted::Say(agent_hello("2.0", Some(16381), "")), spop(Status::BAD_FRAME_SIZE)),
        ("garbage", Scripted::Say(b"\0\0\0\x10HTTP/1.1 400 Bad".to_vec()), spop(Status::INVALID)),
        ("too short", Scripted::Say(vec![0, 0, 0, 3, 1, 2, 3]), spop(Status::INVALID)),
        ("ack first", Scripted::Say(ack(0, 1)), spop(Status::INVALID)),
        ("refusal", Scripted::Say(disconnect(13)), spop(Status::RESOURCES)),
        ("own status", Scripted::Say(disconnect(200)), spop(Status(200))),
        ("closed at once", Scripted::Close, spop(Status::IO)),
        ("silence", Scripted::Silence, spop(Status::TIMEOUT)),
        ("refused connection", Scripted::Refuse, spop(Status::IO)),
    ]
}

#[test]
fn one_bad_greeting_fails_its_waiters_only() {
    for (what, script, error) in bad_greetings() {
        let silent = matches!(script, Scripted::Silence);
        let agents = support::scripted_once(script, echo);
        World::run(config(), agents, move |world| async move {
            let start = Instant::now();
            let waiters: Vec<_> =
                (0..5).map(|n| world.engine.exchange(StreamId(n as u64), &mut message(n))).collect();
            for waiter in waiters {
                assert_eq!(waiter.await.unwrap_err(), error, "{what}");
            }
            let took = start.elapsed().as_millis();
            assert!(if silent { (100..=101).contains(&took) } else { took <= 1 }, "{what}: {took}");
            // Traffic goes on: everything from here on is served.
            for n in 0..100 {
                let start = Instant::now();
                let outcome = world.engine.exchange(StreamId(n), &mut message(n as i64)).await;
                assert_eq!(value(&outcome.unwrap()), n as i64, "{what}");
                assert!(start.elapsed().as_millis() <= 100, "{what}");
                sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

#[test]
fn bad_greetings_without_end_do_not_storm() {
    for (what, script, _) in bad_greetings() {
        let agents = support::scripted_always(script);
        World::run(config(), agents, move |world| async move {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(2) {
                drop(world.engine.exchange(StreamId(0), &mut message(0)));
                let exchange = world.engine.exchange(StreamId(0), &mut message(0));
                assert!(exchange.await.is_err());
                sleep(Duration::from_millis(1)).await;
            }
            let connects = world.host.connects.get();
            assert!(connects <= 30, "{what}: {connects} connections in two seconds");
        });
    }
}

#[test]
fn a_lost_connection_fails_its_waiters_with_the_reason() {
    for (what, script, status) in [
        ("close", Scripted::HelloThen(Vec::new()), Status::IO),
        ("disconnect 0", Scripted::HelloThen(disconnect(0)), Status::IO),
        ("disconnect 99", Scripted::HelloThen(disconnect(99)), Status::UNKNOWN),
        ("disconnect 42", Scripted::HelloThen(disconnect(42)), Status(42)),
        ("too big", Scripted::HelloThen(vec![0, 0xff, 0, 0]), Status::TOO_BIG),
        (
            "unfinished ack",
            Scripted::HelloThen(support::unfinished_ack()),
            Status::FRAGMENTATION_NOT_SUPPORTED,
        ),
        ("second hello", Scripted::HelloThen(agent_hello("2.0", Some(16380), "")), Status::INVALID),
    ] {
        let agents = support::scripted_once(script, echo);
        World::run(config(), agents, move |world| async move {
            let start = Instant::now();
            let waiters: Vec<_> =
                (0..5).map(|n| world.engine.exchange(StreamId(n as u64), &mut message(n))).collect();
            for waiter in waiters {
                assert_eq!(waiter.await.unwrap_err(), StreamError::Spop(status), "{what}");
            }
            assert!(start.elapsed().as_millis() <= 1, "{what}");
            assert_eq!(value(&world.engine.exchange(StreamId(9), &mut message(9)).await.unwrap()), 9);
        });
    }
}

/// Runs ten exchanges, one after the other and then together, past an agent with this fault; gives how much it said.
fn past(fault: Fault) -> usize {
    let counter = std::rc::Rc::<std::cell::Cell<usize>>::default();
    let spoken = std::rc::Rc::<std::cell::Cell<usize>>::default();
    let spoken_in = std::rc::Rc::clone(&spoken);
    let agents = support::faulty_once(echo, fault, std::rc::Rc::clone(&counter));
    World::run(config(), agents, move |world| async move {
        let (mut failed, mut wrong) = (0, 0);
        let mut count = |n: i64, outcome: Result<spoe::Actions, StreamError>| match outcome {
            Ok(actions) => match actions.iter().next() {
                Some(Action::SetVar { value, .. }) if value.as_i64() == Some(n) => {}
                _ => wrong += 1,
            },
            Err(StreamError::Timeout | StreamError::Spop(_)) => failed += 1,
            Err(other) => panic!("{fault:?}: {other}"),
        };
        for n in 0..5 {
            let start = Instant::now();
            count(n, world.engine.exchange(StreamId(n as u64), &mut message(n)).await);
            assert!(start.elapsed().as_millis() <= 501, "{fault:?}: past the deadline");
        }
        let together: Vec<_> =
            (5..10).map(|n| (n, world.engine.exchange(StreamId(n as u64), &mut message(n)))).collect();
        for (n, exchange) in together {
            count(n, exchange.await);
        }
        // One connection is at fault, so only those that waited on it at one moment may suffer: one, or the five together.
        match fault {
            Fault::Pieces(_) => assert_eq!((failed, wrong), (0, 0), "{fault:?}"),
            // A byte inverted in a value cannot be noticed; in an id it loses that answer.
            Fault::Corrupt(_) => assert!(failed + wrong <= 5, "{fault:?}: {failed} failed, {wrong} wrong"),
            _ => assert!(failed <= 5 && wrong == 0, "{fault:?}: {failed} failed, {wrong} wrong"),
        }
        spoken_in.set(counter.get());
        assert_eq!(value(&world.engine.exchange(StreamId(99), &mut message(99)).await.unwrap()), 99);
        let stats = world.engine.stats();
        assert_eq!((stats.exchanges, stats.waiting, stats.queued), (0, 0, 0), "{fault:?}");
    });
    spoken.get()
}

#[test]
fn faults_at_every_byte_of_an_agents_words_stay_on_their_connection() {
    let said = past(Fault::Pieces(usize::MAX));
    assert!(said > 200, "{said}");
    for at in 0..said {
        past(Fault::CloseAfter(at));
        past(Fault::StallAfter(at));
        past(Fault::Corrupt(at));
    }
    for size in 1..80 {
        past(Fault::Pieces(size));
    }
}

#[test]
fn a_panic_while_encoding_leaves_nothing_behind() {
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        for _ in 0..100 {
            let encode = std::panic::AssertUnwindSafe(|| {
                drop(world.engine.exchange(StreamId(1), &mut |w| {
                    w.message("half");
                    std::panic::resume_unwind(Box::new("injected"));
                }));
            });
            assert!(std::panic::catch_unwind(encode).is_err());
        }
        assert_eq!(world.engine.stats().exchanges, 0);
        assert_eq!(value(&world.engine.exchange(StreamId(2), &mut message(2)).await.unwrap()), 2);
        assert_eq!(world.host.connects.get(), 1);
    });
}

#[test]
fn a_handler_that_panics_costs_its_own_answer() {
    async fn touchy(request: Request) -> Reply {
        let x = request.message("m").unwrap().arg("x").unwrap().as_i64().unwrap();
        if x % 3 == 1 {
            std::panic::resume_unwind(Box::new("injected"));
        }
        sleep(Duration::from_millis(1)).await;
        if x % 3 == 2 {
            std::panic::resume_unwind(Box::new("injected"));
        }
        Reply::new().set(Scope::Transaction, "x", x)
    }
    World::run(config(), support::agent(touchy), |world| async move {
        let exchanges: Vec<_> =
            (0..18).map(|n| world.engine.exchange(StreamId(n as u64), &mut message(n))).collect();
        for (n, exchange) in exchanges.into_iter().enumerate() {
            let actions = exchange.await.unwrap();
            assert!(actions.is_answer());
            assert_eq!(actions.iter().count(), usize::from(n % 3 == 0), "{n}");
        }
        assert_eq!(world.host.connects.get(), 1);
    });
}

#[test]
fn exchanges_spread_over_as_many_connections_as_there_are_servers() {
    let config = EngineConfig { spread: 3, ..config() };
    let served: std::rc::Rc<std::cell::RefCell<Vec<u32>>> = std::rc::Rc::default();
    let seen = std::rc::Rc::clone(&served);
    World::run(config, support::counting_agent(echo, served), |world| async move {
        for n in 0..300 {
            assert_eq!(
                value(&world.engine.exchange(StreamId(n), &mut message(n as i64)).await.unwrap()),
                n as i64
            );
        }
        assert_eq!(world.host.connects.get(), 3);
        let per_connection = seen.borrow().clone();
        assert!(per_connection.iter().all(|n| (90..=120).contains(n)), "{per_connection:?}");
    });
}

#[test]
fn an_exchange_may_be_made_while_another_is_encoded() {
    World::run(config(), support::agent(echo), |world| async move {
        for _ in 0..2 {
            let mut inner = None;
            let outer = world.engine.exchange(StreamId(0), &mut |w| {
                w.message("m");
                inner = Some(world.engine.exchange(StreamId(1), &mut message(1)));
                w.arg("x", 0i64.into());
            });
            assert_eq!(value(&outer.await.unwrap()), 0);
            assert_eq!(value(&inner.unwrap().await.unwrap()), 1);
        }
    });
}

#[test]
fn bad_greetings_under_concurrent_traffic_cost_their_waiters_only() {
    for (what, script, _) in bad_greetings() {
        let agents = support::scripted_once(script, echo);
        World::run(config(), agents, move |world| async move {
            let world = std::rc::Rc::new(world);
            let start = Instant::now();
            let mut clients = Vec::new();
            // 50 clients come over 250 ms, and each asks until half a second is over.
            for n in 0..50i64 {
                let world = std::rc::Rc::clone(&world);
                clients.push(support::spawn(async move {
                    sleep(Duration::from_millis(n as u64 * 5)).await;
                    while start.elapsed() < Duration::from_millis(500) {
                        let began = start.elapsed();
                        let outcome = world.engine.exchange(StreamId(n as u64), &mut slow(n, 1)).await;
                        match outcome {
                            Ok(actions) => assert_eq!(value(&actions), n, "{what}"),
                            // Only those that came before the first connection was over may fail.
                            Err(error) => {
                                assert!(began <= Duration::from_millis(100), "{what}: {error} at {began:?}")
                            }
                        }
                        sleep(Duration::from_millis(3)).await;
                    }
                }));
            }
            for client in clients {
                client.await.unwrap();
            }
            let stats = world.engine.stats();
            assert_eq!((stats.exchanges, stats.waiting, stats.queued), (0, 0, 0), "{what}");
        });
    }
}

#[test]
fn idle_connections_close_with_a_timeout() {
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        assert_eq!(world.engine.stats().idle, 1);
        sleep(Duration::from_millis(4990)).await;
        assert_eq!(world.engine.stats().idle, 1);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(world.engine.stats().connections, 0);
        // That is housekeeping, nothing to warn of.
        assert_eq!(*world.host.notices.borrow(), [Notice::Connected, Notice::IdleClosed]);
        assert_eq!(world.engine.stats().disconnects, 0);
    });
}

#[test]
fn the_idle_time_begins_where_a_waiting_exchange_fails_or_is_given_up() {
    for gives_up in [false, true] {
        World::run(config(), support::agent(echo), |world| async move {
            let late = world.engine.exchange(StreamId(0), &mut slow(0, 1_000));
            world.engine.exchange(StreamId(1), &mut slow(1, 10)).await.unwrap();
            if gives_up {
                drop(late);
            } else {
                assert_eq!(late.await.unwrap_err(), StreamError::Timeout);
            }
            assert_eq!(world.engine.stats().idle, 1);
            sleep(Duration::from_secs(6)).await;
            assert_eq!(world.engine.stats().connections, 0);
        });
    }
}

#[test]
fn the_counters_tell_what_was_done() {
    World::run(config(), support::agent(echo), |world| async move {
        for n in 0..3 {
            world.engine.exchange(StreamId(n), &mut message(0)).await.unwrap();
        }
        let slow_one = world.engine.exchange(StreamId(3), &mut slow(0, 20));
        slow_one.await.unwrap();
        drop(world.engine.exchange(StreamId(4), &mut slow(0, 30)));
        let lost = world.engine.exchange(StreamId(5), &mut slow(0, 60_000));
        assert_eq!(lost.await.unwrap_err(), StreamError::Timeout);
        let stats = world.engine.stats();
        assert_eq!((stats.processed, stats.answered, stats.errors, stats.abandoned), (6, 4, 1, 1));
        assert_eq!(stats.failures.iter().collect::<Vec<_>>(), [(StreamError::Timeout, 1)]);
        assert_eq!(stats.late_acks, 1);
        assert_eq!((stats.connects, stats.greetings_failed, stats.disconnects), (1, 0, 0));
        // HELLO and six NOTIFYs; HELLO and five ACKs.
        assert_eq!((stats.frames_sent, stats.frames_received), (7, 6));
        assert!(stats.bytes_sent > 7 * 11 && stats.bytes_received > 6 * 11);
        assert_eq!(stats.latency.count, 4);
        assert!((20..25).contains(&stats.latency.max.as_millis()), "{:?}", stats.latency.max);
        assert_eq!(world.engine.stats(), stats);
    });
}

#[test]
fn a_soft_stop_closes_idle_connections_and_finishes_the_others() {
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        let running = world.engine.exchange(StreamId(1), &mut slow(1, 50));
        sleep(Duration::from_millis(1)).await;
        world.engine.stop();
        let refused = world.engine.exchange(StreamId(2), &mut message(2));
        assert_eq!(refused.await.unwrap_err(), StreamError::Interrupted);
        assert_eq!(world.engine.stats().connections, 1);
        assert_eq!(value(&running.await.unwrap()), 1);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.stats().connections, 0);
    });
    World::run(config(), support::agent(echo), |world| async move {
        world.engine.exchange(StreamId(0), &mut message(0)).await.unwrap();
        world.engine.stop();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.stats().connections, 0);
    });
}

#[test]
fn a_soft_stop_during_the_greeting_serves_those_that_wait() {
    World::run(config(), support::agent(echo), |world| async move {
        let waits = world.engine.exchange(StreamId(0), &mut message(7));
        world.engine.stop();
        assert_eq!(value(&waits.await.unwrap()), 7);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.stats().connections, 0);
    });
    // Nobody waits: the connection is given up, and does not count as failed.
    World::run(config(), support::scripted_always(Scripted::Silence), |world| async move {
        drop(world.engine.exchange(StreamId(0), &mut message(0)));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.stats().greeting, 1);
        world.engine.stop();
        sleep(Duration::from_millis(1)).await;
        let stats = world.engine.stats();
        assert_eq!((stats.connections, stats.greeting, stats.greetings_failed), (0, 0, 0));
    });
}

#[test]
fn a_stalled_connection_gets_no_new_exchanges() {
    let stalls = Scripted::HelloThenSilence;
    World::run(config(), support::scripted_once(stalls, echo), |world| async move {
        let stalled = world.engine.exchange(StreamId(0), &mut message(0));
        assert_eq!(stalled.await.unwrap_err(), StreamError::Timeout);
        let start = Instant::now();
        assert_eq!(value(&world.engine.exchange(StreamId(1), &mut message(1)).await.unwrap()), 1);
        assert!(start.elapsed().as_millis() <= 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(world.engine.stats().connections, 1);
    });
}

#[test]
fn those_that_wait_behind_a_stalled_connection_get_another() {
    let config = EngineConfig { waiting_frames_max: 2, connect_rate_max: 1, ..config() };
    World::run(config, support::scripted_once(Scripted::HelloThenSilence, echo), |world| async move {
        // Two fill the only connection that this second allows, which stalls; the third waits in the queue.
        let stalled: Vec<_> = (0..2).map(|n| world.engine.exchange(StreamId(n), &mut message(0))).collect();
        sleep(Duration::from_millis(400)).await;
        let third = world.engine.exchange(StreamId(2), &mut message(2));
        for exchange in stalled {
            assert_eq!(exchange.await.unwrap_err(), StreamError::Timeout);
        }
        assert_eq!(world.engine.stats().queued, 1);
        // Its deadline is at 900 ms, the next connection may come at 1000 ms: it fails in time, and the next is served.
        assert_eq!(third.await.unwrap_err(), StreamError::Timeout);
        assert_eq!(value(&world.engine.exchange(StreamId(3), &mut message(3)).await.unwrap()), 3);
    });
}

#[test]
fn room_that_a_timeout_makes_is_used_at_once() {
    let config = EngineConfig { waiting_frames_max: 2, connect_rate_max: 1, ..config() };
    World::run(config, support::agent(echo), |world| async move {
        let start = Instant::now();
        let lost = world.engine.exchange(StreamId(0), &mut slow(0, 60_000));
        let answered = world.engine.exchange(StreamId(1), &mut slow(1, 250));
        assert_eq!(value(&answered.await.unwrap()), 1);
        let other = world.engine.exchange(StreamId(2), &mut slow(2, 400));
        sleep(Duration::from_millis(150)).await;
        let waits = world.engine.exchange(StreamId(3), &mut message(3));
        assert_eq!(world.engine.stats().queued, 1);
        assert_eq!(value(&waits.await.unwrap()), 3);
        assert_eq!(lost.await.unwrap_err(), StreamError::Timeout);
        assert!((500..=502).contains(&start.elapsed().as_millis()));
        assert_eq!(value(&other.await.unwrap()), 2);
    });
}

#[test]
fn without_pipelining_one_exchange_waits_on_a_connection() {
    let config = EngineConfig { pipelining: false, async_acks: false, ..config() };
    World::run(config, support::agent(echo), |world| async move {
        let exchanges: Vec<_> =
            (0..4).map(|n| world.engine.exchange(StreamId(n as u64), &mut slow(n, 10))).collect();
        for (n, exchange) in exchanges.into_iter().enumerate() {
            assert_eq!(value(&exchange.await.unwrap()), n as i64);
        }
        assert_eq!(world.host.connects.get(), 4);
        // One that is given up takes its connection along: the agent must not be asked twice at once.
        let late = world.engine.exchange(StreamId(9), &mut slow(9, 100));
        sleep(Duration::from_millis(1)).await;
        drop(late);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(world.engine.stats().connections, 3);
        assert_eq!(value(&world.engine.exchange(StreamId(1), &mut message(1)).await.unwrap()), 1);
    });
}

#[test]
fn connections_are_opened_at_most_at_the_rate_allowed() {
    let config = EngineConfig { pipelining: false, connect_rate_max: 3, ..config() };
    World::run(config, support::agent(echo), |world| async move {
        let exchanges: Vec<_> =
            (0..30).map(|n| world.engine.exchange(StreamId(n as u64), &mut slow(n, 10))).collect();
        for (n, exchange) in exchanges.into_iter().enumerate() {
            assert_eq!(value(&exchange.await.unwrap()), n as i64);
        }
        assert_eq!(world.host.connects.get(), 3);
    });
}

#[test]
fn errors_above_the_rate_allowed_suspend_the_engine() {
    let config = EngineConfig { error_rate_max: 2, ..config() };
    World::run(config, support::scripted_always(Scripted::Refuse), |world| async move {
        assert!(!world.engine.is_suspended());
        for n in 0..2 {
            assert!(world.engine.exchange(StreamId(n), &mut message(0)).await.is_err());
        }
        assert!(world.engine.is_suspended());
        sleep(Duration::from_millis(1100)).await;
        assert!(!world.engine.is_suspended());
    });
}

#[test]
fn dropping_the_engine_fails_what_waits_and_closes_all() {
    World::run(config(), support::agent(echo), |world| async move {
        let exchange = world.engine.exchange(StreamId(0), &mut slow(0, 100));
        sleep(Duration::from_millis(1)).await;
        let tasks = std::rc::Rc::clone(&world.host.tasks);
        drop(world);
        assert_eq!(exchange.await.unwrap_err(), StreamError::Interrupted);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(tasks.get(), 0);
    });
}

#[test]
fn an_ack_may_come_on_a_sibling_connection_if_async_was_agreed() {
    World::run(config(), support::crossed_agents(), |world| async move {
        // Two connections: 20 exchanges on the first, one on the second; each agent answers on the other's.
        let exchanges: Vec<_> =
            (0..21).map(|n| world.engine.exchange(StreamId(n as u64), &mut message(n))).collect();
        for exchange in exchanges {
            assert!(exchange.await.unwrap().is_answer());
        }
        assert_eq!(world.host.connects.get(), 2);
        let stats = world.engine.stats();
        assert_eq!((stats.waiting, stats.exchanges, stats.idle), (0, 0, 2));
    });
}
