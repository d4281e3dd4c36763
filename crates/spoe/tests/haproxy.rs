//! Our agent driven by a real HAProxy of the classic era (Debian's 2.6): events, types, fragments, health check, restarts.
//!
//! Needs `haproxy` in PATH; without it the tests say so and pass, except where `CI` is set. Everything listens on unix sockets
//! in a temporary directory.

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proxy::{Client, Place, connect, sleep, spawn};
use spoe::agent::{Reply, Request};
use spoe::{Scope, TypedData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
