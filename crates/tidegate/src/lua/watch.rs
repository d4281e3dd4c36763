//! Waits for Lua files to change, for `tidegate test --watch`.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use anyhow::{Context as _, Result};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Changes in folders.
pub(super) struct Changes {
    events: Receiver<notify::Result<Event>>,
    /// Stops watching when dropped.
    _watcher: RecommendedWatcher,
}

/// Changes that come so close together are one: editors write in several steps.
const TOGETHER: Duration = Duration::from_millis(100);

impl Changes {
    /// Of everything below these folders, and below the folders of these files.
    pub(super) fn of(roots: &[PathBuf]) -> Result<Self> {
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(sender).context("watching files")?;
        for root in roots {
            let folder = if root.is_dir() { root } else { root.parent().unwrap_or(Path::new(".")) };
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            watcher
                .watch(folder, RecursiveMode::Recursive)
                .with_context(|| format!("watching {}", folder.display()))?;
        }
        Ok(Self { events, _watcher: watcher })
    }

    /// Waits until a Lua file has changed; false once nothing will any more.
    pub(super) fn wait(&mut self) -> bool {
        loop {
            match self.events.recv() {
                Ok(Ok(event)) if is_change(&event) => break,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        while self.events.recv_timeout(TOGETHER).is_ok() {}
        true
    }
}

fn is_change(event: &Event) -> bool {
    let written = event.kind.is_create() || event.kind.is_modify() || event.kind.is_remove();
    written && event.paths.iter().any(|path| path.extension().is_some_and(|extension| extension == "lua"))
}
