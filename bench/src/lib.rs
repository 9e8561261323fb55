//! Times Dolmen and its peers on the workloads: `cargo xtask bench`.
//!
//! A machine's speed changes from minute to minute, so engines take turns process by process and are compared only
//! within one run. Each *turn* is two processes: one that makes a single call, as a command does (its whole time,
//! processor time, peak memory, first call), and one that goes on calling, as a server does (steady state). Every
//! result is compared with the known one: a fast wrong answer is a failure. A file of results can be continued, so a
//! long comparison can be cut into slices.
//!
//! | module | what |
//! |---|---|
//! | [`options`] | the command line |
//! | [`programs`] | what is run, with arguments and known results |
//! | [`engines`] | who runs it: one file per engine |
//! | [`process`] | a child process and what it cost |
//! | [`memory`] | every process finds memory in the same state |
//! | [`measure`] | who is when |
//! | [`results`] | every single figure, kept as JSON |
//! | [`statistics`], [`summary`] | medians and spreads of them |
//! | [`text`], [`page`], [`chart`] | shown as Markdown and as a page with charts |
//! | [`heap_curve`] | time by size of the heap |
//! | [`compare`] | against an earlier file of results |
//! | [`instructions`] | counts of instructions: a second figure, without noise |

#![forbid(unsafe_code)]

pub mod chart;
pub mod compare;
pub mod engines;
pub mod heap_curve;
pub mod instructions;
pub mod measure;
pub mod memory;
pub mod options;
pub mod page;
pub mod process;
pub mod programs;
pub mod results;
pub mod statistics;
pub mod summary;
pub mod text;
