//! The table of commands, and what is said about them.

use crate::config::AccessLevel;

/// A command as `help` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The words that call it (`show stat`).
    pub words: &'a str,
    /// How it is written with its arguments.
    pub usage: &'a str,
    /// What it does; empty where the usage says it all.
    pub help: &'a str,
    /// Who may use it. Others may see it.
    pub level: AccessLevel,
}

const fn command(
    words: &'static str,
    usage: &'static str,
    help: &'static str,
    level: AccessLevel,
) -> Command<'static> {
    Command { words, usage, help, level }
}

/// The commands that [`run`](super::run) handles.
pub const COMMANDS: &[Command<'static>] = {
    use AccessLevel::{Admin, Operator, User};
    &[
        command("add acl", "add acl [@<ver>] <acl> <pattern>", "add an acl entry", User),
        command(
            "add map",
            "add map [@<ver>] <map> <key> <val>",
            "add a map entry (payload supported instead of key/val)",
            User,
        ),
        command("clear acl", "clear acl [@<ver>] <acl>", "clear the contents of this acl", User),
        command("clear map", "clear map [@<ver>] <map>", "clear the contents of this map", User),
        command(
            "clear table",
            "clear table <table> [<filter>]*",
            "remove an entry from a table (filter: data/key)",
            Operator,
        ),
        command("commit acl", "commit acl @<ver> <acl>", "commit the ACL at this version", User),
        command("commit map", "commit map @<ver> <map>", "commit the map at this version", User),
        command("del acl", "del acl <acl> [<key>|#<ref>]", "delete acl entries matching <key>", User),
        command("del map", "del map <map> [<key>|#<ref>]", "delete map entries matching <key>", User),
        command("disable agent", "disable agent", "disable agent checks", Admin),
        command(
            "disable frontend",
            "disable frontend <frontend>",
            "temporarily disable specific frontend",
            Admin,
        ),
        command("disable health", "disable health", "disable health checks", Admin),
        command(
            "disable server",
            "disable server (DEPRECATED)",
            "disable a server for maintenance (use 'set server' instead)",
            Admin,
        ),
        command("enable agent", "enable agent", "enable agent checks", Admin),
        command("enable frontend", "enable frontend <frontend>", "re-enable specific frontend", Admin),
        command("enable health", "enable health", "enable health checks", Admin),
        command(
            "enable server",
            "enable server  (DEPRECATED)",
            "enable a disabled server (use 'set server' instead)",
            Admin,
        ),
        command("get acl", "get acl <acl> <value>", "report the patterns matching a sample for an ACL", User),
        command(
            "get map",
            "get map <acl> <value>",
            "report the keys and values matching a sample for a map",
            User,
        ),
        command("get weight", "get weight <bk>/<srv>", "report a server's current weight", User),
        command("prepare acl", "prepare acl <acl>", "prepare a new version for atomic ACL replacement", User),
        command("prepare map", "prepare map <acl>", "prepare a new version for atomic map replacement", User),
        command("set map", "set map <map> [<key>|#<ref>] <value>", "modify a map entry", User),
        command(
            "set maxconn server",
            "set maxconn server <bk>/<srv>",
            "change a server's maxconn setting",
            Admin,
        ),
        command(
            "set server",
            "set server <bk>/<srv> [opts]",
            "change a server's state, weight or address",
            Admin,
        ),
        command(
            "set table",
            "set table <table> key <k> [data.* <v>]*",
            "update or create a table entry's data",
            Operator,
        ),
        command(
            "set weight",
            "set weight <bk>/<srv>  (DEPRECATED)",
            "change a server's weight (use 'set server' instead)",
            Admin,
        ),
        command(
            "show acl",
            "show acl [@<ver>] <acl>]",
            "report available acls or dump an acl's contents",
            User,
        ),
        command("show backend", "show backend", "list backends in the current running config", User),
        command("show cli level", "show cli level", "display the level of the current CLI session", User),
        command("show info", "show info", "report information about the running process", User),
        command("show map", "show map [@ver] [map]", "report available maps or dump a map's contents", User),
        command(
            "show servers state",
            "show servers state [<backend>]",
            "dump volatile server information (all or for a single backend)",
            User,
        ),
        command("show stat", "show stat [no-maint|up]*", "report counters for each proxy and server", User),
        command(
            "show table",
            "show table <table> [<filter>]*",
            "report table usage stats or dump this table's contents (filter: data/key)",
            User,
        ),
        command("shutdown frontend", "shutdown frontend <frontend>", "stop a specific frontend", Admin),
        command(
            "shutdown sessions server",
            "shutdown sessions server <bk>/<srv>",
            "kill sessions on a server",
            Admin,
        ),
        command("show version", "show version", "show version of the current process", User),
    ]
};

