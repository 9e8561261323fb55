//! The conversation of `dolmen` and its child `dolmenc`.
//!
//! The child greets, then answers requests until its standard input ends:
//!
//! ```text
//! dolmen ──► dolmenc   (stdin)     Request, input bytes; and again
//! dolmen ◄── dolmenc   (stdout)    Hello; per request any number of Progress, then Times and Output, or Invalid or Failed
//! ```
//!
//! A message is a frame: one byte that tells its kind, the length of its payload (64 bits, little endian), the
//! payload. Structured payloads are postcard, inputs and outputs are the bytes themselves. The two binaries must
//! come from one build ([`VERSION`]), so there is no compatibility to keep; the greeting's form never changes.
//!
//! Standard error of the child is free text: what LLVM says when it gives up.

use dolmen_abi::collector::Collector;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Version of both binaries.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The argument with which `dolmenc` speaks this protocol.
pub const SERVER_ARG: &str = "--server";

/// Greatest payload; a longer one means that the other side speaks something else.
pub const MAX_PAYLOAD_BYTES: u64 = 4 << 30;

/// What to compile to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emit {
    /// A file that `dolmen run` runs.
    #[default]
    Artifact,
    LlvmIr,
    Asm,
    Obj,
    /// The module itself in the binary format: only text is translated.
    Wasm,
}

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Binary,
    /// WebAssembly text.
    Text,
}

/// What to do about profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileMode {
    #[default]
    Off,
    Count,
    /// The content of a profile.
    Use(Vec<u8>),
}

/// How to compile one module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// 0 to 3.
    pub opt_level: u8,
    pub emit: Emit,
    /// `native`, `generic`, or a name that LLVM knows.
    pub target_cpu: String,
    /// Threads; 0 for as many as the machine has processors.
    pub jobs: u32,
    pub collector: Collector,
    /// Whether loops poll for requests to stop.
    pub polls: bool,
    /// Language features, as `dolmen_aotc::Features` is written; empty for all.
    pub features: String,
    pub source: Source,
    pub profile: ProfileMode,
    /// Whether to keep the code of the module's parts in the user's cache, and to take from there what has not changed.
    pub incremental: bool,
}

/// How far a compilation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// Where the time of a compilation went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Stages, and nanoseconds of all threads together.
    pub stages: Vec<(String, u64)>,
    /// How many parts the module was compiled in.
    pub parts: u64,
    /// How many of them were there already.
    pub cached_parts: u64,
}

/// A message of the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The child's [`VERSION`].
    Hello(String),
    Progress(Progress),
    Times(Times),
    Output(Vec<u8>),
    /// The module is malformed or invalid; why, in one line.
    Invalid(String),
    /// The module cannot be compiled for another reason; which, in one line.
    Failed(String),
}

/// The kinds of frames, as their first byte.
mod kind {
    pub const REQUEST: u8 = b'R';
    pub const INPUT: u8 = b'I';
    pub const HELLO: u8 = b'H';
    pub const PROGRESS: u8 = b'P';
    pub const TIMES: u8 = b'T';
    pub const OUTPUT: u8 = b'O';
    pub const INVALID: u8 = b'V';
    pub const FAILED: u8 = b'F';
}

/// Sends a request and its input.
///
/// # Errors
///
/// When the receiver is gone.
pub fn write_request(to: &mut impl Write, request: &Request, input: &[u8]) -> io::Result<()> {
    write_frame(to, kind::REQUEST, &postcard::to_stdvec(request).map_err(io::Error::other)?)?;
    write_frame(to, kind::INPUT, input)?;
    to.flush()
}

/// Receives a request and its input; nothing when there are no more.
///
/// # Errors
///
/// When the sender's messages are broken.
pub fn read_request(from: &mut impl Read) -> io::Result<Option<(Request, Vec<u8>)>> {
    let Some((kind::REQUEST, payload)) = read_frame(from)? else { return Ok(None) };
    let request = postcard::from_bytes(&payload).map_err(|_| invalid("a request that cannot be read"))?;
    match read_frame(from)? {
        Some((kind::INPUT, input)) => Ok(Some((request, input))),
        _ => Err(invalid("a request without input")),
    }
}

