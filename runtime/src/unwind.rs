//! Finding the callers of compiled code: for exceptions, which look for a landing pad, and for backtraces.
//!
//! Unwinders of the platform read DWARF programs, take locks and walk the stack twice: microseconds for each
//! frame. An artifact holds the answers instead of the programs ([`dolmen_abi::artifact::UnwindHeader`]): for
//! each call site its landing pad, how far its frame's caller is, and where the frame saved which registers.
//! One pass suffices, because the landing pads of compiled code look at the exception themselves and throw it
//! again if it is not theirs. It allocates nothing and takes no lock; a small cache of call sites
//! ([`SiteCache`]) spares the binary search where a program throws often.
//!
//! Invariants:
//! - Facts are promised *at calls*; code stopped elsewhere, by a fault, is traced as well as tables and stack allow
//!   ([`CodeMap::fault_caller`]).
//! - A walk reads only inside the native stack and moves towards its end, so it ends whatever the tables say.
//! - A walk ends at the first address outside all code: the Rust function that entered it.

use dolmen_abi::artifact::{
    CFA_BASE_FP, FrameDesc, NO_FRAME, NO_FUNC_INDEX, NO_LANDING_PAD, SAVED_REGISTERS, UnwindHeader, UnwindRange,
};
use std::ops::Range;

/// A callee-saved register, numbered as in [`SAVED_REGISTERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SavedRegister {
    Rbx,
    Rbp,
    R12,
    R13,
    R14,
    R15,
}

/// What a frame's caller needs to go on.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Registers {
    /// By [`SavedRegister`].
    pub(crate) saved: [u64; SAVED_REGISTERS.len()],
    /// Stack pointer: before the call while `pc` is a return address.
    pub(crate) sp: u64,
    /// Return address, or the address of an instruction.
    pub(crate) pc: u64,
}

/// The unwind section of an artifact, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnwindTables<'a> {
    text_bytes: u32,
    func_starts: &'a [u32],
    func_indices: &'a [u32],
    range_starts: &'a [u32],
    ranges: &'a [UnwindRange],
    frames: &'a [FrameDesc],
}

/// What is wrong with an unwind section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnwindError {
    #[error("unwind section of {found} bytes is not the {expected} bytes of its tables")]
    Size { expected: u64, found: u64 },
    #[error("unwind section is not aligned to 4 bytes")]
    Alignment,
    #[error("unwind section describes {described} bytes of code, but there are {found}")]
    TextSize { described: u32, found: u64 },
    #[error("unwind section has addresses out of order")]
    Order,
    #[error("unwind section names frame {frame} of {count}")]
    Frame { frame: u32, count: u32 },
    #[error("unwind section names a landing pad at {offset:#x} outside the code")]
    LandingPad { offset: u32 },
    #[error("unwind section has an invalid frame description")]
    FrameDesc,
}

/// The facts of a call site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    frame: &'a FrameDesc,
    /// Address of the landing pad, or 0.
    landing_pad: u64,
}

/// Loaded code with its tables.
#[derive(Clone, Debug)]
pub(crate) struct LoadedCode<M> {
    text: Range<u64>,
    tables: UnwindTables<'static>,
    module: Option<M>,
}

/// All code that a store can run, by address. `M` tells whose it is, if it is of a module, and keeps it mapped.
#[derive(Clone, Debug)]
pub(crate) struct CodeMap<M> {
    /// Ascending and disjoint.
    codes: Vec<LoadedCode<M>>,
}

