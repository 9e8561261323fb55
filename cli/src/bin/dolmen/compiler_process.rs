//! The compiler as a child process.
//!
//! [`Compiler`] finds `dolmenc`, starts it when there is something to compile, keeps it for further modules (a
//! script of the specification has hundreds of small ones) and starts it again after it died. Whatever happens
//! to the child becomes a [`CompileFailure`] with a message of one line: a module that it refuses, a fatal
//! error of LLVM, a signal, a missing library, another version.

use dolmen_cli::protocol::{self, Progress, Request, Response, SERVER_ARG, Times, VERSION};
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The variable that names another compiler.
const COMPILER_VARIABLE: &str = "DOLMENC";

const COMPILER_NAME: &str = "dolmenc";

/// What the child says on standard error beyond this is not kept.
const MAX_DIAGNOSTICS_BYTES: usize = 64 << 10;

/// Why there is no compiled module.
#[derive(Debug, thiserror::Error)]
pub enum CompileFailure {
    #[error("no compiler found: dolmenc is neither beside dolmen nor on PATH (DOLMENC can name one)")]
    NotFound,
    #[error("DOLMENC names {0}, which is no program")]
    NotAProgram(String),
    #[error("cannot start the compiler {path}")]
    Start { path: String, source: io::Error },
    #[error("the compiler {path} is version {found}, but dolmen is version {VERSION}")]
    Version { path: String, found: String },
    /// The module is malformed or invalid.
    #[error("{0}")]
    Invalid(String),
    /// The module is beyond what can be compiled, or an option is wrong.
    #[error("{0}")]
    Failed(String),
    /// The child ended where it should have answered.
    #[error("the compiler {how}{diagnostics}")]
    Died { how: String, diagnostics: String },
    #[error("the compiler {path} answers nonsense")]
    Protocol { path: String, source: io::Error },
}

/// A compiler that is started when it is needed.
#[derive(Debug)]
pub struct Compiler {
    path: PathBuf,
    child: Option<Running>,
}

/// A child that has greeted.
#[derive(Debug)]
struct Running {
    /// There until it is waited for.
    child: Option<Child>,
    /// Nothing once the child shall end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    diagnostics: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Compiler {
    /// Finds the compiler: the one that `DOLMENC` names, else the one beside this program, else the one on
    /// `PATH`.
    ///
    /// # Errors
    ///
    /// [`CompileFailure::NotFound`] and [`CompileFailure::NotAProgram`].
    pub fn find() -> Result<Self, CompileFailure> {
        let path = match env::var_os(COMPILER_VARIABLE).filter(|name| !name.is_empty()) {
            Some(name) => {
                search_path(&name).ok_or_else(|| CompileFailure::NotAProgram(name.to_string_lossy().into_owned()))?
            }
            None => {
                beside_this_program().or_else(|| search_path(COMPILER_NAME.as_ref())).ok_or(CompileFailure::NotFound)?
            }
        };
        Ok(Self { path, child: None })
    }

    /// The file of the compiler.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compiles a module.
    ///
    /// # Errors
    ///
    /// Any [`CompileFailure`]; the next call starts a new child if this one is lost.
    pub fn compile(
        &mut self,
        request: &Request,
        input: &[u8],
        mut on_progress: impl FnMut(Progress),
    ) -> Result<(Vec<u8>, Times), CompileFailure> {
        let mut child = match self.child.take() {
            Some(child) => child,
            None => Running::start(&self.path)?,
        };
        let mut times = Times::default();
        let answer = child.converse(request, input, &mut on_progress, &mut times);
        let outcome = match answer {
            Ok(Response::Output(bytes)) => Ok((bytes, times)),
            Ok(Response::Invalid(message)) => Err(CompileFailure::Invalid(message)),
            Ok(Response::Failed(message)) => Err(CompileFailure::Failed(message)),
            Ok(Response::Hello(_) | Response::Progress(_) | Response::Times(_)) => {
                return Err(self.nonsense(io::ErrorKind::InvalidData.into()));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.nonsense(error)),
            Err(_) => return Err(child.obituary()),
        };
        self.child = Some(child);
        outcome
    }

