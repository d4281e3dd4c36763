//! Which entries of the API scripts reached: what `cargo xtask lua-api` holds against the table of facts.
//!
//! Off unless [`VARIABLE`] names a folder when the first VM is made. Then every call that did not fail, every
//! attribute and constant that was read, and every field of an object or event that was handed to a script is written
//! to a file of this process in that folder, once each, as `class<TAB>name`. VMs made while it is off call the API
//! without a detour: recording costs nothing where it is not asked for.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use parking_lot::Mutex;

/// The environment variable that names the folder.
pub const VARIABLE: &str = "HLUA_REACHED";

struct Recorder {
    seen: BTreeSet<(String, String)>,
    file: File,
}

/// Whether this process records.
pub(crate) fn is_on() -> bool {
    recorder().is_some()
}

/// Notes one entry.
pub(crate) fn reached(class: &str, name: &str) {
    let Some(recorder) = recorder() else { return };
    let mut recorder = recorder.lock();
    if recorder.seen.insert((class.to_owned(), name.to_owned())) {
        // A full disk is noticed by who reads the files: the entry is missing.
        let _ = writeln!(recorder.file, "{class}\t{name}");
    }
}

fn recorder() -> Option<&'static Mutex<Recorder>> {
    static RECORDER: OnceLock<Option<Mutex<Recorder>>> = OnceLock::new();
    RECORDER.get_or_init(|| open().map(Mutex::new)).as_ref()
}

fn open() -> Option<Recorder> {
    let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
    let program = std::env::current_exe().ok()?;
    let stem = program.file_stem()?.to_string_lossy().into_owned();
    let path = folder.join(format!("{stem}.{}.tsv", std::process::id()));
    let file = File::options().create(true).append(true).open(path).ok()?;
    Some(Recorder { seen: BTreeSet::new(), file })
}
