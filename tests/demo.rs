//! `tidegate demo` as somebody who tries it out meets it: what it prints, what its suggestions do, what its
//! script reports, and that nothing of it is left.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::http::{Message, Reader};
use crate::support::lines::Lines;
use crate::support::peer;
use crate::support::process::Process;

/// Longer than the shaky origin is well or ill at a stretch, checks included.
const ONE_TURN: Duration = Duration::from_secs(30);

#[test]
fn the_demonstration_does_what_it_says() {
    let Some(program) = peer::ours("the_demonstration_does_what_it_says") else { return };
    let tmp = TempDir::with_prefix("demo").expect("a folder for temporary files");
    let left = || fs::read_dir(tmp.path()).unwrap().count();
    let env = [("TMPDIR".to_owned(), tmp.path().display().to_string())].into();
    let words = ["demo", "--listen", "127.0.0.1:0"].map(str::to_owned);
    let said = Lines::default();
    let mut demo = Process::start(&program, &words, tmp.path(), &env, Vec::new(), &said).expect("it starts");
    let suggests = |line: &str| line.trim_start().starts_with("curl ");
    assert!(said.wait_for(3, PATIENCE, suggests), "no suggestions in {:?}", said.all());
    assert_eq!(left(), 1, "its temporary folder");

    let suggestions: Vec<_> = said.all().into_iter().filter(|line| suggests(line)).collect();
    let answers: Vec<_> = suggestions.iter().map(|line| follow(line)).collect();
    let statuses: Vec<_> = answers.iter().map(Message::status).collect();
    assert_eq!(statuses, [200, 200, 403], "{suggestions:?}");
    assert!(answers[0].header("x-demo-hash").is_some(), "{:?}", answers[0].head);
    assert!(answers[0].header("x-demo-score").is_some(), "{:?}", answers[0].head);
    assert_eq!(answers[1].body, "Hello from Lua, you asked for /hello\n");

    let reports =
        |event: &'static str| move |line: &str| line.contains(&format!("lua: {event} origins/shaky"));
    assert!(said.wait_for(1, ONE_TURN, reports("SERVER_DOWN")), "{:?}", said.all());
    assert!(said.wait_for(1, ONE_TURN, reports("SERVER_UP")), "{:?}", said.all());
    let at = |event| said.all().iter().position(|line| reports(event)(line));
    assert!(at("SERVER_DOWN") < at("SERVER_UP"), "{:?}", said.all());

    demo.signal(Signal::SIGINT).unwrap();
    let status = demo.wait(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?} {:?}", said.all());
    assert_eq!(left(), 0, "something is left behind");
}

#[test]
fn the_demonstration_prints_what_it_runs() {
    let Some(program) = peer::ours("the_demonstration_prints_what_it_runs") else { return };
    for (flag, part) in [
        ("--print-config", "frontend web"),
        ("--print-lua", "core.event_sub"),
        ("--print-spoe", "spoe-message"),
    ] {
        let output = Command::new(&program).args(["demo", flag]).output().expect("the proxy starts");
        assert!(output.status.success(), "{flag}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(part), "{flag}: {text}");
    }
}

/// Does what a line `curl -i [-H 'name: value'] http://address/path # why` would do.
fn follow(line: &str) -> Message {
    let header = line.split('\'').nth(1).map_or(String::new(), |header| format!("{header}\r\n"));
    let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("a URL");
    let (address, path) = url.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address).expect("the demonstration listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {address}\r\n{header}connection: close\r\n\r\n").unwrap();
    let mut reader = Reader::new(stream);
    let mut answer = reader.head().unwrap().expect("an answer");
    reader.response_body(&mut answer, "GET").unwrap();
    answer
}
