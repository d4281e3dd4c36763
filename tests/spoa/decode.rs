//! `tidegate spoa decode`: what people read. Captures are in `captures`, one kind of thing a file.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::{spoa, stderr, stdout};
use crate::support::peer;

#[test]
fn captures_are_explained_byte_by_byte() {
    insta::glob!("captures/*.hex", |path| {
        let file = path.to_str().expect("captures have plain names");
        let Some(output) = spoa("captures_are_explained_byte_by_byte", &["decode", file]) else { return };
        let input = std::fs::read_to_string(path).expect("captures are text");
        let status = output.status.code().expect("it ends by itself");
        insta::with_settings!({ description => input, omit_expression => true }, {
            insta::assert_snapshot!(format!("{}exit status {status}\n", stdout(&output)));
        });
    });
}

#[test]
fn raw_bytes_on_the_standard_input_are_taken_as_they_are() {
    let test = "raw_bytes_on_the_standard_input_are_taken_as_they_are";
    let Some(program) = peer::ours(test) else { return };
    let mut child = Command::new(program)
        .args(["spoa", "decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let bytes = b"\0\0\0\x07\x67\0\0\0\x01\x05\x01";
    child.stdin.take().expect("piped").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(
        text.starts_with("frame 1 at byte 0: ACK, 7 bytes\n") && text.contains("stream-id 5\n"),
        "{text}"
    );
}

#[test]
fn what_is_no_capture_is_refused_with_its_place() {
    let test = "what_is_no_capture_is_refused_with_its_place";
    let Some(output) = spoa(test, &["decode", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 1, column 1: '[' is no hexadecimal digit"), "{}", stderr(&output));
}
