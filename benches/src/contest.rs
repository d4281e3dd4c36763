//! Rows, their contestants, and how a row is run.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::baseline::Baseline;
use crate::instructions;
use crate::report::{Entry, Line};
use crate::span::Span;

/// How long one round of one contestant should take, in nanoseconds.
const ROUND: f64 = 20e6;

type Work = Box<dyn FnMut(&mut Span)>;
type Prepare = Box<dyn FnOnce() -> Work>;

/// What the program was asked for.
#[derive(Parser)]
struct Options {
    /// Only rows whose name contains this.
    #[arg(long)]
    rows: Option<String>,
    /// How many rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Count instructions, too, by callgrind (slow).
    #[arg(long)]
    callgrind: bool,
    /// Count our instructions and compare them with the committed ones; nothing is timed.
    #[arg(long)]
    count: bool,
    /// With `--count`: write the counts down instead.
    #[arg(long, requires = "count")]
    bless: bool,
    /// Print the table as Markdown.
    #[arg(long)]
    markdown: bool,
    /// Do one span: row and contestant, by their numbers (how callgrind is told what to count).
    #[arg(long, hide = true, num_args = 2)]
    once: Option<Vec<usize>>,
    /// Pin to this core.
    #[arg(long)]
    core: Option<usize>,
}

/// One operation to be compared.
pub struct Row {
    name: String,
    goal_ns: Option<f64>,
    counted: Option<u64>,
    contestants: Vec<Contestant>,
}

struct Contestant {
    name: &'static str,
    /// Ours shall take at most this share of it.
    goal_ratio: Option<f64>,
    prepare: Prepare,
}

impl Row {
    /// A row without contestants.
    pub fn new(name: impl Into<String>) -> Row {
        Row { name: name.into(), goal_ns: None, counted: Some(10_000), contestants: Vec::new() }
    }

    /// Nanoseconds that our operation shall take at most.
    pub fn goal_ns(mut self, goal: f64) -> Row {
        self.goal_ns = Some(goal);
        self
    }

    /// How many operations callgrind counts over (10,000 unless said): more where an operation's cost is uneven.
    pub fn counted_over(mut self, operations: u64) -> Row {
        self.counted = Some(operations);
        self
    }

    /// Its instructions are not counted: several threads, or nothing but waiting.
    pub fn uncounted(mut self) -> Row {
        self.counted = None;
        self
    }

    /// Our contestant: `prepare` is not measured and gives what does the work.
    pub fn ours<W: FnMut(&mut Span) + 'static>(self, prepare: impl FnOnce() -> W + 'static) -> Row {
        self.contestant("ours", None, prepare)
    }

    /// A second form of ours, for the cost of a promise; it is shown, not judged.
    pub fn also_ours<W: FnMut(&mut Span) + 'static>(
        self,
        name: &'static str,
        prepare: impl FnOnce() -> W + 'static,
    ) -> Row {
        self.contestant(name, None, prepare)
    }

    /// A public crate, or the plain way; ours shall take at most `goal_ratio` of its time.
    pub fn peer<W: FnMut(&mut Span) + 'static>(
        self,
        name: &'static str,
        goal_ratio: f64,
        prepare: impl FnOnce() -> W + 'static,
    ) -> Row {
        self.contestant(name, Some(goal_ratio), prepare)
    }

    /// What the machine itself needs for it, or another measure to hold ours against; it is shown, not judged.
    pub fn beside<W: FnMut(&mut Span) + 'static>(
        self,
        name: &'static str,
        prepare: impl FnOnce() -> W + 'static,
    ) -> Row {
        self.contestant(name, None, prepare)
    }

    fn contestant<W: FnMut(&mut Span) + 'static>(
        mut self,
        name: &'static str,
        goal_ratio: Option<f64>,
        prepare: impl FnOnce() -> W + 'static,
    ) -> Row {
        self.contestants.push(Contestant { name, goal_ratio, prepare: Box::new(|| Box::new(prepare())) });
        self
    }
}

