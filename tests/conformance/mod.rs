//! One scenario a folder: a configuration, its scripts, and `case.txt`, which says what happens.
//!
//! A scenario runs against any proxy binary. It is conformance, not ours: all that Debian's haproxy can
//! do it must pass too, so a scenario that fails there is itself wrong. The language of `case.txt` is
//! told in [`script`]; what each step does, in [`world`].

mod client;
mod script;
mod steps;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/cases")
}

/// A test a folder, under the folder's name.
macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                world::run(stringify!($name), &folder().join(stringify!($name)));
            }
        )*
    };
}

cases! {
    hello_world_service
}

#[test]
fn every_case_folder_is_a_test() {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let listed: BTreeSet<_> = CASES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders, listed, "the folders in conformance/cases and the list in conformance/mod.rs differ");
}
