//! What tables store: kinds of values, and how rates are counted.

/// A kind of stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of configuration.txt 11.1")]
pub enum DataType {
    ServerId,
    Gpt0,
    Gpc0,
    Gpc0Rate,
    ConnCnt,
    ConnRate,
    ConnCur,
    SessCnt,
    SessRate,
    HttpReqCnt,
    HttpReqRate,
    HttpErrCnt,
    HttpErrRate,
    BytesInCnt,
    BytesInRate,
    BytesOutCnt,
    BytesOutRate,
    Gpc1,
    Gpc1Rate,
    HttpFailCnt,
    HttpFailRate,
    Gpt,
    Gpc,
    GpcRate,
    GlitchCnt,
    GlitchRate,
}

use DataType as D;

/// In the order in which `show table` lists them.
const NAMES: [(&str, DataType); 26] = [
    ("server_id", D::ServerId),
    ("gpt0", D::Gpt0),
    ("gpc0", D::Gpc0),
    ("gpc0_rate", D::Gpc0Rate),
    ("conn_cnt", D::ConnCnt),
    ("conn_rate", D::ConnRate),
    ("conn_cur", D::ConnCur),
    ("sess_cnt", D::SessCnt),
    ("sess_rate", D::SessRate),
    ("http_req_cnt", D::HttpReqCnt),
    ("http_req_rate", D::HttpReqRate),
    ("http_err_cnt", D::HttpErrCnt),
    ("http_err_rate", D::HttpErrRate),
    ("bytes_in_cnt", D::BytesInCnt),
    ("bytes_in_rate", D::BytesInRate),
    ("bytes_out_cnt", D::BytesOutCnt),
    ("bytes_out_rate", D::BytesOutRate),
    ("gpc1", D::Gpc1),
    ("gpc1_rate", D::Gpc1Rate),
    ("http_fail_cnt", D::HttpFailCnt),
    ("http_fail_rate", D::HttpFailRate),
    ("gpt", D::Gpt),
    ("gpc", D::Gpc),
    ("gpc_rate", D::GpcRate),
    ("glitch_cnt", D::GlitchCnt),
    ("glitch_rate", D::GlitchRate),
];

impl DataType {
    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether it counts over a period.
    #[must_use]
    pub fn is_rate(self) -> bool {
        self.name().ends_with("_rate")
    }

    /// Whether it is several values.
    #[must_use]
    pub fn is_array(self) -> bool {
        matches!(self, D::Gpt | D::Gpc | D::GpcRate)
    }
}

/// A stored kind, with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The kind.
    pub kind: DataType,
    /// How many values; 1 unless it is an array.
    pub len: usize,
    /// The period of a rate in milliseconds; 0 for what is none.
    pub period_ms: u64,
    /// Where its values begin in an entry's.
    pub(super) at: usize,
}

impl Column {
    /// A column; the table gives it its place.
    #[must_use]
    pub fn new(kind: DataType, len: usize, period_ms: u64) -> Self {
        Self { kind, len, period_ms, at: 0 }
    }

    /// What `show table` calls its value number `at`, without the period.
    #[must_use]
    pub fn label(&self, at: usize) -> String {
        match self.kind {
            D::Gpt => format!("gpt{at}"),
            D::Gpc => format!("gpc{at}"),
            D::GpcRate => format!("gpc{at}_rate"),
            other => other.name().to_owned(),
        }
    }
}

/// One stored value: a number, or a count over a sliding period.
///
/// A rate is the present period's count and as much of the one before as the window still covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    curr: u64,
    prev: u64,
    since_ms: u64,
}

impl Cell {
    /// The value at an instant, in milliseconds of the table's clock.
    #[must_use]
    pub fn value(&self, period_ms: u64, now_ms: u64) -> u64 {
        if period_ms == 0 {
            return self.curr;
        }
        let mut cell = *self;
        cell.turn(period_ms, now_ms);
        let left = period_ms.saturating_sub(now_ms.saturating_sub(cell.since_ms));
        let past = u128::from(cell.prev) * u128::from(left) / u128::from(period_ms);
        cell.curr + u64::try_from(past).unwrap_or(u64::MAX)
    }

    /// Adds to it; gives what it is then.
    pub fn add(&mut self, amount: u64, period_ms: u64, now_ms: u64) -> u64 {
        if period_ms > 0 {
            self.turn(period_ms, now_ms);
        }
        self.curr = self.curr.saturating_add(amount);
        self.value(period_ms, now_ms)
    }

    /// Sets it. A rate counts as that much over the period that ends now.
    pub fn set(&mut self, value: u64, period_ms: u64, now_ms: u64) {
        *self = if period_ms == 0 {
            Self { curr: value, ..Self::default() }
        } else {
            Self { curr: 0, prev: value, since_ms: now_ms }
        };
    }

    /// Takes one away, down to nothing.
    pub fn decrement(&mut self) {
        self.curr = self.curr.saturating_sub(1);
    }

    /// Begins another period if the present one is over.
    fn turn(&mut self, period_ms: u64, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.since_ms);
        if elapsed < period_ms {
            return;
        }
        let periods = elapsed / period_ms;
        self.prev = if periods == 1 { self.curr } else { 0 };
        self.curr = 0;
        self.since_ms += periods * period_ms;
    }
}
