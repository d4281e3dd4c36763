//! The queues that threads share, for models: a lock around a `VecDeque`. What is checked is our protocol, not
//! crossbeam's code.

use std::collections::VecDeque;

use crate::sync::Mutex;

pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }
    pub(crate) fn push(&self, item: T) {
        self.0.lock().unwrap().push_back(item);
    }
    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().unwrap().pop_front()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

pub(crate) struct ArrayQueue<T>(Mutex<VecDeque<T>>, usize);

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Mutex::new(VecDeque::new()), capacity)
    }
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut queue = self.0.lock().unwrap();
        if queue.len() == self.1 {
            return Err(item);
        }
        queue.push_back(item);
        Ok(())
    }
    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().unwrap().pop_front()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}
