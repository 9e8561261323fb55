//! The compiler process of `dolmen`: the one program that links LLVM.
//!
//! It compiles what comes in on standard input as [`dolmen_cli::protocol`] says, until that ends; it is no
//! command for people. Two things end it early: LLVM's fatal errors, which abort the process after a line on
//! standard error, and the end of its parent, who might have been interrupted in the middle of a long
//! compilation. A panic is a bug of the compiler and becomes the answer to its request.

#![forbid(unsafe_code)]

mod parts;
mod server;
mod text;

use dolmen_cli::file_size;
use dolmen_cli::protocol::{SERVER_ARG, VERSION};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    file_size::limit_is_an_error();
    let args: Vec<_> = env::args_os().skip(1).collect();
    let outcome = match args.as_slice() {
        [arg] if arg == SERVER_ARG => {
            // Where that is not possible, it ends when it has an answer that nobody wants.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            server::serve(&mut io::stdin().lock(), io::stdout())
        }
        [arg] if arg == "--version" || arg == "-V" => writeln!(io::stdout(), "dolmenc {VERSION}"),
        _ => Err(io::Error::other("dolmenc is started by dolmen: use `dolmen compile`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, too, the status has to do.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
