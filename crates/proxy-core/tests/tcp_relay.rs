//! TCP mode: relaying with half-close, timeouts, services.

#![expect(clippy::disallowed_methods, reason = "the test is the host: tokio's paused clock and local tasks")]

mod support;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proxy_core::{
    applet::{AppletIo, Ended, Service, ServiceMaker},
    config::{Mode, Timeouts},
    filter::{Filter, FilterMaker, Outcome, Point},
    txn::Txn,
    worker::Worker,
};
use support::{Peer, Setup, World, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn tcp() -> Setup {
    Setup { mode: Mode::Tcp, ..Setup::default() }
}

#[test]
fn each_side_may_close_first() {
    scenario(async || {
        let world = World::new(tcp());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        server.send("banner").await;
        client.until("banner").await;
        client.send("question").await;
        client.io.shutdown().await.unwrap();
        assert_eq!(server.rest().await, "question");
        server.send("answer").await;
        drop(server);
        assert_eq!(client.rest().await, "answer");
        client.served().await;
        assert_eq!(world.proxy.servers[0].served(), 0);
    });
    scenario(async || {
        let world = World::new(tcp());
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        server.send("banner").await;
        server.io.shutdown().await.unwrap();
        assert_eq!(client.rest().await, "banner");
        client.send("late").await;
        client.io.shutdown().await.unwrap();
        assert_eq!(server.rest().await, "late");
        client.served().await;
    });
}

#[test]
fn bulk_data_arrives_whole_through_narrow_pipes() {
    scenario(async || {
        let world = World::new(tcp());
        let mut servers = world.listen(1);
        let mut client = world.connect_with(3000);
        let mut server = servers.recv().await.unwrap();
        let data: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 253) as u8).collect();
        let sent = data.clone();
        tokio::task::spawn_local(async move {
            server.write_all(&sent).await.unwrap();
            server
        });
        let mut got = vec![0; data.len()];
        client.io.read_exact(&mut got).await.unwrap();
        assert!(got == data, "the data came as it went");
    });
}

#[test]
fn silence_is_ended_by_the_side_that_keeps_it() {
    let seconds = |n| Some(Duration::from_secs(n));
    let base = Timeouts { client: seconds(5), server: seconds(9), ..Timeouts::default() };
    // (timeouts, who half-closes, seconds until the end)
    let cases = [
        (base, "", 5),
        (Timeouts { client: seconds(9), server: seconds(4), ..base }, "", 4),
        (Timeouts { tunnel: seconds(30), ..base }, "", 30),
        (Timeouts { server_fin: seconds(2), ..base }, "client", 2),
        (Timeouts { client_fin: seconds(1), ..base }, "server", 1),
        (Timeouts { tunnel: seconds(30), client_fin: seconds(3), ..base }, "server", 3),
    ];
    for (timeouts, half_closed, after) in cases {
        scenario(async || {
            let world = World::new(Setup { timeouts, ..tcp() });
            let mut servers = world.listen(1);
            let mut client = world.connect();
            let mut server = servers.recv().await.unwrap();
            match half_closed {
                "client" => client.io.shutdown().await.unwrap(),
                "server" => server.shutdown().await.unwrap(),
                _ => {}
            }
            let began = tokio::time::Instant::now();
            client.served().await;
            assert_eq!(began.elapsed().as_secs(), after, "{timeouts:?} {half_closed}");
        });
    }
}

#[test]
fn traffic_one_way_keeps_both_sides_alive() {
    let seconds = |n| Some(Duration::from_secs(n));
    scenario(async || {
        let timeouts = Timeouts { client: seconds(5), server: seconds(5), ..Timeouts::default() };
        let world = World::new(Setup { timeouts, ..tcp() });
        let mut servers = world.listen(1);
        let mut client = world.connect();
        let mut server = Peer { io: servers.recv().await.unwrap(), task: None };
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(4)).await;
            server.send("tick").await;
            client.until("tick").await;
        }
    });
}

/// Answers each line with its length, ends at an empty one.
struct Lines;

impl Service for Lines {
    fn poll(&mut self, mut io: AppletIo, _: &mut Context<'_>) -> (AppletIo, Poll<Ended>) {
        while let Some(end) = io.input.iter().position(|b| *b == b'\n') {
            if end == 0 {
                return (io, Poll::Ready(Ended::Done));
            }
            io.output.extend_from_slice(format!("{end}\n").as_bytes());
            io.consume(end + 1);
        }
        if io.input_ended {
            return (io, Poll::Ready(Ended::Failed));
        }
        (io, Poll::Pending)
    }
}

struct LinesMaker;

impl ServiceMaker for LinesMaker {
    fn name(&self) -> &str {
        "lines"
    }
    fn is_http(&self) -> bool {
        false
    }
    fn start(self: Arc<Self>, _: &Worker) -> Box<dyn Service> {
        Box::new(Lines)
    }
}

/// Chooses the service, as a rule would.
struct UseLines;

impl FilterMaker for UseLines {
    fn attach(&self, _: &Worker) -> Box<dyn Filter> {
        Box::new(Self)
    }
}

impl Filter for UseLines {
    fn wants(&self, point: Point) -> bool {
        point == Point::FrontendTcpRequest
    }
    fn poll(&mut self, _: Point, mut txn: Txn, _: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        txn.service = Some(Arc::new(LinesMaker));
        (txn, Poll::Ready(Outcome::Passed))
    }
}

#[test]
fn a_service_talks_to_the_client_by_itself() {
    let script = "abc\nde\nfghi\n\nignored\n";
    for cut in 0..script.len() {
        scenario(async || {
            let world = World::new(Setup { filters: vec![Arc::new(UseLines)], ..tcp() });
            let mut client = world.connect();
            client.send(&script[..cut]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = client.io.write_all(&script.as_bytes()[cut..]).await;
            assert_eq!(client.rest().await, "3\n2\n4\n", "cut at {cut}");
            client.served().await;
        });
    }
}
