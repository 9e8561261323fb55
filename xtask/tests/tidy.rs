//! The tree keeps the rules of style that a machine can check.

use std::fs::read_to_string;
use std::path::Path;
use xtask::command::workspace_root;
use xtask::tidy::{check_links, check_source, files};

/// Crates that do without `unsafe` altogether.
const SAFE_CRATES: &[&str] = &["abi", "bench", "cli", "spec-tests", "ts-workloads", "xtask"];

/// Crates that open single modules to `unsafe`.
const GUARDED_CRATES: &[&str] = &["aotc", "gc-heap", "gc_export", "runtime"];

fn text_of(path: &str) -> String {
    read_to_string(workspace_root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn sources_are_tidy() {
    let root = workspace_root();
    let sources = files(root, &["rs"]).unwrap();
    assert!(sources.len() > 20, "the walk found only {} sources", sources.len());
    let complaints: Vec<String> =
        sources.iter().flat_map(|path| check_source(path, &text_of(&path.to_string_lossy()))).collect();
    assert_none(&complaints);
}

#[test]
fn documents_link_to_files_that_exist() {
    let root = workspace_root();
    let documents = files(root, &["md"]).unwrap();
    assert!(documents.iter().any(|path| path == Path::new("README.md")), "there is no README.md");
    let complaints: Vec<String> =
        documents.iter().flat_map(|path| check_links(root, path, &text_of(&path.to_string_lossy()))).collect();
    assert_none(&complaints);
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = text_of("README.md");
    for command in ["cargo xtask run", "cargo xtask test"] {
        assert!(readme.contains(command), "README.md does not mention `{command}`");
    }
}

#[test]
fn the_architecture_fits_on_a_few_pages() {
    let lines = text_of("ARCHITECTURE.md").lines().count();
    assert!((40..=200).contains(&lines), "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn the_changelog_has_a_place_for_changes() {
    assert!(text_of("CHANGELOG.md").contains("\n## Unreleased\n"));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in SAFE_CRATES.iter().chain(GUARDED_CRATES) {
        let manifest = text_of(&format!("{package}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package} does not take the workspace lints");
    }
}

#[test]
fn every_crate_closes_itself_to_unsafe_code() {
    for package in SAFE_CRATES {
        let text = text_of(&format!("{package}/src/lib.rs"));
        assert!(text.contains("#![forbid(unsafe_code)]"), "{package} does not forbid unsafe code");
    }
    for package in GUARDED_CRATES {
        let text = text_of(&format!("{package}/src/lib.rs"));
        let closed = text.contains("#![deny(unsafe_code)]") || text.contains("#![forbid(unsafe_code)]");
        assert!(closed, "{package} does not deny unsafe code");
    }
}
