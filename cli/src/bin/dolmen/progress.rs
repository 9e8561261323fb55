//! The progress bar of a compilation: only on a terminal, and only if there is time to read it.

use dolmen_cli::protocol::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

/// A compilation shorter than this shows nothing.
const DELAY: Duration = Duration::from_secs(1);

/// How often a bar without news moves.
const TICK: Duration = Duration::from_millis(200);

/// What a bar looks like before it is known how much there is to do.
const WITHOUT_NEWS: &str = "{spinner} {msg} {elapsed}";

const WITH_NEWS: &str = "{spinner} {msg} [{bar:30}] {pos}/{len} functions {elapsed}";

/// Shows how far a compilation is, until it is dropped.
pub struct Reporter {
    bar: Option<ProgressBar>,
}

impl Reporter {
    /// Starts to wait; on anything but a terminal for ever.
    #[must_use]
    pub fn start(what: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            set_style(&bar, WITHOUT_NEWS);
            bar.set_message(format!("compiling {what}"));
            let shown = bar.downgrade();
            thread::spawn(move || {
                thread::sleep(DELAY);
                if let Some(bar) = shown.upgrade().filter(|bar| !bar.is_finished()) {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(TICK);
                }
            });
            bar
        });
        Self { bar }
    }

    /// Notes how far the compilation is.
    pub fn update(&self, progress: Progress) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none_or(|total| total == 0) {
                set_style(bar, WITH_NEWS);
            }
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    // The templates are constant and right; a wrong one would leave the default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}
