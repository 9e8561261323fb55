//! What cannot be linked or unwound is a typed error with a message, whatever the bytes: never a panic.

use crate::tools::{compile, input};
use dolmen_aotc::object::{ObjectError, link};
use dolmen_aotc::unwind::UnwindTables;

/// Starts the first line of an input of the `errors` folder; the beginning of the message follows.
const EXPECTATION: &str = " ERROR: ";

/// Links objects and makes their unwind tables; the message if that fails.
fn message(objects: &[impl AsRef<[u8]>]) -> Option<String> {
    match link(&objects.iter().map(|object| object.as_ref().to_vec().into()).collect::<Vec<_>>()) {
        Ok(code) => UnwindTables::build(&code, |_| None).err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn each_input_gives_its_message() {
    let folder = std::fs::read_dir(input("errors")).expect("is there");
    let mut names: Vec<_> = folder.map(|f| f.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let name = format!("errors/{name}");
        let source = std::fs::read_to_string(input(&name)).expect("UTF-8");
        let line = source.lines().next().expect("not empty");
        let (_, expected) = line.split_once(EXPECTATION).unwrap_or_else(|| panic!("{name} expects nothing"));
        let found = message(&[compile(&name, &[])]).unwrap_or_else(|| panic!("{name} is accepted"));
        assert!(found.starts_with(expected), "{name}: {found}");
    }
}

#[test]
fn a_symbol_defined_twice_is_an_error() {
    let object = compile("thrower.ll", &[]);
    let found = message(&[object.clone(), object]).expect("fails");
    assert_eq!(found, "symbol `wasm[0]::thrower` is defined in partition 0 and again in partition 1");
}

#[test]
fn objects_for_other_machines_are_refused() {
    let mut object = compile("thrower.ll", &[]);
    // e_machine of the ELF header: AArch64.
    object[18..20].copy_from_slice(&183_u16.to_le_bytes());
    assert!(matches!(link(&[object.into()]), Err(ObjectError::WrongTarget { partition: 0 })));
    assert!(matches!(link(&[b"\0asm".to_vec().into()]), Err(ObjectError::Malformed { partition: 0, .. })));
}

#[test]
fn damaged_objects_never_panic() {
    let thrower = compile("thrower.ll", &[]);
    let object = compile("frames.ll", &["-O2"]);
    let mut failures = 0;
    let mut check = |damaged: &[u8]| failures += u32::from(message(&[damaged, &thrower]).is_some());
    for len in (0..object.len()).step_by(7) {
        check(&object[..len]);
    }
    for at in 0..object.len() {
        for bits in [0x01, 0x80, 0xff] {
            let mut damaged = object.clone();
            damaged[at] ^= bits;
            check(&damaged);
        }
    }
    assert!(failures > 1000, "only {failures} of {} bytes matter", object.len());
}
