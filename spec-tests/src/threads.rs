//! Threads of a script: `(thread $name (shared (module $m)) …)` and `(wait $name)`.
//!
//! The directives of a thread run on an OS thread of their own, with a store of their own, while the script goes on.
//! The two have in common the shared memories that the module named by `shared` exports; the thread imports them
//! after it has registered that module. What becomes of a thread's directives is reported when the script waits
//! for it, or else at the script's end.
//!
//! A parsed script cannot leave its OS thread, so that a thread parses the text again and finds its directive by
//! its place. Reference: WebAssembly threads proposal, `interpreter/README.md`.

use crate::report::FileReport;
use dolmen::SharedMemory;
use std::collections::HashMap;
use std::thread::ScopedJoinHandle;
use wast::WastDirective;
use wast::token::Span;

/// The shared memories that a module exports, by their names.
pub(crate) type Exports = HashMap<String, SharedMemory>;

/// What a thread's directives start with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inherited {
    /// The name of the module that is shared, and its memories.
    pub(crate) module: Option<(String, Exports)>,
}

/// Threads that the script has not waited for yet, by name.
#[derive(Debug, Default)]
pub(crate) struct Threads<'scope> {
    running: HashMap<String, ScopedJoinHandle<'scope, FileReport>>,
}

impl<'scope> Threads<'scope> {
    /// Notes a thread.
    pub(crate) fn add(&mut self, name: &str, handle: ScopedJoinHandle<'scope, FileReport>) -> Result<(), String> {
        match self.running.insert(name.to_owned(), handle) {
            None => Ok(()),
            Some(_) => Err(format!("there is a thread ${name} already")),
        }
    }

    /// Waits for a thread; its report goes into the script's.
    pub(crate) fn wait(&mut self, name: &str, report: &mut FileReport) -> Result<(), String> {
        let handle = self.running.remove(name).ok_or_else(|| format!("there is no thread ${name}"))?;
        let found = handle.join().map_err(|_| format!("thread ${name} panicked"))?;
        report.passed += found.passed;
        report.failures.extend(found.failures);
        Ok(())
    }

    /// Waits for all threads that are left.
    pub(crate) fn wait_for_all(&mut self, report: &mut FileReport) -> Result<(), String> {
        let mut names: Vec<_> = self.running.keys().cloned().collect();
        names.sort();
        names.iter().try_for_each(|name| self.wait(name, report))
    }
}

/// The directives of the thread at a place in a script, wherever in other threads it stands.
pub(crate) fn directives_at<'a>(directives: Vec<WastDirective<'a>>, place: Span) -> Option<Vec<WastDirective<'a>>> {
    directives.into_iter().find_map(|directive| match directive {
        WastDirective::Thread(thread) if thread.span == place => Some(thread.directives),
        WastDirective::Thread(thread) => directives_at(thread.directives, place),
        _ => None,
    })
}
