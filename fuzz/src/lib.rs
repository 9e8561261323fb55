//! Differential testing: random modules, run in several ways that must agree.
//!
//! A conformance suite asks what its authors thought of. This package asks what nobody thought of: it generates
//! valid modules, calls their functions, and compares results, traps and the state left behind, between setups of
//! Dolmen (optimisation levels, collectors, GC stress, profiles, caches) and with V8 if there is a `node`.
//!
//! | module | holds |
//! |---|---|
//! | [`generate`] | the module of a seed |
//! | [`programs`] | the same, of shapes that real programs have |
//! | [`probes`] | functions added to it, through which an engine is asked |
//! | [`outcome`] | what an engine said, and how two of them compare |
//! | [`setups`] | ways to compile and run a module |
//! | [`artifacts`] | what setups make of a module |
//! | [`dolmen`](mod@dolmen), [`v8`] | the engines |
//! | [`server`] | an engine in a process of its own |
//! | [`campaign`] | many seeds, in child processes |
//!
//! `corpus/` has the modules on which engines once differed or that were refused, each with the record that is right:
//! `NAME.wasm` and `NAME.txt`.

#![forbid(unsafe_code)]

pub mod artifacts;
pub mod campaign;
pub mod dolmen;
pub mod generate;
pub mod outcome;
pub mod probes;
pub mod programs;
pub mod server;
pub mod setups;
pub mod v8;