    fn nonsense(&self, source: io::Error) -> CompileFailure {
        CompileFailure::Protocol { path: self.path.display().to_string(), source }
    }
}

impl Running {
    fn start(path: &Path) -> Result<Self, CompileFailure> {
        let name = || path.display().to_string();
        let mut child = Command::new(path)
            .arg(SERVER_ARG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| CompileFailure::Start { path: name(), source })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdin, Some(stdout), Some(stderr)) = pipes else {
            return Err(CompileFailure::Start { path: name(), source: io::ErrorKind::BrokenPipe.into() });
        };
        let diagnostics = Arc::default();
        let reader = Some(keep_diagnostics(stderr, Arc::clone(&diagnostics)));
        let mut running = Self { child: Some(child), stdin, stdout, diagnostics, reader };
        match protocol::read_response(&mut running.stdout) {
            Ok(Some(Response::Hello(version))) if version == VERSION => Ok(running),
            Ok(Some(Response::Hello(found))) => Err(CompileFailure::Version { path: name(), found }),
            Ok(Some(_)) => Err(CompileFailure::Protocol { path: name(), source: io::ErrorKind::InvalidData.into() }),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => {
                Err(CompileFailure::Protocol { path: name(), source })
            }
            Ok(None) | Err(_) => Err(running.obituary()),
        }
    }

    /// Sends a request and waits for its answer.
    fn converse(
        &mut self,
        request: &Request,
        input: &[u8],
        on_progress: &mut dyn FnMut(Progress),
        times: &mut Times,
    ) -> io::Result<Response> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        protocol::write_request(stdin, request, input)?;
        loop {
            match protocol::read_response(&mut self.stdout)?.ok_or(io::ErrorKind::UnexpectedEof)? {
                Response::Progress(progress) => on_progress(progress),
                Response::Times(told) => *times = told,
                response => return Ok(response),
            }
        }
    }

    /// Why the child is gone.
    fn obituary(mut self) -> CompileFailure {
        // Its input ends, so a child that is still alive (its streams closed by mistake) ends, too.
        self.stdin = None;
        let status = self.child.take().and_then(|mut child| child.wait().ok());
        let how = status.map_or_else(|| "is lost".into(), how_it_ended);
        if let Some(reader) = self.reader.take() {
            // A panic of that thread would only cost the diagnostics.
            let _ = reader.join();
        }
        let text = self.diagnostics.lock().unwrap_or_else(PoisonError::into_inner);
        let diagnostics = telling_line(&String::from_utf8_lossy(&text)).map(|line| format!(": {line}"));
        CompileFailure::Died { how, diagnostics: diagnostics.unwrap_or_default() }
    }
}

impl Drop for Running {
    /// Ends the child, which has nothing to lose, without waiting for it to notice. That the system takes its memory apart
    /// takes milliseconds, in which this process may end.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Each fails only if the child is gone already, or in want of memory.
        let _ = child.kill();
        let _ = thread::Builder::new().spawn(move || child.wait());
    }
}

fn beside_this_program() -> Option<PathBuf> {
    let path = env::current_exe().ok()?.with_file_name(COMPILER_NAME);
    is_program(&path).then_some(path)
}

/// A program by path if the name has a slash, else the first of that name on `PATH`.
fn search_path(name: &OsStr) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return is_program(path).then(|| path.to_owned());
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Reads what the child says until it ends; keeps the start of it.
fn keep_diagnostics(mut from: impl Read + Send + 'static, kept: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_DIAGNOSTICS_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&buffer[..read.min(room)]);
        }
    })
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => "is gone".into(),
    }
}

/// The line that tells most: LLVM's fatal errors are one among others.
fn telling_line(text: &str) -> Option<&str> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().find(|line| line.contains("LLVM ERROR") || line.contains("Assertion")).or_else(|| lines().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fatal_error_is_the_telling_line() {
        let text = "PLEASE submit a bug report\n\n  LLVM ERROR: no registers left\n #0 0x00\n";
        assert_eq!(telling_line(text), Some("LLVM ERROR: no registers left"));
        assert_eq!(telling_line("\n first \nsecond"), Some("first"));
        assert_eq!(telling_line("\n"), None);
    }
}
