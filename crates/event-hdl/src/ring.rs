//! One queue: which of the list's waiting events are its own, and what it has lost among them.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;

use crate::backlog::Backlog;
use crate::shared::Kept;
use crate::subscription::{ENDED, MASK, PAUSED};
use crate::{EventRef, Family, Item, Overflow, Subtypes};

/// Paused by its own bound until its reader has drained it: a flag beside those of a subscription.
pub(crate) const THROTTLED: u32 = 1 << 24;

/// What a reader is looking at: the next item, or events that are its own until it [leaves](Reader::leave) them.
pub(crate) enum Look<F: Family> {
    Told(Item<F>),
    Run(Run),
    Nothing,
}

/// Events that a reader looks at.
pub(crate) struct Run {
    numbers: Range<u64>,
    asked: Subtypes,
}

pub(crate) struct Ring {
    /// Low 16 bits: the subtypes. Above: flags.
    pub(crate) state: u32,
    pub(crate) end_told: bool,
    /// Events that fit.
    pub(crate) room: u32,
    overflow: Overflow,
    pub(crate) waker: Option<Waker>,
    /// The first event that has not been looked at, and the subtypes asked for there.
    cursor: u64,
    asked: Subtypes,
    /// What changes further on, before events that wait.
    turns: VecDeque<Turn>,
    /// Lost before the first event that waits.
    lost_first: u64,
    /// Since this event it takes none: paused, full, or asking for other subtypes.
    pub(crate) away_since: Option<u64>,
    /// Events lost after the last that waits.
    pub(crate) lost: u64,
    pub(crate) lost_ever: u64,
}

/// Events that are not the queue's, although some were asked for, and what is asked for afterwards.
struct Turn {
    from: u64,
    until: u64,
    lost: u64,
    asked: Subtypes,
}

impl Ring {
    pub(crate) fn closed() -> Self {
        Self {
            state: ENDED,
            end_told: true,
            room: 0,
            overflow: Overflow::Unbounded,
            waker: None,
            cursor: 0,
            asked: Subtypes::NONE,
            turns: VecDeque::new(),
            lost_first: 0,
            away_since: None,
            lost: 0,
            lost_ever: 0,
        }
    }

    pub(crate) fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
        let room = match overflow {
            Overflow::Pause { above } => above,
            Overflow::DropNewest { max } | Overflow::DropOldest { max } => max,
            Overflow::Unbounded => usize::MAX,
        };
        self.room = u32::try_from(room).unwrap_or(u32::MAX);
    }

    pub(crate) fn open(&mut self, subtypes: Subtypes, next: u64) {
        self.state = u32::from(subtypes.bits());
        self.end_told = false;
        (self.cursor, self.asked) = (next, subtypes);
    }

    pub(crate) fn subtypes(&self) -> Subtypes {
        Subtypes::from_bits((self.state & MASK) as u16)
    }

    /// What it would take now, bounds that only lose single events apart.
    pub(crate) fn taking(&self) -> Option<Subtypes> {
        (self.state & (ENDED | PAUSED | THROTTLED) == 0).then(|| self.subtypes())
    }

    /// Misses the event to come.
    pub(crate) fn miss(&mut self, next: u64) {
        self.away_since.get_or_insert(next);
        self.lost += 1;
        self.lost_ever += 1;
    }
}

/// A queue with what it shares with the others.
pub(crate) struct Reader<'r, F: Family> {
    pub(crate) ring: &'r mut Ring,
    /// How many events it would still take.
    pub(crate) space: &'r mut u32,
    pub(crate) backlog: &'r mut Backlog<F>,
}

