//! Filters on payload: what they change, hold back, break and refuse.

#![expect(clippy::disallowed_methods, reason = "the test is the host: tokio's paused clock and local tasks")]

mod support;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use proxy_core::{
    channel::Channel,
    config::Mode,
    filter::{Filter, FilterMaker, Outcome, Passage, Point},
    txn::{
        Direction::{self, Response},
        Txn,
    },
    worker::Worker,
};
use support::{Answer, Peer, Setup, World, scenario};
use tokio::io::AsyncWriteExt;

/// A filter of payload in both directions.
#[derive(Clone, Copy)]
struct Editor {
    payload: fn(&mut Channel) -> Passage,
    /// Without a length on its head, so that a body may change its size.
    unsized_body: bool,
    /// Asked so often at the end of the response before it lets it go.
    waits_at_end: u32,
}

impl Editor {
    fn new(payload: fn(&mut Channel) -> Passage) -> Self {
        Self { payload, unsized_body: false, waits_at_end: 0 }
    }
}

impl FilterMaker for Editor {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(*self)
    }
}

impl Filter for Editor {
    fn wants(&self, point: Point) -> bool {
        matches!(point, Point::Head(_)) && self.unsized_body
            || (point == Point::End(Response) && self.waits_at_end > 0)
    }
    fn poll(&mut self, point: Point, mut txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        match point {
            Point::Head(direction) => {
                txn.message_mut(direction).del_header(b"content-length");
            }
            _ if self.waits_at_end > 0 => {
                self.waits_at_end -= 1;
                cx.waker().wake_by_ref();
                return (txn, Poll::Pending);
            }
            _ => {}
        }
        (txn, Poll::Ready(Outcome::Passed))
    }
    fn filters_payload(&self, _: Direction) -> bool {
        true
    }
    fn payload(&mut self, direction: Direction, mut txn: Txn, _: &mut Context<'_>) -> (Txn, Passage) {
        let passage = (self.payload)(txn.channel_mut(direction));
        (txn, passage)
    }
}

fn all(channel: &mut Channel) -> Passage {
    Passage::Pass(channel.data().len())
}

fn upper(channel: &mut Channel) -> Passage {
    let new = channel.data().to_ascii_uppercase();
    channel.replace(0..new.len(), &new);
    all(channel)
}

/// Each byte twice.
fn double(channel: &mut Channel) -> Passage {
    let new: Vec<u8> = channel.data().iter().flat_map(|byte| [*byte, *byte]).collect();
    channel.replace(0..channel.data().len(), &new);
    all(channel)
}

/// Lets nothing go before it has seen all, then puts the length in front.
fn measure(channel: &mut Channel) -> Passage {
    if !channel.ended() {
        return Passage::Pass(0);
    }
    let text = format!("{}:", channel.data().len());
    channel.replace(0..0, text.as_bytes());
    all(channel)
}

fn filters(list: &[Editor]) -> Vec<Arc<dyn FilterMaker>> {
    list.iter().map(|editor| Arc::new(*editor) as Arc<dyn FilterMaker>).collect()
}

fn world(list: &[Editor]) -> World {
    World::new(Setup { filters: filters(list), ..Setup::default() })
}

/// Takes a request whose body comes in chunks and answers it.
async fn answer_chunked(server: &mut Peer) -> String {
    let request = server.until("0\r\n\r\n").await;
    server.send(OK).await;
    request
}

const POST: &str = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer";

#[test]
fn bodies_may_be_rewritten_in_place() {
    scenario(async || {
        let world = world(&[Editor::new(upper)]);
        let seen = world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        for _ in 0..2 {
            client.send(POST).await;
            client.until("ANSWER").await;
        }
        assert!(seen.borrow()[0].ends_with("\r\n\r\nHELLO"), "{seen:?}");
    });
}

#[test]
fn a_body_whose_head_names_no_length_any_more_goes_in_chunks() {
    scenario(async || {
        let grows = Editor { unsized_body: true, ..Editor::new(double) };
        let world = world(&[grows, Editor::new(measure)]);
        let mut servers = world.listen(1);
        let mut client = world.connect();
        client.send(POST).await;
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        let request = answer_chunked(&mut server).await;
        let got = client.until("0\r\n\r\n").await;
        assert!(got.contains("transfer-encoding: chunked"), "{got}");
        assert!(!got.to_ascii_lowercase().contains("content-length"), "{got}");
        assert!(got.contains("12:aannsswweerr"), "{got}");
        assert!(request.contains("10:hheelllloo"), "{request}");
        // The connections are as good as before.
        client.send(POST).await;
        answer_chunked(&mut server).await;
        client.until("0\r\n\r\n").await;
    });
}