/// Facts of call sites that were looked up lately, for one [`CodeMap`] whose code is never unloaded.
#[derive(Debug)]
pub(crate) struct SiteCache {
    entries: Box<[Option<(u64, Site<'static>)>; SITE_CACHE_ENTRIES]>,
}

/// Entries of a [`SiteCache`], a power of two.
const SITE_CACHE_ENTRIES: usize = 256;

/// Words above the stack pointer of a fault among which its return address is looked for.
const FAULT_SCAN_WORDS: u64 = 1 << 14;

/// Greatest distance between a frame's registers' places and its CFA that is believed.
const MAX_SAVED_DISTANCE_BYTES: u32 = 1 << 20;

impl<'a> UnwindTables<'a> {
    /// Reads the unwind section of code of `text_bytes` bytes.
    ///
    /// # Errors
    ///
    /// The first broken rule of the format.
    pub(crate) fn parse(section: &'a [u8], text_bytes: u64) -> Result<Self, UnwindError> {
        // SAFETY: any four bytes are a `u32`.
        let (before, words, _) = unsafe { section.align_to::<u32>() };
        if !before.is_empty() {
            return Err(UnwindError::Alignment);
        }
        let found = section.len() as u64;
        let header_words = size_of::<UnwindHeader>() / 4;
        let &[func_count, range_count, frame_count, described] =
            words.first_chunk().ok_or(UnwindError::Size { expected: size_of::<UnwindHeader>() as u64, found })?;
        let (funcs, ranges, frames) = (u64::from(func_count), u64::from(range_count), u64::from(frame_count));
        let range_words = (size_of::<UnwindRange>() / 4) as u64;
        let frame_words = (size_of::<FrameDesc>() / 4) as u64;
        let expected = (header_words as u64 + 2 * funcs + (1 + range_words) * ranges + frame_words * frames) * 4;
        if expected != found {
            return Err(UnwindError::Size { expected, found });
        }
        let mut rest = &words[header_words..];
        let mut take = |count: u64| rest.split_off(..count as usize).unwrap_or_default();
        let func_starts = take(funcs);
        let func_indices = take(funcs);
        let range_starts = take(ranges);
        let range_table = take(range_words * ranges);
        let frame_table = take(frame_words * frames);
        // SAFETY: both structs are made of 32-bit words without padding, of which any values are valid.
        let (ranges, frames) =
            unsafe { (range_table.align_to::<UnwindRange>().1, frame_table.align_to::<FrameDesc>().1) };
        let tables = Self { text_bytes: described, func_starts, func_indices, range_starts, ranges, frames };
        tables.check(text_bytes)?;
        Ok(tables)
    }

    fn check(&self, text_bytes: u64) -> Result<(), UnwindError> {
        if u64::from(self.text_bytes) > text_bytes {
            return Err(UnwindError::TextSize { described: self.text_bytes, found: text_bytes });
        }
        let in_order = |starts: &[u32]| {
            starts.is_sorted_by(|a, b| a < b) && starts.last().is_none_or(|&last| u64::from(last) <= text_bytes)
        };
        if !in_order(self.func_starts) || !in_order(self.range_starts) {
            return Err(UnwindError::Order);
        }
        let count = self.frames.len() as u32;
        for range in self.ranges {
            if range.frame != NO_FRAME && range.frame >= count {
                return Err(UnwindError::Frame { frame: range.frame, count });
            }
            if range.landing_pad != NO_LANDING_PAD && u64::from(range.landing_pad) >= text_bytes {
                return Err(UnwindError::LandingPad { offset: range.landing_pad });
            }
        }
        let valid = |frame: &FrameDesc| {
            frame.cfa_base <= CFA_BASE_FP && frame.saved_below_cfa.iter().all(|&d| d <= MAX_SAVED_DISTANCE_BYTES)
        };
        self.frames.iter().all(valid).then_some(()).ok_or(UnwindError::FrameDesc)
    }

    /// The facts for the return address at this offset.
    fn range(&self, return_offset: u32) -> Option<UnwindRange> {
        let index = self.range_starts.partition_point(|&start| start < return_offset).checked_sub(1)?;
        self.ranges.get(index).copied().filter(|r| r.frame != NO_FRAME)
    }

    /// Index of the function that the instruction at this offset belongs to, unless it is a trampoline's.
    pub(crate) fn function_at(&self, offset: u32) -> Option<u32> {
        let index = self.func_starts.partition_point(|&start| start <= offset).checked_sub(1)?;
        self.func_indices.get(index).copied().filter(|&f| f != NO_FUNC_INDEX)
    }
}

impl<M> Default for CodeMap<M> {
    fn default() -> Self {
        Self { codes: Vec::new() }
    }
}

impl<M> CodeMap<M> {
    /// Adds code at `text`; does nothing if it is there already.
    ///
    /// # Safety
    ///
    /// Code and tables must stay mapped and unchanged as long as this map and every [`SiteCache`] used with it
    /// exist; `module` may be what keeps them so.
    pub(crate) unsafe fn insert(&mut self, text: Range<u64>, tables: UnwindTables<'_>, module: impl Into<Option<M>>) {
        let index = self.codes.partition_point(|c| c.text.start < text.start);
        if self.codes.get(index).is_some_and(|c| c.text.start == text.start) {
            return;
        }
        // SAFETY: the caller keeps the tables alive as long as anything that can reach them.
        let tables = unsafe { std::mem::transmute::<UnwindTables<'_>, UnwindTables<'static>>(tables) };
        self.codes.insert(index, LoadedCode { text, tables, module: module.into() });
    }

    /// The code that the instruction at `pc` belongs to.
    fn find(&self, pc: u64) -> Option<&LoadedCode<M>> {
        let index = self.codes.partition_point(|c| c.text.start <= pc).checked_sub(1)?;
        self.codes.get(index).filter(|c| c.text.contains(&pc))
    }

    /// Whose code the instruction at `pc` is, its offset in the code section, and the function's index, unless
    /// it is a trampoline's.
    pub(crate) fn function_at(&self, pc: u64) -> Option<(Option<&M>, u32, u32)> {
        let code = self.find(pc)?;
        let offset = (pc - code.text.start) as u32;
        Some((code.module.as_ref(), offset, code.tables.function_at(offset)?))
    }

    /// The facts of the call that returns to `pc`.
    fn site(&self, pc: u64) -> Option<Site<'static>> {
        // A call can be the last instruction of its code: the address before the return address decides.
        let code = self.find(pc.wrapping_sub(1))?;
        let range = code.tables.range((pc - code.text.start) as u32)?;
        let landing_pad =
            if range.landing_pad == NO_LANDING_PAD { 0 } else { code.text.start + u64::from(range.landing_pad) };
        let frame = code.tables.frames.get(range.frame as usize)?;
        Some(Site { frame, landing_pad })
    }

    /// Where the frame was called that a fault stopped at `registers`: the caller's registers, as far as known, or
    /// `None` if nothing on the stack looks like it.
    ///
    /// The compiler's tables also hold between calls, so for most instructions they say everything. They do not
    /// for a prologue that probes a large frame, or for a C function: its return address is the first word
    /// above the stack pointer that is one of compiled code. Old ones can mislead, but where a stack runs out,
    /// there is memory that nothing was written to before.
    ///
    /// # Safety
    ///
    /// `stack` must be readable, and nobody may write to it meanwhile.
    pub(crate) unsafe fn fault_caller(&self, registers: &Registers, stack: &Range<u64>) -> Option<Registers> {
        // The facts of the instruction are those of a return address inside it.
        if let Some(site) = self.site(registers.pc.wrapping_add(1)) {
            let mut caller = *registers;
            // SAFETY: as the caller of this function promises.
            return unsafe { step(&mut caller, site.frame, stack) }.then_some(caller);
        }
        let first = registers.sp.checked_next_multiple_of(8)?.max(stack.start);
        let last = first.saturating_add(8 * FAULT_SCAN_WORDS).min(stack.end);
        (first..last).step_by(8).find_map(|address| {
            // SAFETY: the word lies inside the stack.
            let pc = unsafe { read(address) };
            self.site(pc).map(|_| Registers { pc, sp: address + 8, ..*registers })
        })
    }
}

impl SiteCache {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        Self { entries: Box::new([None; SITE_CACHE_ENTRIES]) }
    }

