//! Our agent driven by a real HAProxy of the classic era (Debian's 2.6): events, types, fragments, health check, restarts.
//!
//! Needs `haproxy` in PATH; without it the tests say so and pass, except where `CI` is set. Everything listens on unix sockets
//! in a temporary directory.

mod proxy;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxy::{Client, Place, connect, sleep, spawn};
use spoe::agent::{Options, Reply, Request, Seen, Siblings};
use spoe::{Scope, TypedData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// Events in the order in which one request meets them, as variables name them.
const EVENTS: [&str; 8] = [
    "on-client-session",
    "on-frontend-tcp-request",
    "on-frontend-http-request",
    "on-backend-tcp-request",
    "on-backend-http-request",
    "on-server-session",
    "on-tcp-response",
    "on-http-response",
];

#[tokio::test]
async fn every_event_sets_a_variable_that_a_rule_uses() {
    let Some(place) = Place::new() else { return };
    let order = Arc::new(AtomicU64::new(0));
    let agent = place.agent(move |request: Request| {
        let reply = request.messages().fold(Reply::new(), |reply, message| {
            let name = std::str::from_utf8(message.name).unwrap().replace('-', "_");
            reply.set(Scope::Transaction, &name, order.fetch_add(1, Ordering::Relaxed))
        });
        async { reply }
    });
    let vars = EVENTS.map(|event| format!("%[var(txn.t.{})]", event.replace('-', "_"))).join(",");
    let messages: String = EVENTS.map(|e| format!("spoe-message {e}\n  event {e}\n")).concat();
    let agent_lines = format!("  messages {}\n", EVENTS.join(" "));
    let haproxy = place.haproxy(
        "",
        &format!("  http-after-response set-header x-events {vars}\n"),
        &agent_lines,
        &messages,
    );
    let mut client = haproxy.client().await;
    let answer = client.get("/", &[]).await;
    assert_eq!(answer.header("x-events"), Some("0,1,2,3,4,5,6,7"));
    agent.stop().await;
}

#[tokio::test]
async fn a_rule_rejects_by_an_agents_score() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(|request: Request| async move {
        let ip = request.message("check").unwrap().arg("ip").and_then(|v| v.as_ip());
        let score = if ip == Some([203, 0, 113, 9].into()) { 5 } else { 90 };
        Reply::new().set(Scope::Session, "score", score)
    });
    let haproxy = place.haproxy(
        "  http-request deny deny_status 403 if { var(sess.t.score) -m int lt 20 }\n",
        "",
        "  messages check\n",
        "spoe-message check\n  args ip=req.hdr_ip(x-ip)\n  event on-frontend-http-request\n",
    );
    let mut client = haproxy.client().await;
    for (ip, status) in [("192.0.2.1", 200), ("203.0.113.9", 403), ("2001:db8::1", 200)] {
        assert_eq!(client.get("/", &[("x-ip", ip)]).await.status, status, "{ip}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn values_of_every_type_arrive_both_ways() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(|request: Request| async move {
        let message = request.message("all").unwrap();
        let want: [(&str, TypedData<'_>); 9] = [
            ("nul", TypedData::Null),
            ("t", true.into()),
            ("f", false.into()),
            ("n", (-1i64).into()),
            ("v4", TypedData::Ipv4([192, 0, 2, 1].into())),
            ("s", "/path".into()),
            ("e", "".into()),
            ("b", TypedData::Binary(b"\0\xff")),
            ("m", "GET".into()),
        ];
        for (name, value) in want {
            assert_eq!(message.arg(name), Some(value), "{name}");
        }
        Reply::new()
            .set(Scope::Transaction, "t", true)
            .set(Scope::Transaction, "i32", -5i32)
            .set(Scope::Transaction, "u32", u32::MAX)
            .set(Scope::Transaction, "i64", i64::MIN)
            .set(Scope::Transaction, "u64", u64::MAX)
            .set(Scope::Transaction, "v4", std::net::Ipv4Addr::new(192, 0, 2, 7))
            .set(Scope::Transaction, "v6", std::net::Ipv6Addr::LOCALHOST)
            .set(Scope::Transaction, "s", "text")
            .set(Scope::Transaction, "b", &b"\x01\xff"[..])
            .set(Scope::Transaction, "gone", 1)
            .unset(Scope::Transaction, "gone")
    });
    let names = ["t", "i32", "u32", "i64", "u64", "v4", "v6", "s", "b,hex", "gone"];
    let vars = names.map(|n| format!("%[var(txn.t.{}),{}]", n.split(',').next().unwrap(), tail(n))).join(";");
    let haproxy = place.haproxy(
        "",
        &format!("  http-response set-header x-vars {}\n", vars.replace(",]", "]")),
        "  messages all\n",
        "spoe-message all\n  args nul=var(txn.none) t=bool(true) f=bool(false) n=int(-1) v4=req.hdr_ip(x-ip)\n  args s=path e=str() b=bin(00ff) m=method\n  event on-frontend-http-request\n",
    );
    let mut client = haproxy.client().await;
    let answer = client.get("/path", &[("x-ip", "192.0.2.1")]).await;
    assert_eq!(
        answer.header("x-vars"),
        Some("1;-5;4294967295;-9223372036854775808;-1;192.0.2.7;::1;text;01FF;")
    );
    agent.stop().await;
}

fn tail(name: &str) -> &str {
    name.split_once(',').map_or("", |(_, converter)| converter)
}

#[tokio::test]
async fn a_thousand_requests_on_many_connections_lose_nothing() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(echo_id);
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    let clients: Vec<_> = (0..20)
        .map(|n| {
            let haproxy = haproxy.www.clone();
            spawn(async move {
                let mut client = Client::connect(&haproxy).await;
                for k in 0..50 {
                    let id = format!("{n}-{k}");
                    let answer = client.get("/", &[("x-id", &id)]).await;
                    assert_eq!((answer.header("x-id"), answer.header("x-err")), (Some(&*id), Some("")));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    agent.stop().await;
}

/// Asks so many times over so many connections, and checks that each got its own answer.
async fn ask_all(www: &Path, clients: u64, requests: u64) {
    let clients: Vec<_> = (0..clients)
        .map(|n| {
            let www = www.to_owned();
            spawn(async move {
                let mut client = Client::connect(&www).await;
                for k in 0..requests {
                    let id = format!("{n}-{k}");
                    let answer = client.get("/", &[("x-id", &id)]).await;
                    assert_eq!((answer.header("x-id"), answer.header("x-err")), (Some(&*id), Some("")));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_requests_lose_nothing() {
    let Some(place) = Place::new() else { return };
    let (options, seen) = counted();
    let agent = place.agent_with(options, echo_id);
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    let all = ask_all(&haproxy.www, 40, 250);
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("ten thousand requests in two minutes");
    agent.stop().await;
    let count = |what: fn(&Seen) -> bool| seen.lock().unwrap().iter().filter(|seen| what(seen)).count();
    assert_eq!(count(|seen| matches!(seen, Seen::Asked { .. })), 10_000);
    assert_eq!(count(|seen| matches!(seen, Seen::Answered { .. })), 10_000);
    assert_eq!(count(|seen| matches!(seen, Seen::Late { .. } | Seen::Panicked | Seen::Unwanted)), 0);
}

#[tokio::test]
async fn a_reload_of_haproxy_in_mid_traffic_loses_nothing() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(echo_id);
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    // Clients come one after the other, a connection each: some meet the old process, some the new one.
    let www = haproxy.www.clone();
    let traffic = spawn(async move {
        for n in 0..60u32 {
            let mut client = Client::connect(&www).await;
            for k in 0..10 {
                let id = format!("{n}-{k}");
                let answer = client.get("/", &[("x-id", &id)]).await;
                assert_eq!((answer.header("x-id"), answer.header("x-err")), (Some(&*id), Some("")));
                // The old process closes its keep-alive connections when it stops.
                if answer.header("connection") == Some("close") {
                    break;
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    sleep(Duration::from_millis(100)).await;
    let mut old = haproxy;
    let new = place.reload(&old);
    traffic.await.unwrap();
    // The old one ends by itself once its clients are gone.
    let mut ended = false;
    for _ in 0..500 {
        ended = old.child.try_wait().unwrap().is_some();
        if ended {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(ended, "the old process stays");
    ask_all(&new.www, 2, 5).await;
    agent.stop().await;
}

#[tokio::test]
async fn answers_of_a_connection_that_breaks_reach_haproxy_on_another() {
    let Some(mut place) = Place::new() else { return };
    // Each thread is an engine of its own, whose connections take no answers for others.
    place.global = "  nbthread 1\n";
    let (options, seen) = counted();
    let options = Options { siblings: Some(Siblings::default()), ..options };
    // A slow request sees the connection that it came by break before its answer is there.
    let agent = place.agent_with(options, |request: Request| async move {
        let id = request.message("id").unwrap().arg("id").unwrap();
        if id == "slow".into() {
            sleep(Duration::from_millis(1_500)).await;
        }
        Reply::new().set(Scope::Transaction, "id", id)
    });
    let relay = Relay::new(&place).await;
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    let www = haproxy.www.clone();
    let mut client = Client::connect(&www).await;
    let others = async {
        sleep(Duration::from_millis(100)).await;
        // While one waits, others make haproxy open a second connection; then the first breaks.
        ask_all(&haproxy.www, 8, 20).await;
        assert!(relay.connections() >= 2, "async over several connections needs them");
        relay.cut_the_first();
    };
    let (answer, ()) = tokio::join!(client.get("/", &[("x-id", "slow")]), others);
    assert_eq!((answer.header("x-id"), answer.header("x-err")), (Some("slow"), Some("")));
    assert!(seen.lock().unwrap().contains(&Seen::HandedOver));
    drop(haproxy);
    agent.stop().await;
}

/// Options whose observer keeps what it sees.
fn counted() -> (Options, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let log = Arc::clone(&seen);
    let observer = move |what: Seen| log.lock().unwrap().push(what);
    (Options { observer: Some(Arc::new(observer)), ..Options::default() }, seen)
}

/// Stands between haproxy and the agent, and can cut the connection that carried the first NOTIFY.
struct Relay {
    count: Arc<AtomicU64>,
    cut: watch::Sender<bool>,
}

impl Relay {
    /// Takes the agent's place; the agent is moved aside.
    async fn new(place: &Place) -> Self {
        let (front, back) = (place.path("agent.sock"), place.path("agent-behind.sock"));
        std::fs::rename(&front, &back).unwrap();
        let listener = UnixListener::bind(&front).unwrap();
        let (count, notified) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (cut, watched) = watch::channel(false);
        let counter = Arc::clone(&count);
        spawn(async move {
            loop {
                let (haproxy, _) = listener.accept().await.unwrap();
                let agent = UnixStream::connect(&back).await.unwrap();
                let (counter, notified, mut watched) =
                    (Arc::clone(&counter), Arc::clone(&notified), watched.clone());
                spawn(async move {
                    let (mut from_haproxy, mut to_haproxy) = haproxy.into_split();
                    let (mut from_agent, mut to_agent) = agent.into_split();
                    let back =
                        spawn(async move { drop(tokio::io::copy(&mut from_agent, &mut to_haproxy).await) });
                    let (mut buffer, mut first, mut greeted) = (vec![0; 64 << 10], false, false);
                    loop {
                        let n = tokio::select! {
                            n = from_haproxy.read(&mut buffer) => n.unwrap_or(0),
                            _ = watched.wait_for(|cut| *cut), if first => 0,
                        };
                        if n == 0 || to_agent.write_all(&buffer[..n]).await.is_err() {
                            break;
                        }
                        // What follows the greeting is a NOTIFY: health checks never get there.
                        if std::mem::replace(&mut greeted, true) && !first {
                            let number = notified.fetch_add(1, Ordering::SeqCst);
                            first = number == 0;
                            counter.fetch_max(number + 1, Ordering::SeqCst);
                        }
                    }
                    back.abort();
                });
            }
        });
        Self { count, cut }
    }

    fn connections(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn cut_the_first(&self) {
        self.cut.send(true).unwrap();
    }
}

#[tokio::test]
async fn a_body_that_the_agent_refuses_half_way_leaves_the_connection_in_use() {
    let Some(place) = Place::new() else { return };
    let options = Options { payload_bytes_max: 20_000, ..Options::default() };
    let agent = place.agent_with(options, |request: Request| async move {
        let body = request.message("body").unwrap().arg("body").unwrap().as_bytes().unwrap().len();
        Reply::new().set(Scope::Transaction, "length", body as u64)
    });
    let haproxy = place.haproxy(
        "  option http-buffer-request\n",
        "  http-response set-header x-length %[var(txn.t.length)]\n  http-response set-header x-err %[var(txn.t.err)]\n",
        "  messages body\n  max-frame-size 256\n",
        "spoe-message body\n  args body=req.body\n  event on-frontend-http-request\n",
    );
    let mut client = haproxy.client().await;
    for (len, length, error) in
        [(10_000, "10000", ""), (500_000, "", "4"), (15_000, "15000", ""), (1 << 20, "", "4")]
    {
        let answer = client.post("/", &vec![b'x'; len]).await;
        // An ABORT that comes after the last fragment is an empty answer to haproxy.
        let got = (answer.header("x-length").unwrap(), answer.header("x-err").unwrap());
        assert!(got == (length, error) || (length.is_empty() && got == ("", "")), "{len}: {got:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_group_is_asked_by_a_rule() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(echo_id);
    let haproxy = place.haproxy(
        "  http-request send-spoe-group e g if { path /ask }\n",
        ECHO_RESPONSE,
        "  groups g\n",
        "spoe-message id\n  args id=req.hdr(x-id)\nspoe-group g\n  messages id\n",
    );
    let mut client = haproxy.client().await;
    assert_eq!(client.get("/ask", &[("x-id", "a")]).await.header("x-id"), Some("a"));
    assert_eq!(client.get("/not", &[("x-id", "b")]).await.header("x-id"), Some(""));
    agent.stop().await;
}

#[tokio::test]
async fn a_mebibyte_body_arrives_in_fragments() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(|request: Request| async move {
        let body = request.message("body").unwrap().arg("body").unwrap().as_bytes().unwrap().to_vec();
        assert!(body.iter().enumerate().all(|(i, b)| *b == pattern(i)));
        Reply::new().set(Scope::Transaction, "length", body.len() as u64)
    });
    for size in ["256", "16380"] {
        let haproxy = place.haproxy(
            "  option http-buffer-request\n",
            "  http-response set-header x-length %[var(txn.t.length)]\n  http-response set-header x-err %[var(txn.t.err)]\n",
            &format!("  messages body\n  max-frame-size {size}\n"),
            "spoe-message body\n  args body=req.body after=int(7)\n  event on-frontend-http-request\n",
        );
        let mut client = haproxy.client().await;
        for len in [0, 600, 1 << 20] {
            let body: Vec<u8> = (0..len).map(pattern).collect();
            let answer = client.post("/", &body).await;
            let got = (answer.header("x-length"), answer.header("x-err"));
            assert_eq!(got, (Some(&*len.to_string()), Some("")), "frames of {size}");
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn the_health_check_passes() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(echo_id);
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    let mut seen = String::new();
    for _ in 0..100 {
        let mut stats = connect(&place.path("stats.sock")).await;
        stats.write_all(b"show stat agents 4 -1\n").await.unwrap();
        seen.clear();
        stats.read_to_string(&mut seen).await.unwrap();
        if seen.contains("L7OK") {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.contains("L7OK") && seen.contains("Layer7 check passed"), "{seen}");
    drop(haproxy);
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_restarts_in_mid_traffic_costs_no_request() {
    let Some(place) = Place::new() else { return };
    let agent = place.agent(echo_id);
    let haproxy = place.haproxy("", ECHO_RESPONSE, "  messages id\n", ECHO_MESSAGES);
    let mut client = haproxy.client().await;
    assert_eq!(client.get("/", &[("x-id", "before")]).await.header("x-id"), Some("before"));
    // A graceful stop says DISCONNECT, so haproxy opens a new connection to whoever listens then.
    agent.stop().await;
    let agent = place.agent(echo_id);
    assert_eq!(client.get("/", &[("x-id", "after")]).await.header("x-id"), Some("after"));
    agent.stop().await;
}

async fn echo_id(request: Request) -> Reply {
    match request.message("id").and_then(|message| message.arg("id")) {
        Some(id) => Reply::new().set(Scope::Transaction, "id", id),
        None => Reply::new(),
    }
}

fn pattern(at: usize) -> u8 {
    b'A' + (at % 26) as u8
}

const ECHO_RESPONSE: &str =
    "  http-response set-header x-id %[var(txn.t.id)]\n  http-response set-header x-err %[var(txn.t.err)]\n";
const ECHO_MESSAGES: &str = "spoe-message id\n  args id=req.hdr(x-id)\n  event on-frontend-http-request\n";
