//! HTTP exchanges through the proxy, over in-memory connections and virtual time.

#![expect(clippy::disallowed_methods, reason = "the test is the host: tokio's paused clock and local tasks")]

mod support;

use std::time::Duration;

use proxy_core::config::{ForwardFor, Options, Timeouts};
use support::{Answer, Setup, World, scenario, server};
use tokio::io::AsyncWriteExt;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Up: Yes\r\n\r\nhello";
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// One connection's bytes in, all bytes out, and what the server saw.
fn check(input: &str, server_says: Answer, to_client: &str, to_server: &[&str]) {
    let bytes = server_says.bytes.clone();
    let close = server_says.close;
    scenario(async || {
        let world = World::new(Setup::default());
        let seen = world.origin(1, move |_| Answer { bytes: bytes.clone(), close });
        let mut client = world.connect();
        client.send(input).await;
        let got = client.finish().await;
        assert_eq!(got, to_client, "to the client, for {input:?}");
        assert_eq!(*seen.borrow(), to_server, "to the server, for {input:?}");
    });
}

#[test]
fn a_get_is_answered_with_header_case_and_order_kept() {
    check(
        "GET /a?b HTTP/1.1\r\nHost: h\r\nX-Odd-Case: 1\r\naccept:*/*\r\n\r\n",
        Answer::keep(OK),
        OK,
        &["GET /a?b HTTP/1.1\r\nHost: h\r\nX-Odd-Case: 1\r\naccept: */*\r\n\r\n"],
    );
}

#[test]
fn bare_line_feeds_and_empty_lines_before_a_request_are_taken() {
    check("\r\n\nGET /a HTTP/1.1\nHost: h\n\n", Answer::keep(OK), OK, &[GET]);
}

#[test]
fn http_1_0_closes_unless_asked_to_keep() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Up: Yes\r\n";
    check(
        "GET /a HTTP/1.0\r\nHost: h\r\n\r\n",
        Answer::keep(OK),
        &format!("{head}connection: close\r\n\r\nhello"),
        &["GET /a HTTP/1.0\r\nHost: h\r\nconnection: keep-alive\r\n\r\n"],
    );
    scenario(async || {
        let world = World::new(Setup::default());
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        for _ in 0..3 {
            client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
            assert_eq!(client.until("hello").await, format!("{head}connection: keep-alive\r\n\r\nhello"));
        }
    });
}

