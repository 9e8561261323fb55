//! Unwind tables, entry by entry, and against LLVM's own reading of the same information.

use crate::reader;
use crate::tools::{OPT_LEVELS, compile, llvm_output, scratch};
use dolmen_abi::artifact::{
    CFA_BASE_FP, CFA_BASE_SP, FrameDesc, NO_FRAME, NO_FUNC_INDEX, NO_LANDING_PAD, SAVED_REGISTERS, UnwindRange,
};
use dolmen_aotc::object::{LinkedCode, link};
use dolmen_aotc::unwind::UnwindTables;

/// The tables of one object, encoded and read back.
fn tables(code: &LinkedCode) -> reader::Unwind {
    let tables = UnwindTables::build(code, |s| (s.name == "wasm[0]").then_some(0)).expect("can be expressed");
    reader::read_unwind(&tables.encode())
}

/// A frame without pushed arguments; registers as (DWARF number, distance below the CFA).
fn frame(cfa_base: u32, cfa_offset: i32, saved: &[(u16, u32)]) -> FrameDesc {
    let distance = |r| saved.iter().find(|s| s.0 == r).map_or(0, |s| s.1);
    FrameDesc { cfa_offset, cfa_base, landing_pad_pop: 0, saved_below_cfa: SAVED_REGISTERS.map(distance) }
}

#[test]
fn ranges_follow_rows_and_call_sites() {
    const PAD: u32 = 29;
    const RBX: &[(u16, u32)] = &[(3, 16)];
    const RBP: &[(u16, u32)] = &[(6, 16)];
    const THREE: &[(u16, u32)] = &[(6, 16), (12, 32), (15, 24)];
    let sp = |offset, saved| Some(frame(CFA_BASE_SP, offset, saved));
    let fp = |saved| Some(frame(CFA_BASE_FP, 16, saved));
    let pushed = |offset| sp(offset, RBX).map(|f| FrameDesc { landing_pad_pop: 16, ..f });
    let expected = [
        (0, sp(8, &[]), None),
        (1, sp(16, RBX), None),
        (5, sp(48, RBX), Some(PAD)),
        (10, sp(48, RBX), None),
        (15, pushed(48), Some(PAD)),
        (17, pushed(56), Some(PAD)),
        (19, pushed(64), Some(PAD)),
        (28, sp(48, RBX), None),
        // From 33 on, an epilogue.
        (35, None, None),
        (48, sp(8, &[]), None),
        (49, sp(16, RBP), None),
        (52, fp(RBP), None),
        (56, fp(THREE), None),
        // 62 is the end of an epilogue.
        (71, None, None),
        (72, sp(4112, THREE), None),
        (77, None, None),
        (80, sp(8, &[]), None),
        (81, None, None),
    ];
    let tables = tables(&link(&[compile("cfi.s", &[]).into()]).expect("is complete"));
    let found: Vec<_> = tables
        .ranges
        .iter()
        .map(|&(start, UnwindRange { frame, landing_pad })| {
            let frame = (frame != NO_FRAME).then(|| tables.frames[frame as usize]);
            (start, frame, (landing_pad != NO_LANDING_PAD).then_some(landing_pad))
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(tables.funcs, [(0, 0), (48, NO_FUNC_INDEX), (80, NO_FUNC_INDEX)]);
}

#[test]
fn frames_at_calls_are_those_that_llvm_prints() {
    for opt_level in OPT_LEVELS {
        let objects = [compile("frames.ll", &[opt_level]), compile("thrower.ll", &[opt_level])];
        let path = scratch("frames.o");
        std::fs::write(&path, &objects[0]).expect("scratch directory is writable");
        let rows = llvm_output("llvm-dwarfdump", &["--eh-frame"], &path);
        let code = llvm_output("llvm-objdump", &["--disassemble", "--no-show-raw-insn", "--no-addresses"], &path);
        let addresses = llvm_output("llvm-objdump", &["--disassemble", "--no-show-raw-insn"], &path);
        std::fs::remove_file(&path).expect("it was there");
        let mut rows: Vec<_> = rows.lines().filter_map(printed_row).collect();
        rows.sort_by_key(|r| r.0);
        let tables = tables(&link(&objects.map(Into::into)).expect("is complete"));
        let returns = return_addresses(&addresses);
        assert_eq!(returns.len(), code.matches("callq").count());
        for address in returns {
            let (_, printed) = rows[rows.partition_point(|r| r.0 < address) - 1];
            let range = tables.ranges[tables.ranges.partition_point(|r| r.0 < address) - 1].1;
            let found = FrameDesc { landing_pad_pop: 0, ..tables.frames[range.frame as usize] };
            assert_eq!(Some(found), printed, "{address:#x}");
        }
    }
}

/// The addresses after calls in what `llvm-objdump` prints: lines of `address: instruction`.
fn return_addresses(printed: &str) -> Vec<u32> {
    let instructions = printed.lines().filter_map(|line| {
        let (address, instruction) = line.trim().split_once(':')?;
        Some((u32::from_str_radix(address, 16).ok()?, instruction.trim()))
    });
    let instructions: Vec<_> = instructions.collect();
    instructions.windows(2).filter(|pair| pair[0].1.starts_with("callq")).map(|pair| pair[1].0).collect()
}

/// A row as `llvm-dwarfdump` prints it: `  0x21: CFA=RSP+16: RBX=[CFA-16], RIP=[CFA-8]`. The frame is `None` if the
/// CFA is relative to another register.
fn printed_row(line: &str) -> Option<(u32, Option<FrameDesc>)> {
    const NAMES: [&str; SAVED_REGISTERS.len()] = ["RBX", "RBP", "R12", "R13", "R14", "R15"];
    let (address, rest) = line.trim().split_once(": CFA=")?;
    let start = u32::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let (cfa, registers) = rest.split_once(':').unwrap_or((rest, ""));
    let (base, offset) = cfa.split_once('+')?;
    let cfa_base = match base {
        "RSP" => CFA_BASE_SP,
        "RBP" => CFA_BASE_FP,
        _ => return Some((start, None)),
    };
    let mut saved_below_cfa = [0; NAMES.len()];
    for register in registers.split(',') {
        let (name, place) = register.trim().split_once('=')?;
        let below = place.strip_prefix("[CFA-")?.strip_suffix(']')?.parse().ok()?;
        if let Some(saved) = NAMES.iter().position(|n| *n == name) {
            saved_below_cfa[saved] = below;
        }
    }
    Some((start, Some(FrameDesc { cfa_offset: offset.parse().ok()?, cfa_base, landing_pad_pop: 0, saved_below_cfa })))
}
