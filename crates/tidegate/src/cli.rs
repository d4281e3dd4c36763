//! HAProxy's command line: `tidegate -f FILE …`.
//!
//! Its flags are single-dash words (`-db`, `-cc EXPR`, `-dM0x55,no-cache`), which no argument
//! library expresses, so this one part is parsed by hand. Native subcommands (`demo`) are clap's.
//!
//! Source: management.txt §3 (starting HAProxy).

use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run, or check with `-c`.
    Run(Options),
    /// `-v` (false) or `-vv` (true).
    Version {
        /// `-vv`: with build options.
        long: bool,
    },
    /// `-h`.
    Help,
    /// `-cc EXPR`: exit 0 if it holds, 1 if not.
    Condition(String),
}

/// The flags of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-f` and what follows `--`, in order: files or folders.
    pub files: Vec<PathBuf>,
    /// `-c`: check only.
    pub check: bool,
    /// `-V`.
    pub verbose: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-d`: debug mode, stay in the foreground and say more.
    pub debug: bool,
    /// `-db`: stay in the foreground whatever the configuration says.
    pub foreground: bool,
    /// `-D`: go to the background.
    pub daemon: bool,
    /// `-dW`: a warning is an error.
    pub strict_warnings: bool,
    /// `-dD`: print diagnostics too.
    pub diagnostics: bool,
    /// `-p`.
    pub pidfile: Option<PathBuf>,
    /// `-L`.
    pub local_peer: Option<String>,
    /// `-C`.
    pub directory: Option<PathBuf>,
    /// `-m`, in mebibytes.
    pub memory_mib: Option<u64>,
    /// `-n`.
    pub maxconn: Option<usize>,
    /// `-N`.
    pub proxy_maxconn: Option<usize>,
    /// `-sf PID…`: told to finish once we listen.
    pub finish: Vec<i32>,
    /// `-st PID…`: told to stop once we listen.
    pub terminate: Vec<i32>,
}

/// Why a command line is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No such flag.
    #[error("unknown option '{0}'")]
    Unknown(String),
    /// The flag is HAProxy's but not ours yet.
    #[error("option '{0}' is not supported yet ({1})")]
    Unsupported(String, &'static str),
    /// Its argument is missing.
    #[error("missing argument for option '{0}'")]
    Missing(String),
    /// Its argument is no number.
    #[error("option '{0}' expects a number, not '{1}'")]
    Number(String, String),
    /// A word that is no flag.
    #[error("unexpected argument '{0}'; configuration files are given with -f or after --")]
    Stray(String),
    /// Nothing to run.
    #[error("no configuration file: use -f FILE (or `tidegate demo`)")]
    NoFile,
}

/// Flags that tune HAProxy's own internals: accepted so that scripts keep working, without effect.
const WITHOUT_EFFECT: &[&str] =
    &["-4", "-de", "-dp", "-dS", "-dG", "-dR", "-dr", "-dV", "-dI", "-dF", "-dZ", "-dk"];

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// Names the flag or word that cannot be understood.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut options = Options::default();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| UsageError::Missing(arg.clone()));
        match arg.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "-v" => return Ok(Command::Version { long: false }),
            "-vv" => return Ok(Command::Version { long: true }),
            "-cc" => return Ok(Command::Condition(value()?)),
            "-f" => options.files.push(value()?.into()),
            "-c" => options.check = true,
            "-V" => options.verbose = true,
            "-q" => options.quiet = true,
            "-d" => options.debug = true,
            "-db" => options.foreground = true,
            "-D" => options.daemon = true,
            "-dW" => options.strict_warnings = true,
            "-dD" => options.diagnostics = true,
            "-p" => options.pidfile = Some(value()?.into()),
            "-L" => options.local_peer = Some(value()?),
            "-C" => options.directory = Some(value()?.into()),
            "-m" => options.memory_mib = Some(number(&arg, value()?)?),
            "-n" => options.maxconn = Some(number(&arg, value()?)?),
            "-N" => options.proxy_maxconn = Some(number(&arg, value()?)?),
            "-sf" => take_pids(&mut args, &mut options.finish),
            "-st" => take_pids(&mut args, &mut options.terminate),
            "-W" | "-Ws" | "-S" => {
                return Err(UsageError::Unsupported(arg, "there is no master process"));
            }
            "-x" => return Err(UsageError::Unsupported(arg, "listeners are not handed over")),
            "--" => options.files.extend(args.by_ref().map(PathBuf::from)),
            flag if WITHOUT_EFFECT.contains(&flag) || flag.starts_with("-dM") => {}
            flag if flag.starts_with('-') => return Err(UsageError::Unknown(arg)),
            _ => return Err(UsageError::Stray(arg)),
        }
    }
    if options.files.is_empty() { Err(UsageError::NoFile) } else { Ok(Command::Run(options)) }
}

fn number<T: std::str::FromStr>(flag: &str, text: String) -> Result<T, UsageError> {
    text.parse().map_err(|_| UsageError::Number(flag.to_owned(), text))
}

fn take_pids(args: &mut std::iter::Peekable<impl Iterator<Item = String>>, into: &mut Vec<i32>) {
    while let Some(pid) = args.peek().and_then(|word| word.parse().ok()) {
        into.push(pid);
        args.next();
    }
}

/// The text of `-h`.
pub const HELP: &str = "\
Usage: tidegate [-f <file|folder>]... [options] [-- <file>...]
       tidegate demo [--print-config | --print-lua]
       tidegate lua api
       tidegate test [FILE|FOLDER]... [--filter TEXT] [--format pretty|tap|junit] [--watch]
       tidegate spoa <check | bench | decode> [--help]

  -f <file|folder>  read this configuration; may be repeated
  -c                check the configuration and exit (0: valid, 1: not)
  -cc <condition>   evaluate a condition as .if does and exit (0: true, 1: false)
  -v, -vv           print the version; with build options
  -h                print this help
  -d                debug: stay in the foreground, say more
  -db               stay in the foreground
  -D                go to the background
  -V, -q            say more; say nothing
  -dW               fail on any warning
  -dD               print diagnostics about suspicious statements too
  -p <file>         write the process id to this file
  -L <name>         local peer name
  -C <folder>       change to this folder first
  -m <MiB>          limit the memory
  -n, -N <number>   limit the connections, of the process and of each frontend
  -sf, -st <pid>... once listening, tell these processes to finish, or to stop
  -dM[...] -dI -dS -dR -dG -dV -dr -de -dp -dF -4
                    accepted for compatibility, without effect

Subcommands:
  demo              run the built-in demonstration: three origins, Lua, an SPOE agent
  lua api           print the API that scripts have here, as a table
  test              run script tests (*_test.lua), without a proxy
  spoa check <addr> hold an SPOE agent of any make against the protocol
  spoa bench <addr> load an SPOE agent: rate and latency
  spoa decode       explain captured SPOP frames byte by byte
";

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn varnishtest_command_line_is_understood() {
        let Ok(Command::Run(options)) = run("-d -dM -dI -dW -f a.cfg -f b -p pid") else { panic!("runs") };
        assert!(options.debug && options.strict_warnings);
        assert_eq!(options.files, [PathBuf::from("a.cfg"), "b".into()]);
        assert_eq!(options.pidfile, Some("pid".into()));
    }

    #[test]
    fn refusals_name_the_word() {
        for (line, text) in [
            ("-f a --frobnicate", "unknown option '--frobnicate'"),
            ("-f", "missing argument for option '-f'"),
            ("-f a -n many", "option '-n' expects a number, not 'many'"),
            ("-f a stray", "unexpected argument 'stray'; configuration files are given with -f or after --"),
            ("-c", "no configuration file: use -f FILE (or `tidegate demo`)"),
            ("-W -f a", "option '-W' is not supported yet (there is no master process)"),
        ] {
            assert_eq!(run(line).unwrap_err().to_string(), text, "{line}");
        }
    }

    #[test]
    fn pids_end_at_the_next_flag_and_files_follow_two_dashes() {
        let Ok(Command::Run(options)) = run("-sf 12 13 -db -- one two") else { panic!("runs") };
        assert_eq!(options.finish, [12, 13]);
        assert!(options.foreground);
        assert_eq!(options.files, [PathBuf::from("one"), "two".into()]);
    }

    #[test]
    fn version_and_condition_win_at_once() {
        assert_eq!(run("-vv"), Ok(Command::Version { long: true }));
        assert_eq!(run("-cc version_atleast(3.4)"), Ok(Command::Condition("version_atleast(3.4)".into())));
    }
}
