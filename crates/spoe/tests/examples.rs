//! Every example is run and does what its configuration, printed beside it, makes of it with a real HAProxy.

#[expect(dead_code, reason = "this file uses a part of it")]
mod proxy;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, Mac};
use proxy::{Place, sleep};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An example that runs, killed with the value.
struct Example {
    child: Child,
    /// What it prints has somewhere to go.
    _stdout: BufReader<ChildStdout>,
    address: String,
}

impl Example {
    /// Runs an example on a free port; its first argument is where to listen.
    fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples");
        path.push(name);
        let mut child = Command::new(&path)
            .arg("127.0.0.1:0")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; 'cargo test' without a target builds it", path.display())
            });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, _stdout: stdout, address }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two configurations that stand behind a heading, with the addresses of this test.
fn configurations(text: &str, heading: &str, place: &Place, agent: &str) -> (String, String) {
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("no '{heading}'"));
    let mut blocks = section.split("```haproxy\n").skip(1).map(|block| block.split("```").next().unwrap());
    let (main, spoe) = (blocks.next().unwrap(), blocks.next().unwrap());
    let dir = place.dir.path().display();
    let main: Vec<String> = main
        .lines()
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["bind", _] => format!("    bind unix@{dir}/www.sock"),
            ["filter", "spoe", "engine", name, "config", _] => {
                format!("    filter spoe engine {name} config {dir}/spoe.cfg")
            }
            ["server", name, _, "check"] => format!("    server {name} {agent} check"),
            _ => line.to_owned(),
        })
        .collect();
    (main.join("\n") + "\n", spoe.to_owned())
}

#[tokio::test]
async fn the_readmes_agent_scores_addresses_and_reads_its_list_anew() {
    let Some(place) = Place::new() else { return };
    let list = place.path("list");
    std::fs::write(&list, "# nobody\n").unwrap();
    let agent = Example::run("ip_reputation", &[list.to_str().unwrap()], &[]);
    let (main, spoe) =
        configurations(include_str!("../README.md"), "answers this HAProxy", &place, &agent.address);
    // Clients of a unix socket have no address: a header stands for it.
    let spoe = spoe.replace("ip=src", "ip=req.hdr_ip(x-ip)");
    let haproxy = place.run(&main, &spoe);
    let mut client = haproxy.client().await;
    for (ip, body) in
        [("127.0.0.1", "score 100\n"), ("192.0.2.1", "score 50\n"), ("2001:db8::1", "score 50\n")]
    {
        let answer = client.get("/", &[("x-ip", ip)]).await;
        assert_eq!((answer.status, &*answer.body), (200, body), "{ip}");
    }
    // A list with a mistake is not taken; a good one is, and the longest match counts.
    for (text, scores) in [
        ("192.0.2.0/24 7\nnonsense\n", [50, 50, 50]),
        ("192.0.2.0/24 70\n192.0.2.128/25 30\n2001:db8::/32 90\n192.0.2.9 21\n", [70, 30, 90]),
    ] {
        std::fs::write(&list, text).unwrap();
        sleep(Duration::from_millis(900)).await;
        for (ip, score) in ["192.0.2.1", "192.0.2.200", "2001:db8::1"].into_iter().zip(scores) {
            let answer = client.get("/", &[("x-ip", ip)]).await;
            assert_eq!((answer.status, answer.body), (200, format!("score {score}\n")), "{ip}");
        }
    }
    std::fs::write(&list, "192.0.2.0/24 3\n").unwrap();
    sleep(Duration::from_millis(900)).await;
    assert_eq!(client.get("/", &[("x-ip", "192.0.2.1")]).await.status, 403);
}

#[tokio::test]
async fn the_jwt_agent_lets_good_tokens_pass_and_says_what_is_wrong_with_others() {
    let Some(place) = Place::new() else { return };
    let agent = Example::run("jwt_check", &[], &[("JWT_SECRET", "a secret of the test")]);
    let (main, spoe) =
        configurations(include_str!("../examples/README.md"), "## jwt_check", &place, &agent.address);
    let haproxy = place.run(&main, &spoe);
    let mut client = haproxy.client().await;
    let good = r#"{"alg":"HS256","typ":"JWT"}"#;
    let (far, past) = (4_000_000_000i64, 1_000_000_000i64);
    for (header, claims, secret, status, body) in [
        (good, format!(r#"{{"sub":"ada","exp":{far}}}"#), "a secret of the test", 200, "hello ada\n"),
        (good, format!(r#"{{"sub":"ada","exp":{far}}}"#), "another secret", 401, "wrong signature\n"),
        (good, format!(r#"{{"sub":"ada","exp":{past}}}"#), "a secret of the test", 401, "expired\n"),
        (good, format!(r#"{{"exp":{far},"nbf":{far}}}"#), "a secret of the test", 401, "not valid yet\n"),
        (good, r#"{"sub":"ada"}"#.into(), "a secret of the test", 401, "never expires\n"),
        (r#"{"alg":"none"}"#, format!(r#"{{"exp":{far}}}"#), "x", 401, "not signed with HS256\n"),
        ("no header", format!(r#"{{"exp":{far}}}"#), "x", 401, "unreadable header\n"),
    ] {
        let token = format!("Bearer {}", token(header, &claims, secret));
        let answer = client.get("/", &[("authorization", &token)]).await;
        assert_eq!((answer.status, &*answer.body), (status, body), "{header} {claims}");
    }
    for (authorization, body) in [("Basic eDp5", "not a bearer token\n"), ("Bearer x", "not a token\n")] {
        let answer = client.get("/", &[("authorization", authorization)]).await;
        assert_eq!((answer.status, &*answer.body), (401, body));
    }
    assert_eq!(client.get("/", &[]).await.body, "no token\n");
}

fn token(header: &str, claims: &str, secret: &str) -> String {
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64url(&mac.finalize().into_bytes()))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        let all = [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]));
        all.into_iter().take(chunk.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[tokio::test]
async fn the_mirror_repeats_requests_with_bodies_that_came_in_fragments() {
    let Some(place) = Place::new() else { return };
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = Example::run("mirror", &[&target.local_addr().unwrap().to_string()], &[]);
    let (main, spoe) =
        configurations(include_str!("../examples/README.md"), "## mirror", &place, &agent.address);
    let haproxy = place.run(&main, &spoe);
    let mut client = haproxy.client().await;
    for len in [0, 100, 1 << 20] {
        let body: Vec<u8> = (0..len).map(|at| b'A' + (at % 26) as u8).collect();
        let answer = client.post("/path?and=query", &body).await;
        assert_eq!((answer.status, &*answer.body), (200, "served\n"));
        let (mut stream, _) =
            tokio::time::timeout(Duration::from_secs(5), target.accept()).await.unwrap().unwrap();
        let mut bytes = Vec::new();
        let head = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let mut rest = vec![0; head + len - bytes.len()];
        stream.read_exact(&mut rest).await.unwrap();
        bytes.extend_from_slice(&rest);
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        assert!(text.starts_with("POST /path?and=query HTTP/1.1\r\nhost: test\r\n"), "{text}");
        assert!(text.contains(&format!("content-length: {len}\r\n")), "{text}");
        assert!(bytes[head..] == body[..], "the body of {len} bytes");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn an_agent_can_be_asked_from_the_command_line() {
    let agent = Example::run("ip_reputation", &[], &[]);
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/ask");
    let asked =
        Command::new(path).args([&*agent.address, "get-ip-reputation", "ip", "127.0.0.1"]).output().unwrap();
    assert_eq!(String::from_utf8(asked.stdout).unwrap(), "set sess.ip_score = uint32:100\n");
}
