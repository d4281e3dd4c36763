//! The runtime API's line discipline, without I/O: bytes in, commands out, answers framed.
//!
//! One line holds commands separated by `;`. Without `prompt` the session ends once the line is
//! answered and nothing more has come; with it, `> ` follows every answer. A command that ends in
//! `<<` or `<<PATTERN` takes the following lines as its payload, up to an empty line or PATTERN.
//!
//! Source: management.txt §9.3 (unix socket commands).

use std::collections::VecDeque;

use proxy_core::admin::split_commands;

/// The longest line, and the longest payload, in bytes: `tune.bufsize` of the original.
pub const LINE_BYTES_MAX: usize = 16384;

/// One command as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The command's text without its payload mark.
    pub text: String,
    /// The payload's lines as they came, if the command has one.
    pub payload: Option<String>,
}

/// What the session asks of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Run this.
    Command(CommandLine),
    /// A line or payload was too long: say so once and close.
    TooLong,
}

/// The state of one session.
#[derive(Debug, Default)]
pub struct CliSession {
    pending: Vec<u8>,
    ready: VecDeque<Input>,
    payload: Option<Payload>,
    ended: bool,
    lines: u64,
    /// Whether `prompt` is on.
    pub prompt: bool,
}

#[derive(Debug)]
struct Payload {
    commands: Vec<String>,
    until: String,
    text: String,
}

impl CliSession {
    /// Takes bytes from the client.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Hands over what came after the last command, for a command that reads it itself, and whether more may come.
    /// What is left of it is given back by [`resume`](Self::resume).
    pub fn take_rest(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.pending), self.ended)
    }

    /// Goes on with what a command left unread.
    pub fn resume(&mut self, (unread, ended): (Vec<u8>, bool)) {
        self.pending = unread;
        self.ended = ended;
    }

    /// The client will send no more. A last line without its end is not run.
    pub fn handle_end(&mut self) {
        self.ended = true;
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Input> {
        while self.ready.is_empty() {
            let Some(length) = memchr(b'\n', &self.pending) else {
                if self.pending.len() > LINE_BYTES_MAX {
                    self.pending.clear();
                    return Some(Input::TooLong);
                }
                return None;
            };
            let line = String::from_utf8_lossy(&self.pending[..length]).into_owned();
            self.pending.drain(..=length);
            self.take_line(line.strip_suffix('\r').unwrap_or(&line), &line);
        }
        self.ready.pop_front()
    }

    /// Whether the session is over once everything was answered.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ready.is_empty()
            && memchr(b'\n', &self.pending).is_none()
            && (self.ended || (!self.prompt && self.lines > 0 && self.payload.is_none()))
    }

    /// The bytes that answer a command: its text, an empty line, and the prompt.
    #[must_use]
    pub fn frame(&self, answer: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(answer.len() + 4);
        out.extend_from_slice(answer.as_bytes());
        if !answer.is_empty() && !answer.ends_with('\n') {
            out.push(b'\n');
        }
        out.push(b'\n');
        if self.prompt {
            out.extend_from_slice(if self.payload.is_some() { b"+ " } else { b"> " });
        }
        out
    }

    fn take_line(&mut self, line: &str, raw: &str) {
        match self.payload.take() {
            Some(payload) => self.continue_payload(payload, line, raw),
            None => self.start_line(line),
        }
    }

    fn start_line(&mut self, line: &str) {
        self.lines += 1;
        let mut commands: Vec<String> = split_commands(line).into_iter().map(str::to_owned).collect();
        let last = commands.last().cloned().unwrap_or_default();
        if let Some((head, until)) = payload_mark(&last) {
            *commands.last_mut().expect("split gives at least one command") = head;
            self.payload = Some(Payload { commands, until, text: String::new() });
        } else {
            self.push(commands, None);
        }
    }

    fn continue_payload(&mut self, mut payload: Payload, line: &str, raw: &str) {
        if line == payload.until {
            self.push(payload.commands, Some(payload.text));
        } else if payload.text.len() + raw.len() + 1 > LINE_BYTES_MAX {
            self.ready.push_back(Input::TooLong);
        } else {
            payload.text.push_str(raw);
            payload.text.push('\n');
            self.payload = Some(payload);
        }
    }

    fn push(&mut self, commands: Vec<String>, mut payload: Option<String>) {
        let last = commands.len() - 1;
        for (index, text) in commands.into_iter().enumerate() {
            let payload = if index == last { payload.take() } else { None };
            self.ready.push_back(Input::Command(CommandLine { text, payload }));
        }
    }
}

