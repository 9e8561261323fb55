//! How a program ended: its exit status, and what to say about a trap.

use crate::output;
use crate::values;
use anyhow::Result;
use dolmen::wasi::Exit;
use dolmen::{AsContextMut, Error, Exception, Frame, Trap};
use std::fmt::Write;
use std::process::ExitCode;

/// Status after a trap or an exception that nobody caught: what a shell reports of a process that aborted.
pub const TRAPPED: u8 = 134;

/// Frames of a backtrace that are shown at most.
const MAX_FRAMES: usize = 64;

/// Reports an error if it is an ending of the program, and returns the status that it ends with.
///
/// # Errors
///
/// The error itself if it is of another kind: the program could not be run at all.
pub fn of_error(store: impl AsContextMut, error: anyhow::Error, program: &str) -> Result<ExitCode> {
    match error.downcast_ref::<Error>() {
        Some(Error::Trap(trap)) => {
            output::say(describe_trap(trap, program));
            Ok(ExitCode::from(TRAPPED))
        }
        Some(Error::Exception(exception)) => {
            output::say(describe_exception(store, exception));
            Ok(ExitCode::from(TRAPPED))
        }
        Some(other) => match other.downcast_ref::<Exit>() {
            // The system keeps the low eight bits of a status.
            Some(Exit::Status(status)) => Ok(ExitCode::from(*status as u8)),
            Some(Exit::Closed) => Ok(ExitCode::SUCCESS),
            None => Err(error),
        },
        None => Err(error),
    }
}

fn describe_trap(trap: &Trap, program: &str) -> String {
    let mut text = format!("trap: {}", trap.message);
    for (i, frame) in trap.backtrace.iter().take(MAX_FRAMES).enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {i}: {}", describe_frame(frame, program));
    }
    if trap.backtrace.len() > MAX_FRAMES {
        let _ = write!(text, "\n  ... {} more", trap.backtrace.len() - MAX_FRAMES);
    }
    text
}

/// `name (module!index)`; a module without a name is called after its file.
pub fn describe_frame(frame: &Frame, program: &str) -> String {
    let module = frame.module_name.as_deref().unwrap_or(program);
    let function = frame.func_name.as_deref().unwrap_or("<unnamed>");
    format!("{function} ({module}!{})", frame.func_index)
}

fn describe_exception(mut store: impl AsContextMut, exception: &Exception) -> String {
    let mut text = "trap: uncaught exception".to_owned();
    let fields = exception.exn.fields(&mut store).unwrap_or_default();
    let values: Vec<String> =
        fields.iter().map(|value| values::format_value(&store, value).unwrap_or_default()).collect();
    if !values.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  payload: {}", values.join(" "));
    }
    text
}