/// Commands that every connection has, listed last.
const ALWAYS: &[(&str, &str)] = &[
    ("help [<command>]", "list matching or all commands"),
    ("prompt", "toggle interactive mode with prompt"),
    ("quit", "disconnect"),
];
/// How many commands are offered for an unknown one.
const OFFERED: usize = 5;
/// How alike an offered command must be, from 0 to 1.
const ALIKE: f64 = 0.5;

/// The answer to `help`, with or without words to look for.
pub(super) fn help(words: &[&str], more: &[Command<'_>]) -> String {
    let all = sorted(more);
    let wanted = words.join(" ");
    let matching: Vec<&Command<'_>> = all.iter().filter(|c| c.words.starts_with(&wanted)).collect();
    if matching.is_empty() {
        return unknown(words, more);
    }
    list("The following commands are valid at this level:", matching)
}

/// The answer to a command that does not exist.
pub(super) fn unknown(words: &[&str], more: &[Command<'_>]) -> String {
    let all = sorted(more);
    let typed = words.join(" ");
    let likenesses = all.iter().map(|c| (likeness(&typed, c), c));
    let mut offers: Vec<((usize, f64), &Command<'_>)> =
        likenesses.filter(|((shared, alike), _)| *shared > 0 || *alike >= ALIKE).collect();
    if offers.is_empty() || typed.is_empty() {
        let title = "Unknown command. Please enter one of the following commands only:";
        return list(title, all.iter().collect());
    }
    offers.sort_by(|(a, _), (b, _)| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let most_shared = offers[0].0.0;
    offers.retain(|((shared, _), _)| *shared == most_shared);
    offers.truncate(OFFERED);
    offers.sort_by_key(|(_, c)| c.words);
    list(
        "Unknown command, but maybe one of the following ones is a better match:",
        offers.into_iter().map(|(_, c)| c).collect(),
    )
}

/// How much what was typed is like a command: whole words in common at the front, then how alike
/// the letters are as far as both go.
fn likeness(typed: &str, command: &Command<'_>) -> (usize, f64) {
    let pairs = || typed.split(' ').zip(command.words.split(' '));
    let shared = pairs().take_while(|(a, b)| a == b).count();
    let front = |text: &str| text.split(' ').take(pairs().count()).collect::<Vec<_>>().join(" ");
    (shared, strsim::jaro_winkler(&front(typed), &front(command.words)))
}

fn sorted<'a>(more: &[Command<'a>]) -> Vec<Command<'a>> {
    let mut all: Vec<Command<'a>> = COMMANDS.iter().chain(more).copied().collect();
    all.sort_by_key(|c| c.words);
    all
}

fn list(title: &str, commands: Vec<&Command<'_>>) -> String {
    let lines = commands.into_iter().map(|c| (c.usage, c.help)).chain(ALWAYS.iter().copied());
    lines.fold(format!("{title}\n"), |out, (usage, help)| match help {
        "" => out + &format!("  {usage}\n"),
        help => out + &format!("  {usage:<40}: {help}\n"),
    })
}
