//! What happens around a builtin, whichever it is. Their work is tested by running modules.

use super::*;
use crate::error::Trap;
use crate::thread::tests::{Fixture, dt_host, dt_host_catch, dt_increment};

/// Calls a builtin with this outcome from code that catches exceptions.
fn call_builtin(fixture: &mut Fixture, outcome: impl FnOnce() -> Result<u64>) -> std::result::Result<u64, Raised> {
    let mut outcome = Some(outcome);
    fixture.call_host(&raw const dt_host_catch, &mut |context, _| {
        let outcome = outcome.take().expect("called once");
        // SAFETY: a gate has passed the context of the running thread; the store is not used.
        unsafe { run(context, &[], |_| outcome()) }
    })
}

#[test]
fn values_are_returned() {
    assert_eq!(call_builtin(&mut Fixture::new(), || Ok(7)).expect("returns"), 7);
}

#[test]
fn exceptions_are_thrown_in_the_caller() {
    assert_eq!(call_builtin(&mut Fixture::new(), || Err(Raise::Exception(8))).expect("caught"), 8);
}

#[test]
fn traps_get_a_backtrace() {
    let mut fixture = Fixture::new();
    match call_builtin(&mut fixture, || Err(Raise::Trap(TrapCode::OutOfMemory))) {
        Err(Raised::Trap(trap)) => {
            assert_eq!(trap.code, TrapCode::OutOfMemory);
            let trap = crate::trap::resolve(fixture.thread.code(), &trap);
            assert_eq!(trap.backtrace.iter().map(|f| f.func_index).collect::<Vec<_>>(), [9, 10]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn traps_made_by_host_functions_get_one_too() {
    let mut fixture = Fixture::new();
    let trap = Trap { message: "the moon is full".to_owned(), ..Trap::new(TrapCode::MissingImport) };
    match call_builtin(&mut fixture, || Err(Raise::Error(Box::new(trap.into())))) {
        Err(Raised::Trap(trap)) => {
            let trap = crate::trap::resolve(fixture.thread.code(), &trap);
            assert_eq!((trap.code, trap.message.as_str()), (TrapCode::MissingImport, "the moon is full"));
            assert_eq!(trap.backtrace.len(), 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_pass_unchanged() {
    let mut fixture = Fixture::new();
    let error = Error::host(std::io::Error::other("disk full"));
    match call_builtin(&mut fixture, || Err(Raise::Error(Box::new(error)))) {
        Err(Raised::Error(error)) => {
            assert!(error.downcast_ref::<std::io::Error>().is_some_and(|e| e.to_string() == "disk full"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn panics_pass_compiled_code() {
    let mut fixture = Fixture::new();
    match call_builtin(&mut fixture, || std::panic::panic_any(5)) {
        Err(Raised::Panic(payload)) => assert_eq!(payload.downcast_ref(), Some(&5)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.call(&raw const dt_increment, 1).expect("returns"), 2);
}

#[test]
fn nested_failures_pass_two_activations() {
    let mut fixture = Fixture::new();
    let result = fixture.call_host(&raw const dt_host, &mut |context, _| {
        let inner: Result<u64> = Err(Raise::Error(Box::new(Error::host(std::io::Error::other("deep")))));
        let mut inner = Some(inner);
        // SAFETY: a gate has passed the context of the running thread; the store is not used.
        unsafe {
            run(context, &[], |_| {
                let thread = std::ptr::NonNull::new(context.cast::<Thread>()).expect("thread");
                let call = &mut |context, _| run(context, &[], |_| inner.take().expect("called once"));
                match crate::thread::tests::call_host(thread, &raw const dt_host, call) {
                    Err(Raised::Error(error)) => Err::<u64, _>(Raise::Error(Box::new(error))),
                    other => panic!("{other:?}"),
                }
            })
        }
    });
    assert!(matches!(result, Err(Raised::Error(error)) if error.to_string() == "deep"));
}

#[test]
fn the_table_has_all_builtins() {
    let names: Vec<_> = Builtin::ALL.iter().map(|b| b.signature().name).collect();
    assert!(names.contains(&"trap") && names.contains(&"throw"));
    let mut addresses: Vec<_> = gates::TABLE.iter().map(|&gate| gate as usize).collect();
    assert_eq!(addresses[Builtin::Trap as usize], crate::thread::entry::trap_gate as *const () as usize);
    assert_eq!(addresses[Builtin::Throw as usize], crate::thread::entry::throw_gate as *const () as usize);
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), names.len());
}
