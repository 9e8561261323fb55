//! Runs linked code: every reference must lead to the right place, and every exception to the right landing pad with
//! all registers intact.

use crate::artifacts::{TestModule, build};
use crate::reader;
use crate::tools::{OPT_LEVELS, drive, scratch};

/// Runs functions of a module with arguments and compares what the driver prints.
fn check(partitions: &[&str], funcs: u32, options: &[&str], calls: &[(usize, i64, &str)]) {
    let module = TestModule { partitions, funcs, inits: 0 };
    let file = build(&module, options);
    let artifact = reader::read(&file);
    let path = scratch("run.dolmen");
    std::fs::write(&path, file).expect("scratch directory is writable");
    let meta = &artifact.meta;
    for &(func, arg, expected) in calls {
        let args = [
            artifact.text.len() as u64,
            artifact.unwind_offset,
            u64::from(meta.trampolines[0].entry),
            u64::from(meta.code_offsets[func]),
        ];
        let args: Vec<_> = args.iter().map(u64::to_string).chain([arg.to_string()]).collect();
        assert_eq!(drive(&args, &path), expected, "wasm[{func}]({arg}) with {options:?}");
    }
    std::fs::remove_file(&path).expect("it was there");
}

#[test]
fn exceptions_find_their_landing_pads() {
    let calls = [
        (0, 5, "5"),
        (0, 11, "uncaught 11"),
        (1, 7, "14"),
        (1, 20, "1040"),
        (2, 3, "uncaught 77"),
        (3, 0, "0"),
        (3, 9, "504"),
        (3, 100, "5600"),
        (4, 21, "42"),
        (5, 10, "30"),
        (5, 30, "90"),
        (6, 4, "8"),
        (6, 40, "uncaught 40"),
        (7, 5, "12"),
        (7, 50, "uncaught 51"),
        (8, 5, "12"),
        (8, 50, "51"),
        (9, 2, "6"),
        (9, 20, "420"),
        (10, 20, "uncaught 1040"),
        (11, 20, "1040"),
        (11, 2, "4"),
        (12, 4, "31"),
    ];
    for opt_level in OPT_LEVELS {
        check(&["frames.ll", "thrower.ll", "catcher.ll"], 13, &[opt_level], &calls);
        check(&["thrower.ll", "catcher.ll", "frames.ll"], 13, &[opt_level, "--function-sections"], &calls);
    }
}

#[test]
fn references_lead_where_they_should() {
    let constants = |a: i64| {
        let square = (a * a) as f64;
        ((square * 1.2345 + 0.25) * 100.0 + square * 1000.0) as i64
    };
    let calls = [
        (1, 0, "100"),
        (1, 1, "77"),
        (1, 2, "1234567"),
        (1, 3, "93"),
        (1, 4, &*constants(4).to_string()),
        (1, 5, "-5"),
        (1, 6, "-1"),
        (2, 5, &*constants(5).to_string()),
        (3, 7, "708"),
        (3, 12, "1212"),
        (4, 9, "10"),
        (4, 90, "uncaught 90"),
    ];
    for opt_level in OPT_LEVELS {
        check(&["data.ll", "thrower.ll"], 5, &[opt_level], &calls);
        check(&["data.ll", "thrower.ll"], 5, &[opt_level, "--function-sections", "--data-sections"], &calls);
    }
}