#[test]
fn connection_tokens_of_one_hop_do_not_reach_the_next() {
    check(
        "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close, x-foo\r\nX-Foo: a\r\n\r\n",
        Answer::keep(OK),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Up: Yes\r\nconnection: close\r\n\r\nhello",
        &["GET /a HTTP/1.1\r\nHost: h\r\nConnection: x-foo\r\nX-Foo: a\r\n\r\n"],
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    scenario(async || {
        let world = World::new(Setup::default());
        let seen = world.origin(1, |request| {
            let path = request.split(' ').nth(1).unwrap_or("");
            Answer::keep(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()))
        });
        let mut client = world.connect();
        let requests: String = (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        client.send(requests).await;
        let got = client.finish().await;
        let expected: String = (0..100)
            .map(|n| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n/{n}", format!("/{n}").len()))
            .collect();
        assert_eq!(got, expected);
        assert_eq!(seen.borrow().len(), 100);
    });
}

/// A chunked body of lines that are no numbers, without its framing.
fn payload(chunked: &str) -> String {
    chunked.split("\r\n").filter(|line| !line.chars().all(|c| c.is_ascii_digit())).collect()
}

#[test]
fn a_request_split_at_any_byte_gives_the_same_answer() {
    let whole =
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n";
    for cut in 0..whole.len() {
        scenario(async || {
            let world = World::new(Setup::default());
            let mut servers = world.listen(1);
            let mut client = world.connect();
            client.send(&whole[..cut]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            client.send(&whole[cut..]).await;
            let io = servers.recv().await.expect("the proxy connects");
            let mut server = support::Peer { io, task: None };
            let got = server.until("0\r\nT: x\r\n\r\n").await;
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with("Transfer-Encoding: chunked"), "cut at {cut}: {head:?}");
            assert_eq!(payload(body), "abcT: x", "cut at {cut}");
            server.send(OK).await;
            assert_eq!(client.until("hello").await, OK);
        });
    }
}

#[test]
fn a_response_split_at_any_byte_gives_the_same_answer() {
    let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTr: a\r\n\r\n";
    for cut in 0..whole.len() {
        scenario(async || {
            let world = World::new(Setup::default());
            let mut servers = world.listen(1);
            let mut client = world.connect();
            client.send(GET).await;
            let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
            server.until("\r\n\r\n").await;
            server.send(&whole[..cut]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            server.send(&whole[cut..]).await;
            let got = client.until("0\r\nTr: a\r\n\r\n").await;
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked");
            assert_eq!(payload(body), "helloTr: a", "cut at {cut}");
        });
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let cases = [
        ("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (GET, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
        (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ];
    for (request, answer) in cases {
        scenario(async || {
            let world = World::new(Setup::default());
            world.origin(1, move |_| Answer::keep(answer));
            let mut client = world.connect();
            client.send(request.repeat(3)).await;
            assert_eq!(client.finish().await, answer.repeat(3));
        });
    }
}

#[test]
fn a_body_until_close_closes_the_client_too() {
    check(
        GET,
        Answer::close("HTTP/1.1 200 OK\r\n\r\nhello"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
        &[GET],
    );
}

#[test]
fn chunks_become_a_plain_body_for_http_1_0() {
    check(
        "GET /a HTTP/1.0\r\n\r\n",
        Answer::keep("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
        &["GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"],
    );
}

#[test]
fn a_cut_body_closes_the_connection() {
    check(
        &GET.repeat(2),
        Answer::close("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        &[GET],
    );
}

#[test]
fn expect_continue_is_passed_on_and_its_answer_relayed() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        client.send("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await;
        let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
        assert!(server.until("\r\n\r\n").await.contains("Expect: 100-continue\r\n"));
        server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        server.until("abc").await;
        server.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").await;
        server.send(OK).await;
        assert_eq!(client.until("hello").await, format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}"));
        client.send(GET).await;
        server.until("\r\n\r\n").await;
    });
}

#[test]
fn an_upgrade_becomes_a_tunnel_with_half_close() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let request = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: foo\r\n\r\n";
        client.send(request).await;
        let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
        let head = server.until("\r\n\r\n").await;
        assert_eq!(head, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
        server.send(format!("{answer}first")).await;
        assert_eq!(client.until("first").await, format!("{answer}first"));
        client.send("ping\0\r\n").await;
        server.until("ping\0\r\n").await;
        client.io.shutdown().await.unwrap();
        assert_eq!(server.rest().await, "");
        server.send("last").await;
        drop(server);
        assert_eq!(client.rest().await, "last");
        client.served().await;
    });
}

#[test]
fn connect_becomes_a_tunnel() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        client.send("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").await;
        let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
        server.until("\r\n\r\n").await;
        server.send("HTTP/1.1 200 OK\r\n\r\n").await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 200 OK\r\n\r\n");
        client.send("ping").await;
        server.until("ping").await;
        server.send("pong").await;
        client.until("pong").await;
    });
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let requests = [
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "GET / HTTP/1.1\r\n: c\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "G\u{1}T / HTTP/1.1\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\n",
    ];
    for request in requests {
        scenario(async || {
            let world = World::new(Setup::default());
            let seen = world.origin(1, |_| Answer::keep(OK));
            let mut client = world.connect();
            client.send(request).await;
            let got = client.finish().await;
            assert!(got.starts_with("HTTP/1.1 400 Bad request\r\n"), "{request:?} gave {got:?}");
            assert_eq!(got.matches("HTTP/1.1").count(), 1, "{request:?}");
            assert!(seen.borrow().is_empty(), "{request:?} reached the server");
        });
    }
}

#[test]
fn broken_chunks_end_the_exchange() {
    let chunks = [
        "x\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "3;a\0b\r\nabc\r\n0\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
    ];
    for chunk in chunks {
        scenario(async || {
            let world = World::new(Setup::default());
            let mut client = world.connect();
            let _servers = world.listen(1);
            client.send(format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{GET}")).await;
            let got = client.finish().await;
            assert!(got.starts_with("HTTP/1.1 400"), "{chunk:?} gave {got:?}");
            assert_eq!(got.matches("HTTP/1.1").count(), 1);
        });
    }
}

#[test]
fn a_server_that_answers_ambiguously_is_a_bad_gateway() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HELLO\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ];
    for answer in answers {
        scenario(async || {
            let world = World::new(Setup::default());
            world.origin(1, move |_| Answer::close(answer));
            let mut client = world.connect();
            client.send(GET).await;
            let got = client.finish().await;
            assert!(got.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer:?} gave {got:?}");
        });
    }
}

#[test]
fn heads_over_the_limits_are_refused() {
    scenario(async || {
        let world = World::new(Setup::default());
        world.origin(1, |_| Answer::keep(OK));
        let lines = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(n));
        let long = |n: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(n));
        let cases = [
            (lines(101), "200"),
            (lines(102), "400"),
            (long(15_000), "200"),
            (long(16_000), "400"),
            (long(40_000), "400"),
        ];
        for (request, status) in cases {
            let mut client = world.connect();
            client.send(&request).await;
            let got = client.finish().await;
            assert_eq!(got.get(9..12), Some(status), "{} bytes", request.len());
        }
    });
}

