//! Tables made by hand, over stacks made by hand.

use super::*;
use dolmen_abi::artifact::CFA_BASE_SP;

/// Writes an unwind section as the compiler does.
pub(crate) struct TableBuilder {
    text_bytes: u32,
    functions: Vec<(u32, u32)>,
    ranges: Vec<(u32, UnwindRange)>,
    frames: Vec<FrameDesc>,
}

impl TableBuilder {
    pub(crate) fn new(text_bytes: u32) -> Self {
        Self { text_bytes, functions: Vec::new(), ranges: Vec::new(), frames: Vec::new() }
    }

    /// A function that starts at this offset; offsets ascend.
    pub(crate) fn function(&mut self, start: u32, index: u32) {
        self.functions.push((start, index));
    }

    /// A call that returns to this offset; offsets ascend.
    pub(crate) fn site(&mut self, return_offset: u32, frame: FrameDesc, landing_pad: Option<u32>) {
        let range = UnwindRange { frame: self.frames.len() as u32, landing_pad: landing_pad.unwrap_or(NO_LANDING_PAD) };
        self.frames.push(frame);
        self.ranges.push((return_offset - 1, range));
        self.ranges.push((return_offset, UnwindRange { frame: NO_FRAME, landing_pad: NO_LANDING_PAD }));
    }

    pub(crate) fn finish(self) -> Vec<u32> {
        let counts = [self.functions.len(), self.ranges.len(), self.frames.len()].map(|n| n as u32);
        let mut words = [&counts[..], &[self.text_bytes]].concat();
        words.extend(self.functions.iter().map(|f| f.0));
        words.extend(self.functions.iter().map(|f| f.1));
        words.extend(self.ranges.iter().map(|r| r.0));
        words.extend(self.ranges.iter().flat_map(|r| [r.1.frame, r.1.landing_pad]));
        for frame in &self.frames {
            words.extend([frame.cfa_offset.cast_unsigned(), frame.cfa_base, frame.landing_pad_pop]);
            words.extend(frame.saved_below_cfa);
        }
        words
    }
}

/// The bytes of words.
pub(crate) fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: words are bytes.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

const TEXT_BYTES: u32 = 0x100;

/// A frame of 32 bytes that saves `r12` and `rbp`.
const FRAME: FrameDesc =
    FrameDesc { cfa_offset: 32, cfa_base: CFA_BASE_SP, landing_pad_pop: 0, saved_below_cfa: [0, 16, 24, 0, 0, 0] };

/// Functions 7 and 9 and a trampoline; calls that return to 0x20, 0x50 (landing pad 0x60) and 0x100.
fn example() -> Vec<u32> {
    let mut tables = TableBuilder::new(TEXT_BYTES);
    tables.function(0x10, 7);
    tables.function(0x40, 9);
    tables.function(0x80, NO_FUNC_INDEX);
    tables.site(0x20, FRAME, None);
    tables.site(0x50, FrameDesc { landing_pad_pop: 8, ..FRAME }, Some(0x60));
    tables.site(0x100, FrameDesc { cfa_base: CFA_BASE_FP, cfa_offset: 16, ..FRAME }, None);
    tables.finish()
}

fn parse(words: &[u32]) -> Result<UnwindTables<'_>, UnwindError> {
    UnwindTables::parse(bytes(words), u64::from(TEXT_BYTES))
}

/// Code at an address where nothing is executed.
const TEXT: u64 = 0x10_0000;

fn example_map() -> CodeMap<&'static str> {
    let words = Box::leak(example().into_boxed_slice());
    let mut map = CodeMap::default();
    // SAFETY: the tables live forever, and no code is read at faults.
    unsafe { map.insert(TEXT..TEXT + u64::from(TEXT_BYTES), parse(words).expect("tables"), "example") };
    map
}

/// The addresses of a stack.
fn span(stack: &[u64]) -> Range<u64> {
    let range = stack.as_ptr_range();
    range.start as u64..range.end as u64
}

