//! A reference while the configuration is read: its users, its first entries, its end of loading.

use std::sync::Arc;

use super::{
    super::{
        generation::{Element, Generation},
        index::Spec,
        list::Output,
    },
    EditError, ListInfo, PatternRef,
};

impl PatternRef {
    /// Adds an entry of a file or an ACL's line.
    pub(in crate::pattern_ref) fn load(
        &self,
        key: &[u8],
        value: Option<&[u8]>,
        line: u32,
    ) -> Result<(), EditError> {
        let mut state = self.state.write();
        self.thaw(&mut state);
        self.insert(&mut state, None, key, value, line).map(drop)
    }

    /// A use of this reference: the number of its index.
    ///
    /// # Errors
    /// A pattern or value that this use cannot read, with its line.
    pub(in crate::pattern_ref) fn list(
        &self,
        spec: Spec,
        output: Output,
        may_add: bool,
    ) -> Result<Option<usize>, String> {
        let mut state = self.state.write();
        let known = state.specs.iter().position(|other| *other == spec);
        let info = known.map(|index| ListInfo { index, spec, output });
        if info.is_some_and(|info| state.lists.contains(&info)) {
            return Ok(known);
        }
        if !may_add {
            return Ok(None);
        }
        self.thaw(&mut state);
        let located = |text: String, element: &Element| match &self.name {
            Some(name) if element.line > 0 => format!("{text} at line {} of file '{name}'", element.line),
            _ => text,
        };
        for (_, element) in state.live.after(0) {
            if let Some(value) = &element.value {
                output.check(value).map_err(|text| located(text, element))?;
            }
        }
        let index = match known {
            Some(index) => index,
            None => {
                state.live.add_index(spec).map_err(|(text, element)| located(text, &element))?;
                for other in state.others.values_mut() {
                    other.add_index(spec).map_err(|(text, element)| located(text, &element))?;
                }
                state.specs.push(spec);
                state.specs.len() - 1
            }
        };
        state.lists.push(ListInfo { index, spec, output });
        Ok(Some(index))
    }

    /// Every use, in the order in which they were read.
    pub(in crate::pattern_ref) fn lists(&self) -> Vec<ListInfo> {
        self.state.read().lists.clone()
    }

    /// The configuration was read: readers need no lock until something changes.
    pub(in crate::pattern_ref) fn freeze(&self) {
        let mut state = self.state.write();
        if self.frozen.load().is_none() {
            let empty = Generation::new(&state.specs);
            let live = std::mem::replace(&mut state.live, empty);
            self.frozen.store(Some(Arc::new(live)));
        }
    }
}
