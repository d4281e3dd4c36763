//! One version of a reference: its elements, and an index for each way in which they are looked up.

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;

use super::index::{Ids, Index, Key, Spec};
use crate::sample::SampleRef;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The pattern as written.
    pub key: Arc<[u8]>,
    /// What a map gives for it; `None` in ACLs.
    pub value: Option<Arc<[u8]>>,
    /// Its line in the file it came from; 0 if it came while running.
    pub line: u32,
}

/// Keys as the indexes of a reference read them, in their order.
pub(super) type Keys = smallvec::SmallVec<[Key; 2]>;

/// The elements of one version.
#[derive(Clone, Default)]
pub(super) struct Generation {
    elements: BTreeMap<u64, Element>,
    by_key: FxHashMap<Arc<[u8]>, Ids>,
    indexes: Vec<Index>,
}

impl Generation {
    pub(super) fn new(specs: &[Spec]) -> Self {
        Self { indexes: specs.iter().map(|spec| Index::new(*spec)).collect(), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Adds an element; `keys` come from the [`Spec`]s that this was made with.
    pub(super) fn insert(&mut self, id: u64, element: Element, keys: Keys) {
        for (index, key) in self.indexes.iter_mut().zip(keys) {
            index.insert(key, id);
        }
        self.by_key.entry(element.key.clone()).or_default().push(id);
        self.elements.insert(id, element);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Element> {
        let element = self.elements.remove(&id)?;
        for index in &mut self.indexes {
            index.remove(&element.key, id);
        }
        if let Some(ids) = self.by_key.get_mut(&element.key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_key.remove(&element.key);
            }
        }
        Some(element)
    }

    /// The elements with exactly that key.
    pub(super) fn ids(&self, key: &[u8]) -> Ids {
        self.by_key.get(key).cloned().unwrap_or_default()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Element> {
        self.elements.get(&id)
    }

    pub(super) fn set_value(&mut self, id: u64, value: &Arc<[u8]>) -> bool {
        self.elements.get_mut(&id).map(|element| element.value = Some(value.clone())).is_some()
    }

    /// The elements behind `after`, in the order in which they were added.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Element)> {
        self.elements.range(after + 1..).map(|(id, element)| (*id, element))
    }

    /// Adds an index over what is there.
    ///
    /// # Errors
    /// A key that the index cannot read, and the element it stands in.
    pub(super) fn add_index(&mut self, spec: Spec) -> Result<(), (String, Element)> {
        let mut index = Index::new(spec);
        for (id, element) in &self.elements {
            let key = spec.read(&element.key).map_err(|text| (text, element.clone()))?;
            index.insert(key, *id);
        }
        self.indexes.push(index);
        Ok(())
    }

    /// The element that a value matches in one index.
    pub(super) fn find(&self, index: usize, value: SampleRef<'_>) -> Option<u64> {
        self.indexes.get(index)?.find(value)
    }

    pub(super) fn index(&self, index: usize) -> Option<&Index> {
        self.indexes.get(index)
    }
}
