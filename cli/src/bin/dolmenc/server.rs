//! Answers requests one after the other.

use crate::text;
use dolmen_aotc::{CompileError, Features, OptLevel, Options, TargetCpu, UnknownFeature};
use dolmen_cli::protocol::{self, Emit, Progress, Request, Response, Source, VERSION};
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Progress is not reported more often than this: a module may have many thousands of functions.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// What the last panic said.
static PANIC_MESSAGE: Mutex<String> = Mutex::new(String::new());

/// The channel to the parent and when progress was last reported on it.
struct Answers<W> {
    to: W,
    reported: Instant,
}

/// Answers requests until there are no more.
///
/// # Errors
///
/// When the parent is gone or speaks something else.
pub fn serve(from: &mut impl Read, mut to: impl Write + Send) -> io::Result<()> {
    panic::set_hook(Box::new(|info| {
        *PANIC_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    protocol::write_response(&mut to, &Response::Hello(VERSION.to_owned()))?;
    let answers = Mutex::new(Answers { to, reported: Instant::now() });
    while let Some((request, input)) = protocol::read_request(from)? {
        let response = answer(&request, &input, &|progress| report(&answers, progress));
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::write_response(&mut answers.to, &response)?;
    }
    Ok(())
}

/// Why there is no output.
enum Refusal {
    Invalid(String),
    Failed(String),
}

fn answer(request: &Request, input: &[u8], on_progress: &(dyn Fn(Progress) + Sync)) -> Response {
    match panic::catch_unwind(AssertUnwindSafe(|| compile(request, input, on_progress))) {
        Ok(Ok(output)) => Response::Output(output),
        Ok(Err(Refusal::Invalid(message))) => Response::Invalid(on_one_line(&message)),
        Ok(Err(Refusal::Failed(message))) => Response::Failed(on_one_line(&message)),
        Err(_) => {
            let message = PANIC_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner);
            Response::Failed(on_one_line(&format!("compiler bug: {message}")))
        }
    }
}

fn compile(request: &Request, input: &[u8], on_progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<u8>, Refusal> {
    let wasm = match request.source {
        Source::Binary => Cow::Borrowed(input),
        Source::Text => Cow::Owned(text::assemble(input).map_err(Refusal::Invalid)?),
    };
    let Some(emit) = emit(request.emit) else { return Ok(wasm.into_owned()) };
    let progress = |done: usize, total: usize| on_progress(Progress { done: done as u64, total: total as u64 });
    dolmen_aotc::compile_with_progress(&wasm, &options(request, emit)?, &progress).map_err(Refusal::from)
}

/// What the compiler makes; nothing if it has no part in the request.
const fn emit(emit: Emit) -> Option<dolmen_aotc::Emit> {
    match emit {
        Emit::Artifact => Some(dolmen_aotc::Emit::Artifact),
        Emit::LlvmIr => Some(dolmen_aotc::Emit::LlvmIr),
        Emit::Asm => Some(dolmen_aotc::Emit::Asm),
        Emit::Obj => Some(dolmen_aotc::Emit::Obj),
        Emit::Wasm => None,
    }
}

fn options(request: &Request, emit: dolmen_aotc::Emit) -> Result<Options, Refusal> {
    let unknown_level = || Refusal::Failed(format!("unknown optimisation level {}", request.opt_level));
    let default_jobs = || std::thread::available_parallelism().map_or(1, Into::into);
    Ok(Options {
        opt_level: OptLevel::from_number(request.opt_level).ok_or_else(unknown_level)?,
        target_cpu: match request.target_cpu.as_str() {
            "native" => TargetCpu::Native,
            "generic" => TargetCpu::Generic,
            name => TargetCpu::Named(name.to_owned()),
        },
        jobs: if request.jobs == 0 { default_jobs() } else { request.jobs as usize },
        collector: request.collector,
        polls: request.polls,
        features: features(&request.features)?,
        emit,
    })
}

fn features(list: &str) -> Result<Features, Refusal> {
    if list.is_empty() {
        return Ok(Features::default());
    }
    list.parse().map_err(|error: UnknownFeature| Refusal::Failed(error.to_string()))
}

fn report(answers: &Mutex<Answers<impl Write>>, progress: Progress) {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    if answers.reported.elapsed() >= PROGRESS_INTERVAL {
        answers.reported = Instant::now();
        // A parent that does not listen is noticed when it is told the result.
        let _ = protocol::write_response(&mut answers.to, &Response::Progress(progress));
    }
}

impl From<CompileError> for Refusal {
    fn from(error: CompileError) -> Self {
        let message = error.to_string();
        if matches!(error, CompileError::Invalid { .. } | CompileError::Text(_)) {
            Self::Invalid(message)
        } else {
            Self::Failed(message)
        }
    }
}

fn on_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
