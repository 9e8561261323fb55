//! What the command says on its standard streams.
//!
//! Results go to standard output, everything else to standard error. Errors are one line. A reader of standard
//! output that goes away (`dolmen inspect x | head -1`) has what it wanted: that is [`ReaderGone`], which ends
//! the command without a word. Nothing here panics when a stream is closed, as `println!` would.

use std::fmt;
use std::io::{self, Write};

/// Nobody reads standard output any more.
#[derive(Debug)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for ReaderGone {}

/// Writes bytes to standard output.
///
/// # Errors
///
/// [`ReaderGone`], or what else went wrong.
pub fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard error. If that is closed, there is nobody to tell.
pub fn say(line: impl fmt::Display) {
    let text = format!("{line}\n");
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The message of an error with its causes, on one line. What a message ends with already is not told again.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for message in error.chain().map(ToString::to_string) {
        if !text.ends_with(&message) {
            text += if text.is_empty() { "" } else { ": " };
            text += &message;
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
