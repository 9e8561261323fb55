//! Profiles: written by `dolmen run`, shown by `dolmen profile`.

use crate::args::{ProfileArgs, ProfileCommand, RunArgs};
use crate::new_file;
use crate::output;
use anyhow::{Context, Result, bail};
use dolmen::{Module, Profile, Store};
use std::cmp::Reverse;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// Functions and calls that are shown.
const SHOWN: usize = 20;

/// The extension of profiles.
const EXTENSION: &str = "dolmenprof";

/// Adds what a run has counted to the file of earlier runs, or makes it.
///
/// # Errors
///
/// When the code does not count, or the file cannot be read or written or belongs to another module.
pub fn write<T>(args: &RunArgs, store: &Store<T>, module: &Module) -> Result<()> {
    if !module.counts() {
        bail!("{} does not count: compile it with --profile-generate", args.file.display());
    }
    let file = args.profile_out.clone().unwrap_or_else(|| args.file.with_extension(EXTENSION));
    let counted = store.profiles().into_iter().find(|profile| profile.source_hash == *module.source_hash());
    // Without an instance nothing was counted.
    let Some(mut profile) = counted else { return Ok(()) };
    match fs::read(&file) {
        Ok(bytes) => {
            let earlier = Profile::from_bytes(&bytes).with_context(|| format!("cannot add to {}", file.display()))?;
            profile.merge(&earlier).with_context(|| format!("cannot add to {}", file.display()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    new_file::write(&file, &profile.to_bytes()?).with_context(|| format!("cannot write {}", file.display()))
}

/// `dolmen profile`.
///
/// # Errors
///
/// When the file is no profile.
pub fn profile(args: &ProfileArgs) -> Result<()> {
    let ProfileCommand::Show { file } = &args.command;
    let profile = read(file)?;
    output::write(show(&profile)?.as_bytes())
}

fn read(file: &Path) -> Result<Profile> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Profile::from_bytes(&bytes).with_context(|| format!("cannot read {}", file.display()))
}

fn show(profile: &Profile) -> Result<String> {
    let mut text = String::new();
    let mut funcs: Vec<(u32, u64)> = (profile.imported_funcs..).zip(profile.funcs.iter().copied()).collect();
    funcs.sort_by_key(|&(func, count)| (Reverse(count), func));
    let entered = funcs.iter().filter(|func| func.1 != 0).count();
    writeln!(text, "{entered} of {} functions were entered, most often:", funcs.len())?;
    for &(func, count) in funcs.iter().filter(|func| func.1 != 0).take(SHOWN) {
        writeln!(text, "{count:>15} {}", name(profile, func))?;
    }
    let mut calls: Vec<_> = profile.calls.iter().filter(|call| call.total() != 0).collect();
    calls.sort_by_key(|call| (Reverse(call.total()), call.site));
    writeln!(text, "{} of {} calls through references were made, most often:", calls.len(), profile.calls.len())?;
    for call in calls.iter().take(SHOWN) {
        let total = call.total();
        writeln!(text, "{total:>15} {} at {:#x}", name(profile, call.site.func), call.site.offset)?;
        let share = |count: u64| 100.0 * count as f64 / total as f64;
        for &(func, count) in &call.targets {
            writeln!(text, "{:>21.1} % {}", share(count), name(profile, func))?;
        }
        if call.others != 0 {
            writeln!(text, "{:>21.1} % others", share(call.others))?;
        }
    }
    Ok(text)
}

fn name(profile: &Profile, func: u32) -> String {
    match profile.names.binary_search_by_key(&func, |&(index, _)| index) {
        Ok(place) => profile.names[place].1.escape_debug().to_string(),
        Err(_) => format!("function {func}"),
    }
}
