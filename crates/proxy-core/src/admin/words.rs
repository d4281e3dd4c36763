//! Cutting a line into commands, and a command into words.

/// Cuts a line at each `;` that no backslash precedes. The commands keep their backslashes.
///
/// An empty piece at the end is left out, as after `show info;`.
#[must_use]
pub fn split_commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b';' => {
                commands.push(line[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    let last = line[from..].trim();
    if !last.is_empty() || commands.is_empty() {
        commands.push(last);
    }
    commands
}

/// Cuts a command at blanks; a backslash takes the meaning of what follows it.
#[must_use]
pub fn split_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