/// Splits `command <<PATTERN` into the command and its pattern.
fn payload_mark(command: &str) -> Option<(String, String)> {
    let (head, mark) = command.rsplit_once(char::is_whitespace)?;
    let until = mark.strip_prefix("<<")?;
    Some((head.trim_end().to_owned(), until.to_owned()))
}

fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|byte| *byte == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(session: &mut CliSession) -> Vec<(String, Option<String>)> {
        std::iter::from_fn(|| session.poll_event())
            .map(|input| match input {
                Input::Command(command) => (command.text, command.payload),
                Input::TooLong => ("TOO LONG".to_owned(), None),
            })
            .collect()
    }

    #[test]
    fn one_line_of_commands_then_the_end() {
        let mut session = CliSession::default();
        session.handle_input(b"show info;  get weight b/s \\; x\r\n");
        assert!(!session.is_over(), "commands wait");
        assert_eq!(
            commands(&mut session),
            [("show info".into(), None), ("get weight b/s \\; x".into(), None)]
        );
        assert!(session.is_over());
        assert_eq!(session.frame("1 (initial 1)"), b"1 (initial 1)\n\n");
        assert_eq!(session.frame(""), b"\n");
    }

    #[test]
    fn prompt_keeps_the_session_until_the_client_ends_it() {
        let mut session = CliSession { prompt: true, ..CliSession::default() };
        session.handle_input(b"help\n");
        assert_eq!(commands(&mut session).len(), 1);
        assert!(!session.is_over());
        assert_eq!(session.frame("text\n"), b"text\n\n> ");
        session.handle_end();
        assert!(session.is_over());
    }

    #[test]
    fn any_split_gives_the_same_commands() {
        let input = b"set ssl cert <<END\nline 1\n\n;not a command\nEND\nshow stat;help\n";
        let mut whole = CliSession::default();
        whole.handle_input(input);
        let expected = commands(&mut whole);
        assert_eq!(expected[0], ("set ssl cert".into(), Some("line 1\n\n;not a command\n".into())));
        for at in 0..input.len() {
            let mut split = CliSession::default();
            split.handle_input(&input[..at]);
            split.handle_input(&input[at..]);
            assert_eq!(commands(&mut split), expected, "split at {at}");
        }
    }

    #[test]
    fn payload_ends_at_the_empty_line_and_keeps_its_bytes() {
        let mut session = CliSession::default();
        session.handle_input(b"add map m <<\na b\r\nc d\n\n");
        assert_eq!(commands(&mut session), [("add map m".into(), Some("a b\r\nc d\n".into()))]);
    }

    #[test]
    fn too_long_a_line_is_one_error_and_never_a_command() {
        let mut session = CliSession::default();
        session.handle_input(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(commands(&mut session), [("TOO LONG".into(), None)]);
        let mut session = CliSession::default();
        session.handle_input(b"add map m <<\n");
        session.handle_input(&[&vec![b'y'; LINE_BYTES_MAX][..], b"\n"].concat());
        assert_eq!(commands(&mut session), [("TOO LONG".into(), None)]);
    }

    #[test]
    fn unfinished_last_line_is_not_run() {
        let mut session = CliSession::default();
        session.handle_input(b"set weight b/s 5");
        session.handle_end();
        assert_eq!(commands(&mut session), []);
        assert!(session.is_over());
    }
}