#[test]
fn facts_hold_for_return_addresses() {
    let map = example_map();
    assert_eq!(map.site(TEXT + 0x20).map(|s| s.landing_pad), Some(0));
    assert_eq!(map.site(TEXT + 0x50).map(|s| s.landing_pad), Some(TEXT + 0x60));
    assert!(map.site(TEXT + 0x1f).is_none() && map.site(TEXT + 0x21).is_none());
    // A call may be the last instruction.
    assert!(map.site(TEXT + 0x100).is_some() && map.site(TEXT).is_none() && map.site(TEXT + 0x101).is_none());
    assert!(map.site(0).is_none() && map.site(u64::MAX).is_none());
}

#[test]
fn functions_are_found_by_address() {
    let map = example_map();
    assert_eq!(map.function_at(TEXT + 0x10), Some((Some(&"example"), 0x10, 7)));
    assert_eq!(map.function_at(TEXT + 0x7f), Some((Some(&"example"), 0x7f, 9)));
    assert_eq!(map.function_at(TEXT + 0xf), None);
    assert_eq!(map.function_at(TEXT + 0x80), None);
    assert_eq!(map.function_at(TEXT + 0x100), None);
}

#[test]
fn code_is_found_among_several_modules() {
    let words = example();
    let words = Box::leak(words.into_boxed_slice());
    let mut map = CodeMap::default();
    for start in [0x30_0000_u64, 0x10_0000, 0x20_0000, 0x10_0000] {
        // SAFETY: the tables live forever.
        unsafe { map.insert(start..start + 0x100, parse(words).expect("tables"), start) };
    }
    assert_eq!(map.codes.len(), 3);
    for start in [0x10_0000, 0x20_0000, 0x30_0000] {
        assert_eq!(map.function_at(start + 0x10).and_then(|f| f.0.copied()), Some(start));
        assert!(map.function_at(start + 0x100).is_none());
    }
}

#[test]
fn landing_pad_is_found_two_frames_up() {
    let map = example_map();
    let mut cache = SiteCache::new();
    // rsp, 8, saved r12, saved rbp, return address | the caller's frame.
    let mut stack = [0_u64; 16];
    stack[..5].copy_from_slice(&[0, 12, 5, TEXT + 0x50, 0]);
    for _ in 0..2 {
        let sp = span(&stack).start;
        let mut registers = Registers { saved: [1, 2, 3, 4, 5, 6], sp, pc: TEXT + 0x20 };
        // SAFETY: the stack is as the tables say.
        assert!(unsafe { find_landing_pad(&map, &mut cache, &mut registers, &span(&stack)) });
        assert_eq!(registers.pc, TEXT + 0x60);
        assert_eq!(registers.sp, sp + 32 + 8);
        assert_eq!(registers.saved, [1, 5, 12, 4, 5, 6]);
    }
}

#[test]
fn walk_uses_the_frame_pointer_and_ends_outside_code() {
    let map = example_map();
    let mut stack = [0_u64; 16];
    let start = span(&stack).start;
    // A call that returns to 0x100 with its CFA at rbp + 16, in a caller that returns to 0x20, in the host.
    stack[5] = TEXT + 0x20;
    stack[9] = 0xdead_0000;
    let mut registers = Registers { sp: start, pc: TEXT + 0x100, ..Registers::default() };
    registers.saved[SavedRegister::Rbp as usize] = start + 32;
    let mut seen = Vec::new();
    let mut visit = |pc| {
        seen.push(pc - TEXT);
        true
    };
    // SAFETY: the stack is readable.
    unsafe { walk(&map, registers, &span(&stack), &mut visit) };
    assert_eq!(seen, [0x100, 0x20]);
}

