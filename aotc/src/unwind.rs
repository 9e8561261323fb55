//! Unwind tables: from what LLVM says about frames to what the runtime looks up.
//!
//! LLVM describes frames as DWARF does: a program per function that computes, row by row, how to restore the
//! caller's registers (`.eh_frame`), and a table per function of which calls unwind to which landing pad
//! (`.gcc_except_table`). To interpret those at each throw is slow. This module runs them once, when the artifact
//! is written, and leaves one sorted table: code offset → frame description and landing pad, in the format of
//! [`UnwindHeader`].
//!
//! ```text
//! .eh_frame         ─► frames::functions ─► rows of each function ─┐
//! .gcc_except_table ─► lsda::call_sites  ─► its landing pads ──────┴► Builder ─► UnwindTables ─► bytes
//! ```
//!
//! The tables speak of calls, and hold for other instructions that can fault. They do not speak of epilogues, which
//! can do neither: a range extends over those that follow it.
//!
//! Invariants: ranges are ascending, neighbours differ, and no frame description occurs twice. Gaps between
//! functions, stubs, and loops that probe a large frame have [`NO_FRAME`]. Every function has unwind information: a function without (LLVM's
//! `nounwind` without `uwtable`) is an error, because a trap in it could not be traced.
//!
//! The unwinder takes the stack pointer at a call to be the canonical frame address of the function that returned
//! to it. That is so as long as no wasm function takes arguments on the stack; see `docs/llvm-tail-calls.md`.

mod epilogue;
mod frames;
mod lsda;

use crate::object::{CodeSymbol, LinkedCode, SymbolKind};
use dolmen_abi::artifact::{
    CFA_BASE_SP, FrameDesc, NO_FRAME, NO_FUNC_INDEX, NO_LANDING_PAD, UnwindHeader, UnwindRange,
};
use frames::{Function, Row};
use lsda::CallSite;
use std::collections::HashMap;
use thiserror::Error;

/// Alignment of the stack pointer at calls.
const STACK_ALIGN_BYTES: i32 = 16;

/// The tables of the artifact's unwind section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnwindTables {
    /// Offset in the code of each function and stub, ascending.
    pub func_starts: Vec<u32>,
    /// The function index of each, or [`NO_FUNC_INDEX`].
    pub func_indices: Vec<u32>,
    /// Where each range starts, ascending.
    pub range_starts: Vec<u32>,
    pub ranges: Vec<UnwindRange>,
    pub frames: Vec<FrameDesc>,
    /// Size of the code in bytes.
    pub text_bytes: u32,
}

/// Why unwind information cannot be used. Offsets are into the code section.
#[derive(Debug, Error)]
pub enum UnwindError {
    #[error("malformed unwind information: {0}")]
    Malformed(#[from] gimli::Error),
    #[error("unwind information for {start:#x}..{end:#x} lies outside the code or overlaps other such information")]
    MisplacedFunction { start: u64, end: u64 },
    #[error("function `{symbol}` has no unwind information (it needs the attribute uwtable)")]
    NoUnwindInfo { symbol: String },
    #[error("frame at {offset:#x} is not relative to stack or frame pointer by a constant")]
    UnsupportedFrame { offset: u32 },
    #[error("register {register} (DWARF number) of the frame at {offset:#x} is not saved in the frame")]
    UnsupportedRegister { register: u16, offset: u32 },
    #[error("function at {func:#x} has a call-site table of unknown form: {reason}")]
    UnsupportedCallSites { func: u32, reason: &'static str },
    #[error("stack pointer at landing pad {landing_pad:#x} differs from that of every call that unwinds to it")]
    LandingPadStack { landing_pad: u32 },
}

impl UnwindTables {
    /// The tables for this code. `func_index` gives the function index of a function's symbol, or `None` if it is no
    /// function of the module.
    ///
    /// # Errors
    ///
    /// If the unwind information is malformed, is missing for a function, or says what the tables cannot express.
    pub fn build(code: &LinkedCode, func_index: impl Fn(&CodeSymbol) -> Option<u32>) -> Result<Self, UnwindError> {
        let functions = frames::functions(code)?;
        check_complete(&code.symbols, &functions)?;
        let mut builder = Builder::default();
        for function in &functions {
            builder.add(function, &code.text)?;
        }
        let mut tables = builder.tables;
        tables.text_bytes = code.text.len() as u32;
        tables.add_funcs(&code.symbols, func_index);
        Ok(tables)
    }

    /// The content of the unwind section.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = UnwindHeader {
            func_count: self.func_starts.len() as u32,
            range_count: self.ranges.len() as u32,
            frame_count: self.frames.len() as u32,
            text_bytes: self.text_bytes,
        };
        let header = [header.func_count, header.range_count, header.frame_count, header.text_bytes];
        let ranges = self.ranges.iter().flat_map(|r| [r.frame, r.landing_pad]);
        let frames = self.frames.iter().flat_map(|f| {
            [f.cfa_offset.cast_unsigned(), f.cfa_base, f.landing_pad_pop].into_iter().chain(f.saved_below_cfa)
        });
        let funcs = self.func_starts.iter().chain(&self.func_indices).copied();
        let words = header.into_iter().chain(funcs).chain(self.range_starts.iter().copied());
        words.chain(ranges).chain(frames).flat_map(u32::to_le_bytes).collect()
    }

