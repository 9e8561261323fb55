//! An engine in a process of its own, which may die or hang.
//!
//! A request is a line; the answer is lines, the last of which is [`END_OF_ANSWER`].

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The line that ends an answer.
pub const END_OF_ANSWER: &str = ".";

/// Longest time that an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A running engine.
pub struct Server {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

impl Server {
    /// Starts a process.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, output) = pipes.ok_or_else(|| anyhow::anyhow!("a child without pipes"))?;
        let (send, answers) = channel();
        thread::spawn(move || {
            // The receiver may have given up on the child.
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Ok(Self { child, requests, answers })
    }

    /// The answer to a request.
    ///
    /// # Errors
    ///
    /// In words, if the process died or hung; it is of no use afterwards.
    pub fn ask(&mut self, request: &str) -> Result<Vec<String>, String> {
        if writeln!(self.requests, "{request}").and_then(|()| self.requests.flush()).is_err() {
            return Err(self.epitaph());
        }
        let mut answer = Vec::new();
        loop {
            match self.answers.recv_timeout(TIME_LIMIT) {
                Ok(line) if line == END_OF_ANSWER => return Ok(answer),
                Ok(line) => answer.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(format!("no answer in {} s", TIME_LIMIT.as_secs())),
                Err(RecvTimeoutError::Disconnected) => return Err(self.epitaph()),
            }
        }
    }

    fn epitaph(&mut self) -> String {
        self.child.wait().map_or_else(|error| error.to_string(), |status| format!("the process died: {status}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; nothing is left to do then.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Bytes as text for a request.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of [`to_hex`].
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}