#[test]
fn walk_stays_inside_the_stack() {
    let map = example_map();
    // Every frame returns into the same function.
    let stack = [TEXT + 0x20; 64];
    let mut count = 0;
    let registers = Registers { sp: span(&stack).start, pc: TEXT + 0x20, ..Registers::default() };
    let mut visit = |_| {
        count += 1;
        true
    };
    // SAFETY: the stack is readable.
    unsafe { walk(&map, registers, &span(&stack), &mut visit) };
    assert_eq!(count, 64 * 8 / 32 + 1);
    for wild in [0, 8, u64::MAX - 7, span(&stack).end] {
        let registers = Registers { sp: wild, saved: [wild; 6], pc: TEXT + 0x100 };
        // SAFETY: the stack is readable.
        unsafe { walk(&map, registers, &span(&stack), &mut |_| true) };
        let registers = Registers { sp: wild, saved: [wild; 6], pc: TEXT + 0x50 };
        // SAFETY: the stack is readable.
        unsafe { walk(&map, registers, &span(&stack), &mut |_| true) };
    }
}

#[test]
fn broken_sections_are_refused() {
    let good = example();
    assert!(parse(&good).is_ok());
    let break_word = |index: usize, value: u32| {
        let mut words = good.clone();
        words[index] = value;
        parse(&words).map(|_| ()).expect_err("broken")
    };
    let size = good.len() as u64 * 4;
    for length in 0..good.len() {
        assert!(matches!(parse(&good[..length]), Err(UnwindError::Size { .. })));
    }
    for count in [0, 1, 2] {
        assert!(matches!(break_word(count, u32::MAX), UnwindError::Size { found, .. } if found == size));
    }
    let (functions, ranges) = (3, 6);
    let range_starts = 4 + 2 * functions;
    let range_table = range_starts + ranges;
    let frames = range_table + 2 * ranges;
    assert_eq!(break_word(3, TEXT_BYTES + 1), UnwindError::TextSize { described: TEXT_BYTES + 1, found: 0x100 });
    assert_eq!(break_word(5, 0x10), UnwindError::Order);
    assert_eq!(break_word(range_starts + 5, 0x101), UnwindError::Order);
    assert_eq!(break_word(range_table, 3), UnwindError::Frame { frame: 3, count: 3 });
    assert_eq!(break_word(range_table + 1, TEXT_BYTES), UnwindError::LandingPad { offset: TEXT_BYTES });
    assert_eq!(break_word(frames + 1, 2), UnwindError::FrameDesc);
    assert_eq!(break_word(frames + 3, u32::MAX), UnwindError::FrameDesc);
    let shifted = [&[0][..], bytes(&good)].concat();
    let (before, _, _) = {
        // SAFETY: any four bytes are a word.
        unsafe { shifted.align_to::<u32>() }
    };
    let misaligned = if before.len() == 1 { &shifted[2..] } else { &shifted[1..] };
    assert!(UnwindTables::parse(misaligned, u64::from(TEXT_BYTES)).is_err());
}

#[test]
fn caller_of_a_fault_is_found_by_facts_or_by_looking() {
    let map = example_map();
    let mut stack = [0_u64; 64];
    let sp = span(&stack).start;
    stack[3] = TEXT + 0x50;
    let caller = |pc| {
        let registers = Registers { sp, pc, ..Registers::default() };
        // SAFETY: the stack is readable.
        unsafe { map.fault_caller(&registers, &span(&stack)) }.map(|r| (r.pc - TEXT, r.sp - sp))
    };
    // Inside the call that returns to 0x20, in a prologue, in a C function.
    assert_eq!(caller(TEXT + 0x1f), Some((0x50, 32)));
    assert_eq!(caller(TEXT + 0x40), Some((0x50, 32)));
    assert_eq!(caller(0x7fff_0000), Some((0x50, 32)));
    for wild in [0, u64::MAX, span(&stack).end] {
        let registers = Registers { sp: wild, pc: u64::MAX, ..Registers::default() };
        // SAFETY: the stack is readable.
        assert!(unsafe { map.fault_caller(&registers, &span(&stack)) }.is_none_or(|r| r.pc == TEXT + 0x50));
    }
}
