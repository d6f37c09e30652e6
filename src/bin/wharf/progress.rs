//! A progress bar for long work on a file, where somebody sits and waits.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};
use wharf::engine::Snapshot;

/// How often the bar moves.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error that shows itself when the work takes long.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    shown: bool,
}

impl Progress {
    /// `None` where a bar would have no reader, or would be torn by `lines_on_stdout` on the same terminal.
    pub(crate) fn new(lines_on_stdout: bool) -> Option<Self> {
        let torn = lines_on_stdout && stdout().is_terminal();
        (stderr().is_terminal() && !torn).then(|| Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            begun: Instant::now(),
            shown: false,
        })
    }

    pub(crate) fn show(&mut self, snapshot: Snapshot) {
        let Some(progress) = snapshot.progress else { return };
        if self.begun.elapsed() < PATIENCE {
            return;
        }
        self.bar.set_position(progress.read);
        self.bar.set_message(format!("{} packets", snapshot.packets));
        if !std::mem::replace(&mut self.shown, true) {
            self.bar.set_length(progress.total);
            let style = ProgressStyle::with_template(
                "{wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {msg}  {eta} left",
            );
            if let Ok(style) = style {
                self.bar.set_style(style);
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
