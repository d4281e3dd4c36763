//! `tidegate spoa decode`: explains captured frames byte by byte.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{annotate::annotate, hex};

/// Explain captured SPOP frames, byte by byte
///
/// Reads frames one behind the other, as one direction of a connection carries them (in Wireshark: Follow TCP
/// Stream, one side, shown as hex dump), and prints each with what every byte means. Payloads sent in fragments
/// are put together again. The exit status is 0 if everything could be read, 1 if something could not; the text
/// then says at which byte.
///
/// Example: echo '00000007 67 00000003 00 01' | tidegate spoa decode
#[derive(Args, Clone, Debug)]
pub(super) struct DecodeArgs {
    /// The capture; `-` or nothing for the standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the capture is; by default what it looks like
    #[arg(long, value_enum, default_value_t = Input::Auto)]
    input: Input,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Input {
    /// Hexadecimal if all of it is printable, else raw
    Auto,
    /// Hexadecimal digits; also as xxd and hexdump -C print them; `#` begins a comment
    Hex,
    /// The bytes themselves
    Raw,
}

/// Decodes and prints.
pub(super) fn run(args: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let bytes = read(args)?;
    let (text, clean) = annotate(&bytes);
    match io::stdout().write_all(text.as_bytes()) {
        // A pager that was left early is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(args: &DecodeArgs) -> anyhow::Result<Vec<u8>> {
    let bytes = match &args.file {
        Some(file) if file.as_os_str() != "-" => {
            fs::read(file).with_context(|| format!("reading {}", file.display()))?
        }
        _ => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("reading the standard input")?;
            bytes
        }
    };
    let is_hex = match args.input {
        Input::Auto => hex::looks_like_hex(&bytes),
        Input::Hex => true,
        Input::Raw => false,
    };
    if !is_hex {
        return Ok(bytes);
    }
    let text = str::from_utf8(&bytes).context("hexadecimal input is text")?;
    Ok(hex::parse(text)?)
}