/// The program: takes rows, runs those that were asked for, and prints a table.
pub struct Contest {
    options: Options,
    rows: usize,
    lines: Vec<Line>,
    baseline: Baseline,
}

impl Contest {
    /// Reads the command line. `name` is that of the file in `counts/`.
    pub fn from_args(name: &'static str) -> Contest {
        let options = Options::parse();
        if let Some(core) = options.core {
            pin(core);
        }
        Contest { options, rows: 0, lines: Vec::new(), baseline: Baseline::named(name) }
    }

    /// Runs a row, if it was asked for.
    ///
    /// # Errors
    ///
    /// Callgrind could not be run.
    pub fn row(&mut self, mut row: Row) -> Result<()> {
        let number = self.rows;
        self.rows += 1;
        if let Some(once) = &self.options.once {
            if once[0] == number {
                let contestant = row.contestants.swap_remove(once[1]);
                (contestant.prepare)()(&mut Span::new(row.counted.unwrap_or(1)));
            }
            return Ok(());
        }
        if self.options.rows.as_ref().is_some_and(|part| !row.name.contains(part.as_str())) {
            return Ok(());
        }
        if self.options.count {
            return match row.counted {
                Some(operations) => {
                    self.baseline.counted(&row.name, instructions::each(number, 0, operations)?);
                    Ok(())
                }
                None => Ok(()),
            };
        }
        eprintln!("{}", row.name);
        let line = self.contend(number, row)?;
        self.lines.push(line);
        Ok(())
    }

    fn contend(&self, number: usize, row: Row) -> Result<Line> {
        let mut entries = Vec::new();
        let mut running = Vec::new();
        for (index, contestant) in row.contestants.into_iter().enumerate() {
            let instructions = match row.counted {
                Some(operations) if self.options.callgrind => {
                    Some(instructions::each(number, index, operations)?)
                }
                _ => None,
            };
            entries.push(Entry::new(contestant.name, contestant.goal_ratio, instructions));
            let mut work = (contestant.prepare)();
            let operations = calibrated(&mut work);
            running.push((work, operations));
        }
        for round in 0..self.options.rounds {
            for turn in 0..running.len() {
                let index = (round + turn) % running.len();
                let (work, operations) = &mut running[index];
                let mut span = Span::new(*operations);
                work(&mut span);
                entries[index].nanos.push(span.nanos());
            }
        }
        Ok(Line { name: row.name, goal_ns: row.goal_ns, entries })
    }

    /// Prints the table, or says which counts have crept.
    ///
    /// # Errors
    ///
    /// No row had the name that was asked for; the file of counts cannot be read or written.
    pub fn finish(self) -> Result<ExitCode> {
        if self.options.once.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        if self.options.count {
            let kept = self.baseline.finish(self.options.bless, self.options.rows.is_some())?;
            return Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if self.lines.is_empty() {
            bail!("no row has that in its name");
        }
        print!("{}", crate::report::table(&self.lines, self.options.markdown));
        Ok(ExitCode::SUCCESS)
    }
}

/// Finds how many operations make a round, and warms everything up on the way.
fn calibrated(work: &mut Work) -> u64 {
    let mut operations = 16;
    loop {
        let mut span = Span::new(operations);
        work(&mut span);
        let taken = span.taken.as_nanos() as f64;
        if taken >= ROUND / 8.0 || operations >= 1 << 32 {
            return ((operations as f64 * ROUND / taken.max(1.0)) as u64).max(1);
        }
        operations *= 2;
    }
}

/// Keeps the calling thread on this core, if the system allows.
pub(crate) fn pin(core: usize) {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;
    let mut set = CpuSet::new();
    let pinned = set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(error) = pinned {
        eprintln!("not pinned to core {core}: {error}");
    }
}

/// Keeps the calling thread on another core than this one, of the first two.
pub fn pin_away_from(core: usize) {
    pin(usize::from(core == 0));
}

/// The core that the calling thread runs on, where it is kept from now on.
pub fn pin_here() -> usize {
    let core = nix::sched::sched_getcpu().unwrap_or(0);
    pin(core);
    core
}
