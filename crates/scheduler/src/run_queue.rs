//! The run queue of one thread: four class lists and, for tasks, an order by nice.
//!
//! ```text
//!   URGENT  [ tasklet tasklet … ]
//!   NORMAL  [ tasklet … ]  +  by key: fifo (nice 0) and heap (any other nice)
//!   BULK    [ tasklet … ]
//!   HEAVY   [ … ]
//! ```
//!
//! A task's key is its insertion number plus `nice × depth`, as in HAProxy. Keys of nice 0 grow, so
//! those tasks need no tree: a fifo is already ordered, and only niced tasks pay for a heap.
//!
//! INVARIANT: an object is in at most one place here (its QUEUED bit says so); entries of freed slots
//! may linger and are told by their generation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::budget::Class;
use crate::task::TaskId;

/// An entry ordered by key, then by insertion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Keyed {
    key: i64,
    sequence: i64,
    task: TaskId,
}

/// Where an object was taken from, so that it can be put back.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    List(Class),
    Fifo(i64),
    Heap { key: i64, sequence: i64 },
}

#[derive(Default)]
pub(crate) struct RunQueue {
    lists: [VecDeque<TaskId>; 4],
    fifo: VecDeque<(i64, TaskId)>,
    heap: BinaryHeap<Reverse<Keyed>>,
    sequence: i64,
    depth: i64,
    tree_turn: bool,
    /// Sources that are done for this pass: lists 0..4, then the fifo.
    closed: [bool; 5],
    /// Niced tasks that came up a second time in this pass.
    deferred: Vec<Keyed>,
}

const FIFO: usize = 4;

impl RunQueue {
    /// Objects waiting in each class.
    pub(crate) fn waiting(&self) -> [usize; 4] {
        let mut waiting = [0; 4];
        for (count, list) in waiting.iter_mut().zip(&self.lists) {
            *count = list.len();
        }
        waiting[Class::Normal.index()] += self.fifo.len() + self.heap.len() + self.deferred.len();
        waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(VecDeque::is_empty)
            && self.fifo.is_empty()
            && self.heap.is_empty()
            && self.deferred.is_empty()
    }

    pub(crate) fn push_list(&mut self, class: Class, task: TaskId) {
        self.lists[class.index()].push_back(task);
    }

    pub(crate) fn push_by_nice(&mut self, nice: i32, task: TaskId) {
        self.sequence += 1;
        let sequence = self.sequence;
        if nice == 0 {
            self.fifo.push_back((sequence, task));
        } else {
            let key = sequence + i64::from(nice) * self.depth;
            self.heap.push(Reverse(Keyed { key, sequence, task }));
        }
    }

    /// Opens all sources for a new pass. One unit of nice is worth `depth` places.
    pub(crate) fn begin_pass(&mut self, depth: usize) {
        self.depth = i64::try_from(depth).unwrap_or(i64::MAX / 4096);
        self.closed = [false; 5];
    }

    /// Puts the deferred tasks back in their places.
    pub(crate) fn end_pass(&mut self) {
        self.heap.extend(self.deferred.drain(..).map(Reverse));
    }

    /// Takes the next object of `class` that may still run in this pass.
    pub(crate) fn pop(&mut self, class: Class) -> Option<(TaskId, Source)> {
        if class == Class::Normal {
            // Tasks and tasklets of the class take turns, so that neither crowds the other out.
            self.tree_turn = !self.tree_turn;
            return if self.tree_turn {
                self.pop_by_key().or_else(|| self.pop_list(class))
            } else {
                self.pop_list(class).or_else(|| self.pop_by_key())
            };
        }
        self.pop_list(class)
    }

    /// Puts back an object that has already run in this pass, and closes its source: what stands
    /// behind it was queued later still.
    pub(crate) fn put_back(&mut self, task: TaskId, source: Source) {
        match source {
            Source::List(class) => {
                self.lists[class.index()].push_front(task);
                self.closed[class.index()] = true;
            }
            Source::Fifo(key) => {
                self.fifo.push_front((key, task));
                self.closed[FIFO] = true;
            }
            // A task of very low nice comes up first again and again; the others must not wait for it.
            Source::Heap { key, sequence } => self.deferred.push(Keyed { key, sequence, task }),
        }
    }

    fn pop_list(&mut self, class: Class) -> Option<(TaskId, Source)> {
        if self.closed[class.index()] {
            return None;
        }
        let task = self.lists[class.index()].pop_front()?;
        Some((task, Source::List(class)))
    }

    fn pop_by_key(&mut self) -> Option<(TaskId, Source)> {
        let fifo = if self.closed[FIFO] { None } else { self.fifo.front().map(|(key, _)| *key) };
        let heap = self.heap.peek().map(|entry| entry.0.key);
        match (fifo, heap) {
            (Some(first), Some(other)) if other < first => self.pop_heap(),
            (Some(_), _) => self.fifo.pop_front().map(|(key, task)| (task, Source::Fifo(key))),
            (None, _) => self.pop_heap(),
        }
    }

    fn pop_heap(&mut self) -> Option<(TaskId, Source)> {
        let Reverse(Keyed { key, sequence, task }) = self.heap.pop()?;
        Some((task, Source::Heap { key, sequence }))
    }
}