/// Sends a response.
///
/// # Errors
///
/// When the receiver is gone.
pub fn write_response(to: &mut impl Write, response: &Response) -> io::Result<()> {
    match response {
        Response::Hello(version) => write_frame(to, kind::HELLO, version.as_bytes())?,
        Response::Progress(progress) => {
            write_frame(to, kind::PROGRESS, &postcard::to_stdvec(progress).map_err(io::Error::other)?)?;
        }
        Response::Times(times) => {
            write_frame(to, kind::TIMES, &postcard::to_stdvec(times).map_err(io::Error::other)?)?;
        }
        Response::Output(bytes) => write_frame(to, kind::OUTPUT, bytes)?,
        Response::Invalid(message) => write_frame(to, kind::INVALID, message.as_bytes())?,
        Response::Failed(message) => write_frame(to, kind::FAILED, message.as_bytes())?,
    }
    to.flush()
}

/// Receives a response; nothing when the sender has ended.
///
/// # Errors
///
/// When the sender's messages are broken.
pub fn read_response(from: &mut impl Read) -> io::Result<Option<Response>> {
    let Some((kind, payload)) = read_frame(from)? else { return Ok(None) };
    let text = |payload: Vec<u8>| String::from_utf8_lossy(&payload).into_owned();
    Ok(Some(match kind {
        kind::HELLO => Response::Hello(text(payload)),
        kind::PROGRESS => Response::Progress(
            postcard::from_bytes(&payload).map_err(|_| invalid("a progress message that cannot be read"))?,
        ),
        kind::TIMES => {
            Response::Times(postcard::from_bytes(&payload).map_err(|_| invalid("times that cannot be read"))?)
        }
        kind::OUTPUT => Response::Output(payload),
        kind::INVALID => Response::Invalid(text(payload)),
        kind::FAILED => Response::Failed(text(payload)),
        _ => return Err(invalid("a message of unknown kind")),
    }))
}

fn write_frame(to: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    let mut head = [kind; 9];
    head[1..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    to.write_all(&head)?;
    to.write_all(payload)
}

/// Reads a frame; nothing at the end of the stream. The payload's memory grows with what arrives, so that a
/// wrong length alone takes none.
fn read_frame(from: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut kind = Vec::with_capacity(1);
    if from.take(1).read_to_end(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_PAYLOAD_BYTES {
        return Err(invalid("a message that is too long"));
    }
    let mut payload = Vec::new();
    if from.take(length).read_to_end(&mut payload)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind[0], payload)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            opt_level: 2,
            emit: Emit::Asm,
            target_cpu: "native".into(),
            jobs: 3,
            collector: Collector::DEFAULT,
            polls: true,
            features: "3.0".into(),
            source: Source::Text,
            profile: ProfileMode::Use(vec![1, 2]),
            incremental: true,
        }
    }

    #[test]
    fn requests_arrive_as_sent() {
        let mut pipe = Vec::new();
        write_request(&mut pipe, &request(), b"(module)").unwrap();
        write_request(&mut pipe, &request(), b"").unwrap();
        let mut from = &pipe[..];
        assert_eq!(read_request(&mut from).unwrap(), Some((request(), b"(module)".to_vec())));
        assert_eq!(read_request(&mut from).unwrap(), Some((request(), vec![])));
        assert_eq!(read_request(&mut from).unwrap(), None);
    }

    #[test]
    fn responses_arrive_as_sent() {
        let sent = [
            Response::Hello("1".into()),
            Response::Progress(Progress { done: 3, total: 400 }),
            Response::Times(Times { stages: vec![("emit".into(), 5_000_000_000)], parts: 4, cached_parts: 3 }),
            Response::Output(vec![0; 100_000]),
            Response::Invalid("not so".into()),
            Response::Failed("no".into()),
        ];
        let mut pipe = Vec::new();
        sent.iter().for_each(|response| write_response(&mut pipe, response).unwrap());
        let mut from = &pipe[..];
        for response in sent {
            assert_eq!(read_response(&mut from).unwrap(), Some(response));
        }
        assert_eq!(read_response(&mut from).unwrap(), None);
    }

    #[test]
    fn broken_messages_are_errors() {
        let mut pipe = Vec::new();
        write_response(&mut pipe, &Response::Output(vec![1; 10])).unwrap();
        for length in 1..pipe.len() {
            assert!(read_response(&mut &pipe[..length]).is_err(), "{length} bytes");
        }
        assert!(read_response(&mut &b"This is not a dolmenc"[..]).is_err());
        assert!(read_response(&mut &[b'?', 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
        assert!(read_request(&mut &[b'R', 1, 0, 0, 0, 0, 0, 0, 0, 7][..]).is_err());
    }
}