    /// [`CodeMap::site`], remembered.
    fn site<M>(&mut self, map: &CodeMap<M>, pc: u64) -> Option<Site<'static>> {
        let entry = &mut self.entries[(pc ^ (pc >> 8)) as usize % SITE_CACHE_ENTRIES];
        match entry {
            Some((cached, site)) if *cached == pc => Some(*site),
            _ => {
                let site = map.site(pc)?;
                *entry = Some((pc, site));
                Some(site)
            }
        }
    }
}

/// Turns the registers of a throwing call into those of the innermost landing pad around it. Returns `false`
/// if there is none up to the end of compiled code; the registers are then those of the caller of that code.
///
/// # Safety
///
/// `registers` must be those of a call in code of `map`, with `stack` the stack that it runs on; `cache` must
/// have served no other map.
pub(crate) unsafe fn find_landing_pad<M>(
    map: &CodeMap<M>,
    cache: &mut SiteCache,
    registers: &mut Registers,
    stack: &Range<u64>,
) -> bool {
    while let Some(site) = cache.site(map, registers.pc) {
        if site.landing_pad != 0 {
            registers.pc = site.landing_pad;
            registers.sp += u64::from(site.frame.landing_pad_pop);
            return true;
        }
        // SAFETY: as the caller of this function promises.
        if !unsafe { step(registers, site.frame, stack) } {
            return false;
        }
    }
    false
}

