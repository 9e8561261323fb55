//! The command `dolmen`: compiles WebAssembly modules ahead of time, runs them, and looks into them.
//!
//! There is no compiler in this program: it asks the child `dolmenc` (see [`dolmen_cli::protocol`]). On a machine
//! without one it still runs what was compiled elsewhere.
//!
//! Every failure is one line on standard error and status 1; a trap is status 134; a program's own exit status is
//! passed on. Nothing panics, whatever is on the command line and in the files.

#![forbid(unsafe_code)]

mod args;
mod cache;
mod compile;
mod compiler_process;
mod ending;
mod floats;
mod inspect;
mod load;
mod new_file;
mod output;
mod profile;
mod progress;
mod quit;
mod report;
mod run;
mod source;
mod stats;
mod timeout;
mod values;
mod vectors;
mod wast;

use args::Command;
use dolmen_cli::file_size;
use output::ReaderGone;
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    file_size::limit_is_an_error();
    let command_line = match args::parse(env::args_os()) {
        Ok(command_line) => command_line,
        Err(status) => return status,
    };
    let outcome = match &command_line.command {
        Command::Compile(args) => compile::compile(args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::inspect(args).map(|()| ExitCode::SUCCESS),
        Command::Profile(args) => profile::profile(args).map(|()| ExitCode::SUCCESS),
        Command::Run(args) => run::run(args),
        Command::Wast(args) => wast::wast(args),
    };
    match outcome {
        Ok(status) => status,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("error: {}", output::one_line(&error)));
            ExitCode::FAILURE
        }
    }
}
