//! Runs the call frame programs of `.eh_frame`: functions and the rows of each.
//!
//! What a row says is narrowed to what our compiled code can contain (System V ABI for x86-64): the canonical frame
//! address is stack or frame pointer plus a constant, the return address lies right below it, and the callee-saved
//! registers are either untouched or saved below it. While a large frame is being probed page by page, the canonical
//! frame address is relative to a register that every call overwrites: so there is no call, and nothing to say.

use super::UnwindError;
use super::lsda::{self, CallSite};
use crate::object::LinkedCode;
use dolmen_abi::artifact::{CFA_BASE_FP, CFA_BASE_SP, FrameDesc, PAGE_BYTES, SAVED_REGISTERS};
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian, Pointer, Register,
    RegisterRule, UnwindContext, UnwindSection, UnwindTableRow, X86_64,
};

/// Size of an address, in bytes.
const ADDRESS_BYTES: u8 = 8;

/// Where the return address lies, from the canonical frame address.
const RETURN_ADDRESS_OFFSET: i64 = -8;

/// Registers that a call overwrites.
const CALLER_SAVED: [Register; 9] =
    [X86_64::RAX, X86_64::RCX, X86_64::RDX, X86_64::RSI, X86_64::RDI, X86_64::R8, X86_64::R9, X86_64::R10, X86_64::R11];

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// What unwind information says of a function. Offsets are into the code section.
#[derive(Debug)]
pub(super) struct Function {
    pub start: u32,
    pub end: u32,
    /// Ascending, without gaps, from `start` to `end`.
    pub rows: Vec<Row>,
    /// Ascending, disjoint.
    pub call_sites: Vec<CallSite>,
}

/// Where a frame description holds.
#[derive(Debug)]
pub(super) struct Row {
    pub start: u32,
    pub end: u32,
    /// `None` where there can be no call.
    pub frame: Option<FrameDesc>,
}

/// All functions of the code, ascending; those without code are left out.
pub(super) fn functions(code: &LinkedCode) -> Result<Vec<Function>, UnwindError> {
    let mut functions = Vec::new();
    for piece in &code.frames.eh_frame_pieces {
        let mut eh_frame = EhFrame::new(&code.frames.eh_frame[piece.clone()], LittleEndian);
        eh_frame.set_address_size(ADDRESS_BYTES);
        let bases = BaseAddresses::default().set_eh_frame(code.frames.eh_frame_address + piece.start as u64);
        let mut context = UnwindContext::new();
        let mut entries = eh_frame.entries(&bases);
        while let Some(entry) = entries.next()? {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(EhFrame::cie_from_offset)?;
            if fde.len() > 0 {
                functions.push(function(code, &eh_frame, &bases, &mut context, &fde)?);
            }
        }
    }
    functions.sort_unstable_by_key(|f| f.start);
    match functions.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(UnwindError::MisplacedFunction { start: pair[1].start.into(), end: pair[1].end.into() }),
        None => Ok(functions),
    }
}

fn function(
    code: &LinkedCode,
    eh_frame: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
    fde: &FrameDescriptionEntry<Slice<'_>>,
) -> Result<Function, UnwindError> {
    let (start, end) = code_range(code, fde)?;
    let mut rows = Vec::new();
    let mut table = fde.rows(eh_frame, bases, context)?;
    while let Some(row) = table.next_row()? {
        let [row_start, row_end] = [row.start_address(), row.end_address()].map(|a| a.wrapping_sub(PAGE_BYTES));
        if row_end > u64::from(end) {
            return Err(UnwindError::MisplacedFunction { start: row_start, end: row_end });
        }
        // The function's offsets fit 32 bits.
        let [row_start, row_end] = [row_start, row_end].map(|o| o as u32);
        if row_start < row_end {
            rows.push(Row { start: row_start, end: row_end, frame: frame(row, row_start)? });
        }
    }
    let call_sites = match fde.lsda() {
        Some(Pointer::Direct(address)) => lsda::call_sites(&code.frames, address, start..end)?,
        Some(Pointer::Indirect(_)) => {
            return Err(UnwindError::UnsupportedCallSites { func: start, reason: "indirect pointer to it" });
        }
        None => Vec::new(),
    };
    Ok(Function { start, end, rows, call_sites })
}

fn code_range(code: &LinkedCode, fde: &FrameDescriptionEntry<Slice<'_>>) -> Result<(u32, u32), UnwindError> {
    let start = fde.initial_address().wrapping_sub(PAGE_BYTES);
    let end = start.saturating_add(fde.len());
    if end > code.text.len() as u64 {
        return Err(UnwindError::MisplacedFunction { start, end });
    }
    // The linker keeps code below 2 GiB.
    Ok((start as u32, end as u32))
}

/// The frame in a row at this offset, or `None` if there can be no call in it.
fn frame(row: &UnwindTableRow<usize>, offset: u32) -> Result<Option<FrameDesc>, UnwindError> {
    let unsupported = UnwindError::UnsupportedFrame { offset };
    let (cfa_base, cfa_offset) = match *row.cfa() {
        CfaRule::RegisterAndOffset { register: X86_64::RSP, offset } => (CFA_BASE_SP, offset),
        CfaRule::RegisterAndOffset { register: X86_64::RBP, offset } => (CFA_BASE_FP, offset),
        CfaRule::RegisterAndOffset { register, .. } if CALLER_SAVED.contains(&register) => return Ok(None),
        _ => return Err(unsupported),
    };
    let (Ok(cfa_offset), Ok(landing_pad_pop)) = (i32::try_from(cfa_offset), u32::try_from(row.saved_args_size()))
    else {
        return Err(unsupported);
    };
    let mut frame = FrameDesc { cfa_offset, cfa_base, landing_pad_pop, saved_below_cfa: Default::default() };
    for (register, rule) in row.registers() {
        save_register(&mut frame, *register, rule)
            .ok_or(UnwindError::UnsupportedRegister { register: register.0, offset })?;
    }
    Ok(Some(frame))
}

/// Notes where a register is saved; `None` if that cannot be expressed.
fn save_register(frame: &mut FrameDesc, register: Register, rule: &RegisterRule<usize>) -> Option<()> {
    match *rule {
        RegisterRule::Undefined | RegisterRule::SameValue => Some(()),
        RegisterRule::Offset(RETURN_ADDRESS_OFFSET) if register == X86_64::RA => Some(()),
        RegisterRule::Offset(offset) => {
            let saved = SAVED_REGISTERS.iter().position(|r| *r == register.0)?;
            let below = u32::try_from(offset.checked_neg()?).ok().filter(|b| *b > 0)?;
            frame.saved_below_cfa[saved] = below;
            Some(())
        }
        _ => None,
    }
}
