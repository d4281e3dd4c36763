//! `show lua` and `show errors lua`: what scripts cost and how they failed, over all workers.

use std::{collections::BTreeMap, collections::VecDeque, fmt::Write as _, time::Duration};

use hlua::{ContextKind, Failure, FunctionUsage, VmUsage};
use parking_lot::Mutex;
use proxy_core::{admin::Command, config::AccessLevel};

/// Failures kept.
const FAILURES_MAX: usize = 32;

/// The commands that this file answers.
pub const COMMANDS: &[Command<'_>] = &[
    Command {
        words: "show lua",
        usage: "show lua",
        help: "what Lua functions cost: calls, run time, yields, errors, and memory",
        level: AccessLevel::Operator,
    },
    Command {
        words: "show errors lua",
        usage: "show errors lua",
        help: "the last errors of Lua functions, with calls, arguments and stream",
        level: AccessLevel::Operator,
    },
];

/// What is known of the process's scripts. Shared by all threads.
#[derive(Debug, Default)]
pub struct Scripts {
    vms: Mutex<BTreeMap<u32, VmUsage>>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    total: u64,
    last: VecDeque<(Duration, Failure)>,
}

impl Scripts {
    /// Takes note of a worker's VM; the shared one is told of by every worker.
    pub fn add(&self, vm: VmUsage) {
        self.vms.lock().insert(vm.thread(), vm);
    }

    /// Keeps a failure that happened at `when`, since the Unix epoch; the oldest one goes.
    pub fn failed(&self, when: Duration, failure: Failure) {
        let mut failures = self.failures.lock();
        failures.total += 1;
        if failures.last.len() == FAILURES_MAX {
            failures.last.pop_front();
        }
        failures.last.push_back((when, failure));
    }

    /// The answer to a command of this file; `None` if it is none.
    #[must_use]
    pub fn answer(&self, words: &[&str], level: AccessLevel) -> Option<String> {
        let show: fn(&Self) -> String = match words {
            ["show", "lua"] => Self::show_usage,
            ["show", "errors", "lua"] => Self::show_failures,
            _ => return None,
        };
        Some(if level < AccessLevel::Operator { "Permission denied\n".to_owned() } else { show(self) })
    }

    fn show_usage(&self) -> String {
        let vms = self.vms.lock();
        let mut text = String::from("# vm memory_bytes\n");
        for vm in vms.values() {
            let name = if vm.thread() == 0 { "shared".to_owned() } else { vm.thread().to_string() };
            let _ = writeln!(text, "{name:<6} {}", vm.memory_bytes());
        }
        text.push_str("# calls run_ms yields preemptions errors function\n");
        for function in sum(vms.values()) {
            let FunctionUsage { calls, yields, preemptions, errors, run_time, .. } = &function;
            let run_ms = run_time.as_millis();
            let _ =
                writeln!(text, "{calls} {run_ms} {yields} {preemptions} {errors} {}", described(&function));
        }
        text
    }

    fn show_failures(&self) -> String {
        let failures = self.failures.lock();
        let mut text = format!("# {} errors, the last {}:\n", failures.total, failures.last.len());
        for (when, failure) in &failures.last {
            let (sec, ms) = (when.as_secs(), when.subsec_millis());
            let stream = failure.stream.as_deref().unwrap_or("-");
            let _ = writeln!(text, "{sec}.{ms:03} stream={stream} vm={} {}", failure.vm, failure.message);
            let _ = writeln!(text, "  arguments: ({})", failure.arguments.join(", "));
            for frame in &failure.traceback {
                let _ = writeln!(text, "  {frame}");
            }
        }
        text
    }
}

/// The functions of all VMs; the same one of several VMs once, the costly ones first.
fn sum<'a>(vms: impl Iterator<Item = &'a VmUsage>) -> Vec<FunctionUsage> {
    let mut all: BTreeMap<(String, String, String), FunctionUsage> = BTreeMap::new();
    for function in vms.flat_map(VmUsage::functions) {
        let key = (function.context.to_string(), function.name.clone(), function.place.clone());
        match all.get_mut(&key) {
            Some(sum) => {
                sum.calls += function.calls;
                sum.yields += function.yields;
                sum.preemptions += function.preemptions;
                sum.errors += function.errors;
                sum.run_time += function.run_time;
            }
            None => drop(all.insert(key, function)),
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|function| std::cmp::Reverse((function.run_time, function.calls)));
    all
}

/// `action lua.name (file.lua:12)`
fn described(function: &FunctionUsage) -> String {
    let FunctionUsage { context, name, place, .. } = function;
    match context {
        ContextKind::Body => format!("body {place}"),
        _ if name.is_empty() => format!("{context} ({place})"),
        _ => format!("{context} lua.{name} ({place})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(n: usize) -> Failure {
        Failure {
            function: "Lua function 'x'".into(),
            context: ContextKind::Action,
            vm: 0,
            message: format!("failed {n}"),
            traceback: vec!["x.lua:1: in local 'f'".into(), "x.lua:9: in function line 8".into()],
            arguments: vec!["TXN".into(), "\"a\"".into()],
            stream: Some("17".into()),
        }
    }

    #[test]
    fn the_ring_keeps_the_last_failures_and_counts_all() {
        let scripts = Scripts::default();
        for n in 0..FAILURES_MAX + 5 {
            scripts.failed(Duration::from_millis(1_700_000_000_250), failure(n));
        }
        let text = scripts.answer(&["show", "errors", "lua"], AccessLevel::Admin).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("# 37 errors, the last 32:"));
        assert_eq!(lines.next(), Some("1700000000.250 stream=17 vm=0 failed 5"));
        assert_eq!(lines.next(), Some("  arguments: (TXN, \"a\")"));
        assert_eq!(lines.next(), Some("  x.lua:1: in local 'f'"));
        assert_eq!(text.lines().count(), 1 + 32 * 4);
    }

    #[test]
    fn other_commands_are_not_answered_and_users_are_refused() {
        let scripts = Scripts::default();
        assert_eq!(scripts.answer(&["show", "info"], AccessLevel::Admin), None);
        assert_eq!(
            scripts.answer(&["show", "lua"], AccessLevel::User).as_deref(),
            Some("Permission denied\n")
        );
    }
}