impl<F: Family> Reader<'_, F> {
    /// How many events wait.
    #[inline]
    pub(crate) fn waiting(&self) -> u32 {
        self.ring.room - *self.space
    }

    /// Takes the event to come.
    pub(crate) fn take(&mut self) {
        let next = self.backlog.next();
        if let Some(from) = self.ring.away_since.take() {
            let (lost, asked) = (std::mem::take(&mut self.ring.lost), self.ring.subtypes());
            if self.waiting() == 0 {
                (self.ring.cursor, self.ring.asked) = (next, asked);
                self.ring.lost_first += lost;
            } else {
                self.ring.turns.push_back(Turn { from, until: next, lost, asked });
            }
        }
        *self.space -= 1;
    }

    /// What the policy does when the queue is full; false if the event to come is what is lost.
    pub(crate) fn make_room(&mut self, displaced: &mut Vec<EventRef<F>>) -> bool {
        match self.ring.overflow {
            Overflow::Pause { .. } => {
                self.ring.state |= THROTTLED;
                false
            }
            Overflow::DropOldest { max: 1.. } => {
                displaced.extend(self.skip());
                self.ring.lost_first += 1;
                self.ring.lost_ever += 1;
                if self.waiting() == 0 {
                    self.ring.lost += std::mem::take(&mut self.ring.lost_first);
                    self.ring.away_since.get_or_insert(self.backlog.next());
                }
                true
            }
            Overflow::DropOldest { .. } | Overflow::DropNewest { .. } | Overflow::Unbounded => false,
        }
    }

    pub(crate) fn peek(&mut self) -> Option<EventRef<F>> {
        (self.waiting() > 0).then(|| {
            let place = self.front();
            self.backlog.peek(place)
        })
    }

    pub(crate) fn pop(&mut self) -> Option<Item<F>> {
        let mut popped = None;
        self.pop_into(1, |item| popped = Some(item));
        popped
    }

    /// Hands out up to `max` items, to be kept.
    pub(crate) fn pop_into(&mut self, max: usize, mut keep: impl FnMut(Item<F>)) {
        for _ in 0..max {
            match self.next() {
                Next::Told(item) => keep(item),
                Next::Event(place) => {
                    self.advance();
                    keep(Item::Event(self.backlog.take(place)));
                }
                Next::Nothing => break,
            }
        }
        self.backlog.clear();
    }

    /// Shows the next item or, in `events`, up to `max` events with nothing in between, which are there until the run
    /// is [left](Self::leave).
    pub(crate) fn look(&mut self, max: usize, events: &mut Vec<Kept<F>>) -> Look<F> {
        let place = match self.next() {
            Next::Told(item) => return Look::Told(item),
            Next::Nothing => return Look::Nothing,
            Next::Event(place) => place,
        };
        let all = if self.ring.turns.is_empty() { self.waiting() } else { 1 };
        let (count, asked) = (max.min(all as usize), self.ring.asked);
        let numbers = self.ring.cursor..self.backlog.look(asked, place, count, events);
        self.ring.cursor = numbers.end;
        *self.space += count as u32;
        Look::Run(Run { numbers, asked })
    }

    /// Leaves events that have been looked at; answers, in `done`, what nobody waits for any more.
    pub(crate) fn leave(&mut self, run: Run, done: &mut Vec<EventRef<F>>) {
        self.backlog.leave(run.numbers, run.asked, done);
    }

    /// Loses events after they had been taken out.
    pub(crate) fn lose(&mut self, count: u64) {
        self.ring.lost_ever += count;
        if self.waiting() > 0 {
            self.ring.lost_first += count;
        } else {
            self.ring.lost += count;
            self.ring.away_since.get_or_insert(self.backlog.next());
        }
    }

    /// Ends it. Nothing more comes in.
    pub(crate) fn end(&mut self, discard: bool) -> Vec<EventRef<F>> {
        self.ring.state |= ENDED;
        let mut discarded = Vec::new();
        while discard && self.waiting() > 0 {
            discarded.extend(self.skip());
            self.ring.lost += 1;
            self.ring.lost_ever += 1;
        }
        if discard {
            self.ring.lost += std::mem::take(&mut self.ring.lost_first);
            self.backlog.clear();
        }
        discarded
    }

    /// What comes next. An event is left where it is.
    fn next(&mut self) -> Next<F> {
        if self.waiting() == 0 {
            return self.pop_after_events().map_or(Next::Nothing, Next::Told);
        }
        let place = self.front();
        match std::mem::take(&mut self.ring.lost_first) {
            0 => Next::Event(place),
            lost => Next::Told(Item::Lost(lost)),
        }
    }

    /// Drained: a queue that its bound had paused goes on from here.
    fn pop_after_events(&mut self) -> Option<Item<F>> {
        self.ring.cursor = self.backlog.next();
        self.ring.state &= !THROTTLED;
        let ended = self.ring.state & ENDED != 0;
        if self.ring.lost > 0 && (self.ring.state & PAUSED == 0 || ended) {
            return Some(Item::Lost(std::mem::take(&mut self.ring.lost)));
        }
        (ended && !std::mem::replace(&mut self.ring.end_told, true)).then_some(Item::End)
    }

    /// Goes to the first event that waits, of which there is one, and adds up what was lost before it.
    fn front(&mut self) -> usize {
        loop {
            let first = self.backlog.find(self.ring.cursor);
            let limit = self.ring.turns.front().map_or(u64::MAX, |turn| turn.from);
            if let Some(place) = self.backlog.find_for(self.ring.asked, first, limit) {
                self.ring.cursor = self.backlog.number(place);
                return place;
            }
            let turn = self.ring.turns.pop_front().expect(WAITS);
            (self.ring.cursor, self.ring.asked) = (turn.until, turn.asked);
            self.ring.lost_first += turn.lost;
        }
    }

    /// Leaves the first event that waits behind.
    fn skip(&mut self) -> Option<EventRef<F>> {
        let place = self.front();
        self.advance();
        self.backlog.skip(place)
    }

    /// Goes on behind the event that it has come to.
    fn advance(&mut self) {
        self.ring.cursor += 1;
        *self.space += 1;
    }
}

/// What comes next out of a queue.
enum Next<F: Family> {
    Told(Item<F>),
    /// The event in this place of the backlog.
    Event(usize),
    Nothing,
}

const WAITS: &str = "invariant: an event that waits has an entry";