    fn add_funcs(&mut self, symbols: &[CodeSymbol], func_index: impl Fn(&CodeSymbol) -> Option<u32>) {
        let mut funcs: Vec<_> =
            symbols.iter().map(|s| (s.offset, s.size_bytes == 0, func_index(s).unwrap_or(NO_FUNC_INDEX))).collect();
        // Where several names share an address (aliases; a function without code before another one), the first
        // in this order stands for it.
        funcs.sort_unstable();
        funcs.dedup_by_key(|f| f.0);
        self.func_starts = funcs.iter().map(|f| f.0).collect();
        self.func_indices = funcs.iter().map(|f| f.2).collect();
    }
}

/// What holds where no call returns to.
const NOWHERE: UnwindRange = UnwindRange { frame: NO_FRAME, landing_pad: NO_LANDING_PAD };

/// Collects ranges and frame descriptions, each once.
#[derive(Default)]
struct Builder {
    tables: UnwindTables,
    frame_indices: HashMap<FrameDesc, u32>,
}

impl Builder {
    fn add(&mut self, function: &Function, text: &[u8]) -> Result<(), UnwindError> {
        check_landing_pads(function)?;
        let mut sites = function.call_sites.iter().peekable();
        for row in &function.rows {
            let is_first = row.start == function.start;
            if !is_first && epilogue::takes_frame_down(&text[row.start as usize..row.end as usize]) {
                continue;
            }
            let mut at = row.start;
            while at < row.end {
                while sites.next_if(|s| s.end <= at).is_some() {}
                let (end, landing_pad) = match sites.peek() {
                    Some(site) if site.start <= at => (site.end, site.landing_pad),
                    Some(site) => (site.start, None),
                    None => (row.end, None),
                };
                self.push(at, row, landing_pad);
                at = end.min(row.end);
            }
        }
        self.push_range(function.end, NOWHERE);
        Ok(())
    }

    fn push(&mut self, start: u32, row: &Row, landing_pad: Option<u32>) {
        let Some(mut frame) = row.frame else { return self.push_range(start, NOWHERE) };
        if landing_pad.is_none() {
            frame.landing_pad_pop = 0;
        }
        let tables = &mut self.tables;
        let index = *self.frame_indices.entry(frame).or_insert_with(|| {
            tables.frames.push(frame);
            tables.frames.len() as u32 - 1
        });
        self.push_range(start, UnwindRange { frame: index, landing_pad: landing_pad.unwrap_or(NO_LANDING_PAD) });
    }

    fn push_range(&mut self, start: u32, range: UnwindRange) {
        let tables = &mut self.tables;
        if tables.range_starts.last() == Some(&start) {
            // The gap after the last function is empty.
            tables.range_starts.pop();
            tables.ranges.pop();
        }
        if tables.ranges.last() != Some(&range) {
            tables.range_starts.push(start);
            tables.ranges.push(range);
        }
    }
}

/// Every function with code must be described.
fn check_complete(symbols: &[CodeSymbol], functions: &[Function]) -> Result<(), UnwindError> {
    let described = |s: &CodeSymbol| functions.binary_search_by_key(&s.offset, |f| f.start).is_ok();
    match symbols.iter().find(|s| s.kind != SymbolKind::Stub && s.size_bytes > 0 && !described(s)) {
        Some(symbol) => Err(UnwindError::NoUnwindInfo { symbol: symbol.name.clone() }),
        None => Ok(()),
    }
}

/// What the tables say of the stack pointer at a landing pad (that of the call plus `landing_pad_pop`) must be what
/// the landing pad's own row says.
///
/// Rows of a call-site range that hold no call, between two pushes of arguments, may differ; but one must agree. A
/// row that says that the stack is not aligned is of code that nothing reaches: LLVM's code generator finds out only
/// late that a branch is never taken, and gives what is behind it the row of a function's first instruction. If the
/// landing pad itself has such a row, no call that is executed unwinds to it.
fn check_landing_pads(function: &Function) -> Result<(), UnwindError> {
    for CallSite { start, end, landing_pad } in &function.call_sites {
        let Some(landing_pad) = *landing_pad else { continue };
        let row_at = |offset| function.rows.partition_point(|r| r.end <= offset);
        let pad = function.rows.get(row_at(landing_pad)).and_then(|r| r.frame);
        let pad = pad
            .ok_or(UnwindError::UnsupportedCallSites { func: function.start, reason: "a landing pad has no frame" })?;
        let agrees = |call: &FrameDesc| {
            let by_sp = pad.cfa_base == CFA_BASE_SP && call.cfa_base == CFA_BASE_SP;
            !by_sp || i64::from(call.cfa_offset) - i64::from(call.landing_pad_pop) == i64::from(pad.cfa_offset)
        };
        let aligned = |row: &&FrameDesc| row.cfa_base != CFA_BASE_SP || row.cfa_offset % STACK_ALIGN_BYTES == 0;
        if !aligned(&&pad) {
            continue;
        }
        let rows = function.rows[row_at(*start)..].iter().take_while(|r| r.start < *end);
        let mut calls = rows.filter_map(|row| row.frame.as_ref()).filter(aligned).peekable();
        if calls.peek().is_some() && !calls.any(agrees) {
            return Err(UnwindError::LandingPadStack { landing_pad });
        }
    }
    Ok(())
}
