//! Scenarios in varnishtest's language, run by varnishtest over the proxy under test.
//!
//! They show that a test suite written for upstream's binary can drive ours: varnishtest starts it as
//! `$HAPROXY_PROGRAM -d -dM -dI -dW -f FILE`, hands listeners over as `fd@${name}`, talks to a stats socket on
//! `fd@${cli}` and ends it with SIGINT.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::lines::Lines;
use crate::support::peer;
use crate::support::process::Process;

/// Longer than any scenario takes; varnishtest has its own limit, which is shorter.
const LIMIT: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vtc")
}

/// A test a file, under the file's name.
macro_rules! scenarios {
    ($($name:ident)*) => {
        const SCENARIOS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

scenarios! {
    checks
    cli
    config
    lua
    proxying
    syslog
    timeouts
}

#[test]
fn every_vtc_file_is_a_test() {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "vtc"));
    let mut found: Vec<_> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    found.sort();
    assert_eq!(found, SCENARIOS, "the files in vtc/ and the list in vtc/mod.rs differ");
}

fn run(name: &str) {
    let (Some(varnishtest), Some(program)) = (peer::peer(name, "varnishtest"), peer::subject(name)) else {
        return;
    };
    let tmp = TempDir::with_prefix("vtc").expect("a folder for temporary files");
    let tmp_path = tmp.path().to_str().expect("temporary folders have plain names").to_owned();
    let program = program.to_str().expect("programs of tests have plain names").to_owned();
    let args = ["-v", "-t", "30"].map(str::to_owned).into_iter().chain([format!("{name}.vtc")]);
    let env =
        [("HAPROXY_PROGRAM", program), ("HAPROXY_ARGS", "-dM -dI -dW".to_owned()), ("TMPDIR", tmp_path)];
    let env = env.map(|(name, value)| (name.to_owned(), value)).into();
    let said = Lines::default();
    let mut process =
        Process::start(&varnishtest, &args.collect::<Vec<_>>(), &folder(), &env, Vec::new(), &said)
            .expect("varnishtest starts");
    let status = process.wait(LIMIT).expect("varnishtest can be waited for");
    let passed = status.is_some_and(|status| status.success());
    assert!(passed, "{name}.vtc: {status:?}\n{}", said.all().join("\n"));
}