/// Calls `visit` with the return address of each frame from the call at `registers` on, until it returns
/// `false` or compiled code ends.
///
/// # Safety
///
/// As for [`find_landing_pad`].
pub(crate) unsafe fn walk<M>(
    map: &CodeMap<M>,
    mut registers: Registers,
    stack: &Range<u64>,
    visit: &mut dyn FnMut(u64) -> bool,
) {
    while let Some(site) = map.site(registers.pc) {
        // SAFETY: as the caller of this function promises.
        if !visit(registers.pc) || !unsafe { step(&mut registers, site.frame, stack) } {
            return;
        }
    }
}

/// Turns the registers of a call into those of the call that made its frame. Returns `false` and changes
/// nothing if that would leave the stack or not move along it.
///
/// # Safety
///
/// `stack` must be readable, and nobody may write to it meanwhile.
unsafe fn step(registers: &mut Registers, frame: &FrameDesc, stack: &Range<u64>) -> bool {
    let base = match frame.cfa_base {
        CFA_BASE_FP => registers.saved[SavedRegister::Rbp as usize],
        _ => registers.sp,
    };
    let cfa = base.wrapping_add_signed(i64::from(frame.cfa_offset));
    if cfa <= registers.sp || cfa > stack.end || cfa < stack.start + 8 || !cfa.is_multiple_of(8) {
        return false;
    }
    let depth = cfa - stack.start;
    for (value, &distance) in registers.saved.iter_mut().zip(&frame.saved_below_cfa) {
        let distance = u64::from(distance);
        if distance >= 8 && distance <= depth {
            // SAFETY: 8 bytes at a distance of at least 8 below the CFA, which lies inside the stack.
            *value = unsafe { read(cfa - distance) };
        }
    }
    // SAFETY: the 8 bytes below the CFA lie inside the stack.
    registers.pc = unsafe { read(cfa - 8) };
    registers.sp = cfa;
    true
}

/// The word at an address.
///
/// # Safety
///
/// The 8 bytes must be readable, and nobody may write to them meanwhile.
unsafe fn read(address: u64) -> u64 {
    // SAFETY: as the caller promises; the alignment does not matter.
    unsafe { (address as *const u64).read_unaligned() }
}

#[cfg(test)]
pub(crate) mod tests;
