//! Answers requests one after the other.

use crate::parts::Parts;
use crate::text;
use dolmen_aotc::{CacheStore, CompileError, Features, Observer, OptLevel, Options, Stage, TargetCpu, UnknownFeature};
use dolmen_cli::protocol::{self, Emit, ProfileMode, Progress, Request, Response, Source, Times, VERSION};
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Passes on what a compilation tells.
struct Listener<'l, W> {
    answers: &'l Mutex<Answers<W>>,
    /// By stage.
    nanos: [AtomicU64; Stage::ALL.len()],
    parts: AtomicU64,
    cached_parts: AtomicU64,
}

impl<'l, W> Listener<'l, W> {
    fn new(answers: &'l Mutex<Answers<W>>) -> Self {
        Self { answers, nanos: Default::default(), parts: AtomicU64::new(0), cached_parts: AtomicU64::new(0) }
    }

    fn times(&self) -> Times {
        // Relaxed: the threads that added have ended.
        let nanos = |stage: Stage| self.nanos[stage as usize].load(Ordering::Relaxed);
        let stages = Stage::ALL.map(|stage| (stage.name().to_owned(), nanos(stage))).into();
        let [parts, cached_parts] = [&self.parts, &self.cached_parts].map(|count| count.load(Ordering::Relaxed));
        Times { stages, parts, cached_parts }
    }
}

impl<W: Write + Send> Observer for Listener<'_, W> {
    fn progress(&self, finished: usize, total: usize) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.reported.elapsed() >= PROGRESS_INTERVAL {
            answers.reported = Instant::now();
            let progress = Progress { done: finished as u64, total: total as u64 };
            // A parent that does not listen is noticed when it is told the result.
            let _ = protocol::write_response(&mut answers.to, &Response::Progress(progress));
        }
    }

    fn partition(&self, is_cached: bool) {
        // Relaxed: counts for display.
        self.parts.fetch_add(1, Ordering::Relaxed);
        self.cached_parts.fetch_add(is_cached.into(), Ordering::Relaxed);
    }

    fn stage(&self, stage: Stage, time: Duration) {
        let nanos = time.as_nanos().try_into().unwrap_or(u64::MAX);
        // Relaxed: sums for display.
        self.nanos[stage as usize].fetch_add(nanos, Ordering::Relaxed);
    }
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
        let listener = Listener::new(&answers);
        let response = answer(&request, &input, &listener);
        let times = listener.times();
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(response, Response::Output(_)) {
            protocol::write_response(&mut answers.to, &Response::Times(times))?;
        }
        protocol::write_response(&mut answers.to, &response)?;
    }
    Ok(())
}

/// Why there is no output.
enum Refusal {
    Invalid(String),
    Failed(String),
}

fn answer(request: &Request, input: &[u8], observer: &dyn Observer) -> Response {
    match panic::catch_unwind(AssertUnwindSafe(|| compile(request, input, observer))) {
        Ok(Ok(output)) => Response::Output(output),
        Ok(Err(Refusal::Invalid(message))) => Response::Invalid(on_one_line(&message)),
        Ok(Err(Refusal::Failed(message))) => Response::Failed(on_one_line(&message)),
        Err(_) => {
            let message = PANIC_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner);
            Response::Failed(on_one_line(&format!("compiler bug: {message}")))
        }
    }
}

fn compile(request: &Request, input: &[u8], observer: &dyn Observer) -> Result<Vec<u8>, Refusal> {
    let wasm = match request.source {
        Source::Binary => Cow::Borrowed(input),
        Source::Text => Cow::Owned(text::assemble(input).map_err(Refusal::Invalid)?),
    };
    let Some(emit) = emit(request.emit) else { return Ok(wasm.into_owned()) };
    let mut options = options(request, emit)?;
    let parts = if request.incremental { Parts::of_user().map(Arc::new) } else { None };
    options.cache = parts.clone().map(|parts| parts as Arc<dyn CacheStore>);
    let output = dolmen_aotc::compile_observed(&wasm, &options, observer)?;
    if let Some(parts) = parts {
        parts.trim();
    }
    Ok(output)
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
        profile: match &request.profile {
            ProfileMode::Off => dolmen_aotc::ProfileMode::Off,
            ProfileMode::Count => dolmen_aotc::ProfileMode::Count,
            ProfileMode::Use(file) => dolmen_aotc::ProfileMode::Use(file.clone()),
        },
        cache: None,
    })
}

fn features(list: &str) -> Result<Features, Refusal> {
    if list.is_empty() {
        return Ok(Features::default());
    }
    list.parse().map_err(|error: UnknownFeature| Refusal::Failed(error.to_string()))
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