#[test]
fn http_1_0_payload_with_get_is_refused() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut client = world.connect();
        client.send("GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").await;
        assert!(client.finish().await.starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
    });
}

#[test]
fn later_requests_share_server_connections() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        client.send(GET).await;
        let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
        for _ in 0..10 {
            server.until("\r\n\r\n").await;
            server.send(OK).await;
            client.until("hello").await;
            client.send(GET).await;
        }
        server.until("\r\n\r\n").await;
        server.send(OK).await;
        client.until("hello").await;
        assert_eq!(world.worker.pools.idle_count(), 1);
        // A new client's first request gets its own connection, its second one the idle one.
        let mut other = world.connect();
        other.send(GET).await;
        let mut fresh = support::Peer { io: servers.recv().await.unwrap(), task: None };
        fresh.until("\r\n\r\n").await;
        fresh.send(OK).await;
        other.until("hello").await;
        assert_eq!(world.worker.pools.idle_count(), 1, "one request at a time needs one connection");
        // Two at a time need two.
        client.send(GET).await;
        server.until("\r\n\r\n").await;
        other.send(GET).await;
        let mut second = support::Peer { io: servers.recv().await.unwrap(), task: None };
        second.until("\r\n\r\n").await;
        second.send(OK).await;
        server.send(OK).await;
        client.until("hello").await;
        other.until("hello").await;
        assert_eq!(world.worker.pools.idle_count(), 2);
    });
}

#[test]
fn a_reused_connection_that_closes_unanswered_is_replaced() {
    for (method, replayed) in [("GET", true), ("POST", false)] {
        scenario(async || {
            let world = World::new(Setup::default());
            let mut servers = world.listen(1);
            let mut client = world.connect();
            client.send(GET).await;
            let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
            server.until("\r\n\r\n").await;
            server.send(OK).await;
            client.until("hello").await;
            client.send(format!("{method} /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")).await;
            server.until("abc").await;
            drop(server);
            if replayed {
                let mut server = support::Peer { io: servers.recv().await.unwrap(), task: None };
                assert!(server.until("abc").await.starts_with("GET /b HTTP/1.1\r\n"));
                server.send(OK).await;
                assert_eq!(client.until("hello").await, OK);
            } else {
                assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 502 "));
            }
        });
    }
}

