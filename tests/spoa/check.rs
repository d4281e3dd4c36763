//! `tidegate spoa check` passes agents that are well, and fails the others for their fault and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use super::{
    broken::{Broken, Fault},
    spoa, stderr, stdout,
};
use crate::support::{agent::Agent, spoa::Spoa};

/// Runs the check; the exit status with the names of the cases that ended so.
fn checked(test: &str, address: &str, outcome: &str) -> Option<(Option<i32>, BTreeSet<String>)> {
    let output = spoa(test, &["check", address, "--format", "json", "--timeout", "700"])?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", stdout(&output), stderr(&output)));
    let cases = report["cases"].as_array().expect("a list of cases");
    assert!(cases.len() > 40, "{report:#}");
    let names = cases.iter().filter(|case| case["outcome"] == outcome);
    let names = names.map(|case| case["name"].as_str().expect("a name").to_owned()).collect();
    Some((output.status.code(), names))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_agent_of_ours_passes_every_case() {
    let test = "an_agent_of_ours_passes_every_case";
    let agent = Spoa::start().expect("a port on loopback");
    let Some((status, failed)) = checked(test, &agent.addr().to_string(), "failed") else { return };
    assert_eq!((status, failed), (Some(0), set(&[])));
}

#[test]
fn so_it_does_on_a_unix_socket() {
    let test = "so_it_does_on_a_unix_socket";
    let tmp = TempDir::with_prefix("tg").expect("a folder for temporary files");
    let path = tmp.path().join("agent");
    let _agent = Spoa::start_at(&path).expect("a socket in the folder");
    let address = path.to_str().expect("temporary folders have plain names");
    let Some((status, failed)) = checked(test, address, "failed") else { return };
    assert_eq!((status, failed), (Some(0), set(&[])));
}

#[test]
fn what_an_agent_does_not_offer_is_skipped() {
    let test = "what_an_agent_does_not_offer_is_skipped";
    let agent = Broken::start(Fault::Plain).expect("a port on loopback");
    let address = agent.addr().to_string();
    let Some((status, failed)) = checked(test, &address, "failed") else { return };
    assert_eq!((status, failed), (Some(0), set(&[])));
    let Some((_, skipped)) = checked(test, &address, "skipped") else { return };
    assert_eq!(skipped, set(&["async", "fragments", "fragments-given-up", "interlaced", "pipelining"]));
}

/// The snapshot is the point: a case that fails an agent for a fault of another kind shows there.
#[test]
fn each_fault_fails_the_cases_that_are_about_it() {
    let test = "each_fault_fails_the_cases_that_are_about_it";
    let faults = [
        Fault::OwnSize,
        Fault::SameIds,
        Fault::Twice,
        Fault::CutActions,
        Fault::TakesEverything,
        Fault::IgnoresDisconnect,
        Fault::AnswersFragments,
    ];
    // Most of the time they wait for words that never come.
    let found = std::thread::scope(|scope| {
        let checks = faults.map(|fault| {
            scope.spawn(move || {
                let agent = Broken::start(fault).expect("a port on loopback");
                checked(test, &agent.addr().to_string(), "failed")
            })
        });
        checks.map(|check| check.join().expect("no check panics"))
    });
    let mut text = String::new();
    for (fault, found) in faults.iter().zip(found) {
        let Some((status, failed)) = found else { return };
        assert_eq!(status, Some(1), "{fault:?}");
        let failed: Vec<_> = failed.into_iter().collect();
        text += &format!("{fault:?}:\n  {}\n", failed.join("\n  "));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn an_agent_that_cannot_greet_fails_everything_that_needs_a_greeting() {
    let test = "an_agent_that_cannot_greet_fails_everything_that_needs_a_greeting";
    for (fault, said) in [
        (Fault::Version, "AGENT-HELLO: version 3.0, but 2.0 was offered"),
        (Fault::HelloWithoutFin, "AGENT-HELLO must have FIN alone"),
    ] {
        let agent = Broken::start(fault).expect("a port on loopback");
        let Some(output) =
            spoa(test, &["check", &agent.addr().to_string(), "--only", "greets,answers,before-hello"])
        else {
            return;
        };
        assert_eq!(output.status.code(), Some(1), "{fault:?}");
        let text = stdout(&output);
        assert!(
            text.contains(&format!(
                "FAILED   greets: answers HAPROXY-HELLO with a whole AGENT-HELLO: {said}"
            )),
            "{text}"
        );
        assert!(text.ends_with("1 passed, 2 failed, 0 skipped\n"), "{text}");
    }
}

/// The protocol wants a DISCONNECT, but a closed connection shows a refusal as well: it is noted, not failed.
#[test]
fn closing_without_a_word_is_noted() {
    let test = "closing_without_a_word_is_noted";
    let agent = Broken::start(Fault::NoDisconnect).expect("a port on loopback");
    let words = ["check", &agent.addr().to_string(), "--only", "garbage,too-big,disconnect"];
    let Some(output) = spoa(test, &words) else { return };
    let text = stdout(&output);
    assert_eq!(text.matches("(closed without AGENT-DISCONNECT)").count(), 3, "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_reports_of_ci_systems_name_the_failure() {
    let test = "the_reports_of_ci_systems_name_the_failure";
    let agent = Broken::start(Fault::CutActions).expect("a port on loopback");
    let words = ["check", &agent.addr().to_string(), "--only", "greets,answers,async", "--format", "junit"];
    let Some(output) = spoa(test, &words) else { return };
    let text = stdout(&output);
    assert!(text.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{text}");
    assert!(text.contains("<failure message=\"ACK: truncated value at byte "), "{text}");
}

#[test]
fn nobody_there_is_an_exit_status_of_its_own() {
    let test = "nobody_there_is_an_exit_status_of_its_own";
    let mut agent = Agent::start().expect("a port on loopback");
    agent.down();
    let Some(output) = spoa(test, &["check", &agent.addr().to_string()]) else { return };
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nobody listens at"), "{}", stderr(&output));
}
