//! The lines of earlier shells.

use std::path::PathBuf;

use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::helper::Completion;
use crate::cli::output::complain;

/// Lines that are kept.
const LINES_MAX: usize = 1000;

/// A line editor that knows the earlier lines.
pub(super) fn editor() -> rustyline::Result<Editor<Completion, FileHistory>> {
    let config = Config::builder()
        .max_history_size(LINES_MAX)?
        .history_ignore_space(true)
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Completion));
    if let Some(file) = file() {
        // There is none before the first shell.
        let _ = editor.load_history(&file);
    }
    Ok(editor)
}

/// Keeps the lines. That they cannot be kept is told, but is no failure.
pub(super) fn save(editor: &mut Editor<Completion, FileHistory>) {
    let Some(file) = file() else { return };
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let saved = folder.map_err(Into::into).and_then(|()| editor.append_history(&file));
    if let Err(error) = saved {
        complain(&format!("tinykv: cannot keep the history in {}: {error}", file.display()));
    }
}

/// Where the lines are kept; nowhere for a user without a home.
fn file() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = path("XDG_STATE_HOME").or_else(|| Some(path("HOME")?.join(".local/state")))?;
    Some(state.join("tinykv/history"))
}