#[test]
fn a_closed_idle_connection_is_not_used() {
    scenario(async || {
        let world = World::new(Setup::default());
        let seen = world.origin(1, |_| Answer::close(OK));
        let mut client = world.connect();
        for n in 1..=5 {
            client.send(GET).await;
            assert_eq!(client.until("hello").await, OK);
            assert_eq!(seen.borrow().len(), n);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn idle_connections_are_closed_after_a_while() {
    scenario(async || {
        let world = World::new(Setup::default());
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(GET).await;
        client.until("hello").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.worker.pools.idle_count(), 1);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(world.worker.pools.idle_count(), 0);
    });
}

#[test]
fn server_close_uses_each_connection_once() {
    scenario(async || {
        let options = Options { http_server_close: true, ..Options::default() };
        let world = World::new(Setup { options, ..Setup::default() });
        let seen = world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(GET.repeat(2)).await;
        assert_eq!(client.finish().await, OK.repeat(2));
        assert_eq!(world.worker.pools.idle_count(), 0);
        assert_eq!(seen.borrow()[1], "GET /a HTTP/1.1\r\nHost: h\r\nconnection: close\r\n\r\n");
    });
}

#[test]
fn forwardfor_names_the_client() {
    scenario(async || {
        let forwardfor = Some(ForwardFor { header: "X-Forwarded-For".into(), if_none: false, except: None });
        let world =
            World::new(Setup { options: Options { forwardfor, ..Options::default() }, ..Setup::default() });
        let seen = world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(GET).await;
        client.until("hello").await;
        assert_eq!(seen.borrow()[0], "GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.99\r\n\r\n");
    });
}

#[test]
fn each_timeout_ends_in_its_own_way() {
    let seconds = |n| Some(Duration::from_secs(n));
    let timeouts = Timeouts {
        client: seconds(10),
        server: seconds(3),
        connect: seconds(1),
        http_request: seconds(2),
        http_keep_alive: seconds(4),
        ..Timeouts::default()
    };
    let setup = || Setup { timeouts, ..Setup::default() };
    // (what the client sends, what it gets, after how many seconds)
    let cases = [
        ("", "HTTP/1.1 408", 2),
        ("GET / HT", "HTTP/1.1 408", 2),
        (GET, "HTTP/1.1 504", 3),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na", "HTTP/1.1 408", 10),
    ];
    for (request, start, after) in cases {
        scenario(async || {
            let world = World::new(setup());
            let _servers = world.listen(1);
            let mut client = world.connect();
            let began = tokio::time::Instant::now();
            client.send(request).await;
            let got = client.until("</html>\n").await;
            assert!(got.starts_with(start), "{request:?} gave {got:?}");
            assert_eq!(began.elapsed().as_secs(), after, "{request:?}");
        });
    }
    scenario(async || {
        let world = World::new(setup());
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(GET).await;
        client.until("hello").await;
        let began = tokio::time::Instant::now();
        assert_eq!(client.rest().await, "", "an idle connection ends in silence");
        assert_eq!(began.elapsed().as_secs(), 4);
    });
    scenario(async || {
        let world = World::new(setup());
        world.origin(1, |_| Answer::keep("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"));
        let mut client = world.connect();
        client.send(GET).await;
        client.until("hello").await;
        let began = tokio::time::Instant::now();
        assert_eq!(client.rest().await, "", "a stalled body is cut");
        assert_eq!(began.elapsed().as_secs(), 3);
    });
}

#[test]
fn a_dead_server_is_tried_again_and_then_given_up() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut client = world.connect();
        let began = tokio::time::Instant::now();
        client.send(GET).await;
        assert!(client.until("</html>\n").await.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert_eq!(began.elapsed().as_secs(), 3, "one second between tries");
    });
}

#[test]
fn redispatch_moves_the_last_try_to_another_server() {
    scenario(async || {
        let servers = vec![server("dead", 7), server("alive", 2)];
        let world = World::new(Setup { servers, redispatch: -1, retries: 1, ..Setup::default() });
        world.origin(2, |_| Answer::keep(OK));
        for _ in 0..4 {
            let mut client = world.connect();
            client.send(GET).await;
            assert_eq!(client.until("hello").await, OK);
        }
    });
}

#[test]
fn a_client_that_leaves_at_any_byte_leaves_nothing_behind() {
    let whole = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
    for cut in 0..=whole.len() {
        scenario(async || {
            let world = World::new(Setup::default());
            world.origin(1, |_| Answer::keep(OK));
            let mut client = world.connect();
            client.send(&whole[..cut]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let task = client.task.take();
            drop(client);
            tokio::time::timeout(Duration::from_secs(2), task.unwrap())
                .await
                .expect("it ends")
                .expect("no panic");
            assert_eq!(world.proxy.servers[0].served(), 0, "cut at {cut}");
            assert_eq!(world.proxy.state.fe_sessions.cur(), 0, "cut at {cut}");
        });
    }
}

#[test]
fn large_bodies_pass_in_both_directions() {
    scenario(async || {
        let world = World::new(Setup::default());
        let mut servers = world.listen(1);
        let mut client = world.connect_with(5000);
        let size = 3_000_000;
        let body: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let sent = body.clone();
        let (mut reader, mut writer) = tokio::io::split(client.io);
        tokio::task::spawn_local(async move {
            writer
                .write_all(format!("POST / HTTP/1.1\r\nContent-Length: {size}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            writer.write_all(&sent).await.unwrap();
            writer
        });
        let server = servers.recv().await.unwrap();
        tokio::task::spawn_local(async move {
            use tokio::io::AsyncReadExt;
            let mut server = support::Peer { io: server, task: None };
            server.until("\r\n\r\n").await;
            let mut got = vec![0; size as usize];
            server.io.read_exact(&mut got).await.unwrap();
            server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
            server.send(&got).await;
            server
        });
        use tokio::io::AsyncReadExt;
        let mut head = vec![0; format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").len()];
        reader.read_exact(&mut head).await.unwrap();
        let mut got = vec![0; size as usize];
        reader.read_exact(&mut got).await.unwrap();
        assert!(got == body, "the body came back as it went");
        client.task.take();
    });
}
