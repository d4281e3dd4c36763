//! `tidegate spoa bench` counts what it asks, and says when an agent fails.

use serde_json::Value;

use super::{
    broken::{Broken, Fault},
    spoa, stdout,
};
use crate::support::spoa::Spoa;

#[test]
fn every_question_of_a_load_is_answered_and_counted() {
    let test = "every_question_of_a_load_is_answered_and_counted";
    let agent = Spoa::start().expect("a port on loopback");
    let address = agent.addr().to_string();
    for depth in ["1", "7"] {
        let words =
            ["bench", &address, "-n", "2000", "-c", "3", "--depth", depth, "-t", "1m", "--format", "json"];
        let Some(output) = spoa(test, &words) else { return };
        assert!(output.status.success(), "{}", stdout(&output));
        let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(result["answers"], 2000, "{result:#}");
        let times = &result["latency_microseconds"];
        let time = |name: &str| times[name].as_f64().expect("a time");
        let ordered = ["p50", "p90", "p99", "p99.9", "max"].map(time);
        assert!(ordered[0] > 0.0 && ordered.is_sorted(), "{result:#}");
    }
    assert_eq!(agent.asked(), 4000);
}

#[test]
fn a_load_ends_when_its_time_is_over() {
    let test = "a_load_ends_when_its_time_is_over";
    let agent = Spoa::start().expect("a port on loopback");
    let words = ["bench", &agent.addr().to_string(), "-t", "200ms", "--arg", "ip=ipv4:192.0.2.1"];
    let Some(output) = spoa(test, &words) else { return };
    let text = stdout(&output);
    assert!(
        output.status.success() && text.contains("8 connections, one question at a time on each\n"),
        "{text}"
    );
    assert!(text.contains("  latency: p50 "), "{text}");
}

#[test]
fn an_agent_that_fails_is_told() {
    let test = "an_agent_that_fails_is_told";
    let agent = Broken::start(Fault::Version).expect("a port on loopback");
    let words = ["bench", &agent.addr().to_string(), "-t", "10s", "-c", "2"];
    let Some(output) = spoa(test, &words) else { return };
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("2 connections failed; the first: agent broke the protocol: unsupported version (8)"),
        "{text}"
    );
}