#[test]
fn filters_see_the_same_however_a_body_comes() {
    let body = "a\r\nabcdefghij\r\n3\r\nklm\r\n0\r\n\r\n";
    for at in 0..body.len() {
        scenario(async || {
            let grows = Editor { unsized_body: true, ..Editor::new(double) };
            let world = world(&[grows, Editor::new(upper), Editor::new(measure)]);
            let mut servers = world.listen(1);
            let mut client = world.connect();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            client.send(&body[..at]).await;
            tokio::task::yield_now().await;
            client.send(&body[at..]).await;
            let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
            let request = answer_chunked(&mut server).await;
            client.until("0\r\n\r\n").await;
            assert!(request.contains("26:AABBCCDDEEFFGGHHIIJJKKLLMM"), "split at {at}: {request}");
        });
    }
}

#[test]
fn a_bodiless_message_is_shown_once_as_empty() {
    scenario(async || {
        let world = world(&[Editor::new(|channel| {
            assert!(channel.data().is_empty() && channel.ended());
            Passage::Pass(0)
        })]);
        world.origin(1, |_| Answer::keep("HTTP/1.1 204 No Content\r\n\r\n"));
        let mut client = world.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.until("204 No Content").await;
    });
}

#[test]
fn what_breaks_a_declared_length_breaks_the_exchange_and_nothing_else() {
    scenario(async || {
        let world = world(&[Editor::new(double)]);
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(POST).await;
        client.until("500 Internal Server Error").await;
    });
    scenario(async || {
        let world = world(&[Editor::new(double)]);
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(!client.rest().await.contains("answeranswer"));
    });
}

#[test]
fn a_filter_that_fails_on_a_request_answers_400() {
    scenario(async || {
        let world = world(&[Editor::new(|_| Passage::Failed)]);
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(POST).await;
        client.until("400 Bad request").await;
    });
}

#[test]
fn the_end_of_a_response_waits_for_the_filter() {
    scenario(async || {
        let world = world(&[Editor { waits_at_end: 3, unsized_body: true, ..Editor::new(all) }]);
        world.origin(1, |_| Answer::keep(OK));
        let mut client = world.connect();
        client.send(POST).await;
        client.until("0\r\n\r\n").await;
    });
}

#[test]
fn a_message_may_be_cut_short() {
    scenario(async || {
        let cut = Editor {
            unsized_body: true,
            ..Editor::new(|channel| {
                let length = channel.data().len();
                channel.replace(2.min(length)..length, b"");
                channel.set_ended(true);
                all(channel)
            })
        };
        let world = world(&[cut]);
        let mut servers = world.listen(1);
        let mut client = world.connect();
        client.send(POST).await;
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        let request = answer_chunked(&mut server).await;
        let got = client.until("0\r\n\r\n").await;
        assert!(got.contains("2\r\nan\r\n"), "{got}");
        assert!(request.contains("2\r\nhe\r\n"), "{request}");
    });
}

#[test]
fn large_bodies_pass_through_a_filter_with_backpressure() {
    scenario(async || {
        let world = world(&[Editor::new(upper), Editor::new(all)]);
        let body = "x".repeat(300_000);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{body}");
        world.origin(1, move |_| Answer::keep(&answer));
        let mut client = world.connect_with(1000);
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        let got = client.rest().await;
        assert!(got.ends_with(&"X".repeat(300_000)), "{} bytes", got.len());
    });
}

#[test]
fn raw_bytes_are_filtered_both_ways_and_half_close_passes() {
    scenario(async || {
        let list = filters(&[Editor::new(double), Editor::new(upper)]);
        let world = World::new(Setup { mode: Mode::Tcp, filters: list, ..Setup::default() });
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        client.send("abc").await;
        server.until("AABBCC").await;
        server.send("xy").await;
        client.until("XXYY").await;
        client.send("end").await;
        client.io.shutdown().await.unwrap();
        assert_eq!(server.rest().await, "EENNDD");
        server.send("bye").await;
        drop(server);
        assert_eq!(client.rest().await, "BBYYEE");
        client.served().await;
    });
}

#[test]
fn raw_bytes_held_back_go_with_the_end() {
    scenario(async || {
        let list = filters(&[Editor::new(measure)]);
        let world = World::new(Setup { mode: Mode::Tcp, filters: list, ..Setup::default() });
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        client.send("abc").await;
        tokio::task::yield_now().await;
        client.send("def").await;
        client.io.shutdown().await.unwrap();
        assert_eq!(server.rest().await, "6:abcdef");
        drop(server);
        assert_eq!(client.rest().await, "0:");
    });
}
