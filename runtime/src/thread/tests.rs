//! Assembled stand-ins for compiled code, with unwind tables made from their labels.

#![cfg(target_arch = "x86_64")]

use super::entry::{Outcome, gate, reason, throw_gate, trap_gate};
use super::*;
use crate::unwind::UnwindTables;
use crate::unwind::tests::{TableBuilder, bytes};
use dolmen_abi::artifact::{CFA_BASE_FP, CFA_BASE_SP, FrameDesc, NO_FUNC_INDEX};
use std::arch::global_asm;

// What the functions call through the table of builtins: trap at 0, throw at 8, host at 16.
global_asm!(
    ".pushsection .text",
    ".globl dt_start, dt_end, dt_entry, dt_entry_ret, dt_increment, dt_trap",
    ".globl dt_trap_ret, dt_throw, dt_throw_ret, dt_catch, dt_catch_ret, dt_catch_pad",
    ".globl dt_recurse, dt_recurse_ret, dt_recurse_leaf, dt_recurse_leaf_ret, dt_recurse_leaf_ret2, dt_leaf",
    ".globl dt_recurse_shadow, dt_recurse_shadow_ret, dt_host, dt_host_ret, dt_host_catch, dt_host_catch_ret",
    ".globl dt_host_catch_pad, dt_host_low, dt_host_low_ret",
    ".balign 16",
    "dt_start:",
    // entry(thread, instance, code, slots): one argument, one result.
    "dt_entry:",
    "push rbx",
    "mov rbx, rcx",
    "mov rax, rdx",
    "mov rdx, [rcx]",
    "call rax",
    "dt_entry_ret:",
    "mov [rbx], rax",
    "pop rbx",
    "ret",
    // The argument plus one.
    "dt_increment:",
    "lea rax, [rdx + 1]",
    "ret",
    // Moves the shadow stack and traps with the argument.
    "dt_trap:",
    "sub rsp, 8",
    "add qword ptr [rdi + {shadow_top}], 64",
    "mov rsi, rdx",
    "mov rax, [rdi + {builtins}]",
    "call [rax]",
    "dt_trap_ret:",
    "ud2",
    // Throws the argument through a frame that saves and changes all callee-saved registers.
    "dt_throw:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "xor ebx, ebx",
    "xor ebp, ebp",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "mov rsi, rdx",
    "mov rax, [rdi + {builtins}]",
    "call [rax + 8]",
    "dt_throw_ret:",
    "ud2",
    // Catches what dt_throw throws; the sum of its registers, its stack slot and the exception.
    "dt_catch:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov rbx, rdi",
    "mov ebp, 1",
    "mov r12d, 10",
    "mov r13d, 100",
    "mov r14d, 1000",
    "mov r15d, 10000",
    "mov qword ptr [rsp], 100000",
    "call dt_throw",
    "dt_catch_ret:",
    "ud2",
    "dt_catch_pad:",
    "mov eax, [rbx + {pending}]",
    "mov dword ptr [rbx + {pending}], 0",
    "add rax, rbp",
    "add rax, r12",
    "add rax, r13",
    "add rax, r14",
    "add rax, r15",
    "add rax, [rsp]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // Runs out of stack at a call.
    "dt_recurse:",
    "sub rsp, 8",
    "call dt_recurse",
    "dt_recurse_ret:",
    "add rsp, 8",
    "ret",
    // Runs out of stack in the prologue of a leaf.
    "dt_recurse_leaf:",
    "sub rsp, 8",
    "call dt_leaf",
    "dt_recurse_leaf_ret:",
    "call dt_recurse_leaf",
    "dt_recurse_leaf_ret2:",
    "ud2",
    "dt_leaf:",
    "push rbx",
    "push rbp",
    "push r12",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // Runs out of shadow stack.
    "dt_recurse_shadow:",
    "sub rsp, 8",
    "mov rax, [rdi + {shadow_top}]",
    "add qword ptr [rdi + {shadow_top}], 0x40000",
    "mov dword ptr [rax], 0",
    "call dt_recurse_shadow",
    "dt_recurse_shadow_ret:",
    "ud2",
    // Calls the host with (argument, 2, 3, 4, 5, 6); the host's result plus its frame pointer less 77.
    "dt_host:",
    "push rbp",
    "mov ebp, 77",
    "mov rsi, rdx",
    "mov edx, 2",
    "mov ecx, 3",
    "mov r8d, 4",
    "mov r9d, 5",
    "push 6",
    "push 6",
    "mov rax, [rdi + {builtins}]",
    "call [rax + 16]",
    "dt_host_ret:",
    "add rsp, 16",
    "lea rax, [rax + rbp - 77]",
    "pop rbp",
    "ret",
    // dt_host, with what it throws caught.
    "dt_host_catch:",
    "push rbx",
    "mov rbx, rdi",
    "call dt_host",
    "dt_host_catch_ret:",
    "pop rbx",
    "ret",
    "dt_host_catch_pad:",
    "mov eax, [rbx + {pending}]",
    "mov dword ptr [rbx + {pending}], 0",
    "pop rbx",
    "ret",
    // Calls the host from the last bytes of the stack.
    "dt_host_low:",
    "push rbp",
    "mov rbp, rsp",
    "mov rsp, [rdi + {stack_limit}]",
    "mov rsi, rdx",
    "mov rax, [rdi + {builtins}]",
    "call [rax + 16]",
    "dt_host_low_ret:",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    "dt_end:",
    ".popsection",
    shadow_top = const std::mem::offset_of!(ThreadContext, shadow_top),
    builtins = const std::mem::offset_of!(ThreadContext, builtins),
    pending = const std::mem::offset_of!(ThreadContext, pending_exception),
    stack_limit = const std::mem::offset_of!(ThreadContext, stack_limit),
);

#[allow(non_upper_case_globals, reason = "labels of assembly")]
unsafe extern "C" {
    static dt_start: u8;
    static dt_end: u8;
    static dt_entry: u8;
    static dt_entry_ret: u8;
    /// Returns its argument plus one.
    pub(crate) static dt_increment: u8;
    static dt_trap: u8;
    static dt_trap_ret: u8;
    static dt_throw: u8;
    static dt_throw_ret: u8;
    static dt_catch: u8;
    static dt_catch_ret: u8;
    static dt_catch_pad: u8;
    static dt_recurse: u8;
    static dt_recurse_ret: u8;
    static dt_recurse_leaf: u8;
    static dt_recurse_leaf_ret: u8;
    static dt_recurse_leaf_ret2: u8;
    static dt_leaf: u8;
    static dt_recurse_shadow: u8;
    static dt_recurse_shadow_ret: u8;
    /// Calls the host with (argument, 2, 3, 4, 5, 6) and returns its result.
    pub(crate) static dt_host: u8;
    static dt_host_ret: u8;
    /// `dt_host` with exceptions caught: returns their reference words.
    pub(crate) static dt_host_catch: u8;
    static dt_host_catch_ret: u8;
    static dt_host_catch_pad: u8;
    static dt_host_low: u8;
    static dt_host_low_ret: u8;
}

/// Offset of a label in the code.
fn offset(label: *const u8) -> u32 {
    (label as u64 - (&raw const dt_start) as u64) as u32
}

/// A frame of this size that saves the first `saved` callee-saved registers directly below its return address.
fn frame(cfa_offset: i32, saved: usize) -> FrameDesc {
    let saved_below_cfa = std::array::from_fn(|i| if i < saved { 16 + 8 * i as u32 } else { 0 });
    FrameDesc { cfa_offset, cfa_base: CFA_BASE_SP, landing_pad_pop: 0, saved_below_cfa }
}

/// A frame that saves `rbp` alone.
fn frame_with_rbp(cfa_offset: i32, cfa_base: u32) -> FrameDesc {
    FrameDesc { cfa_offset, cfa_base, landing_pad_pop: 0, saved_below_cfa: [0, 16, 0, 0, 0, 0] }
}

fn unwind_section() -> Vec<u32> {
    let mut tables = TableBuilder::new(offset(&raw const dt_end));
    let functions = [
        (&raw const dt_entry, NO_FUNC_INDEX),
        (&raw const dt_increment, 1),
        (&raw const dt_trap, 2),
        (&raw const dt_throw, 3),
        (&raw const dt_catch, 4),
        (&raw const dt_recurse, 5),
        (&raw const dt_recurse_leaf, 6),
        (&raw const dt_leaf, 7),
        (&raw const dt_recurse_shadow, 8),
        (&raw const dt_host, 9),
        (&raw const dt_host_catch, 10),
        (&raw const dt_host_low, 11),
    ];
    for (label, index) in functions {
        tables.function(offset(label), index);
    }
    let mut site = |label, frame, pad: Option<*const u8>| tables.site(offset(label), frame, pad.map(offset));
    site(&raw const dt_entry_ret, frame(16, 1), None);
    site(&raw const dt_trap_ret, frame(16, 0), None);
    site(&raw const dt_throw_ret, frame(64, 6), None);
    site(&raw const dt_catch_ret, frame(64, 6), Some(&raw const dt_catch_pad));
    site(&raw const dt_recurse_ret, frame(16, 0), None);
    site(&raw const dt_recurse_leaf_ret, frame(16, 0), None);
    site(&raw const dt_recurse_leaf_ret2, frame(16, 0), None);
    site(&raw const dt_recurse_shadow_ret, frame(16, 0), None);
    site(&raw const dt_host_ret, frame_with_rbp(32, CFA_BASE_SP), None);
    site(&raw const dt_host_catch_ret, frame(16, 1), Some(&raw const dt_host_catch_pad));
    site(&raw const dt_host_low_ret, frame_with_rbp(16, CFA_BASE_FP), None);
    tables.finish()
}

gate!(host_gate => host);

/// What a test does when its code calls the host: gets the thread and arguments two to six.
pub(crate) type Host<'a> = &'a mut dyn FnMut(*mut ThreadContext, [u64; 5]) -> Outcome;

/// The builtin behind `host_gate`; `call` is the address of a [`Host`].
unsafe extern "C" fn host(thread: *mut ThreadContext, call: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> Outcome {
    // SAFETY: the tests pass the address of a `Host` that outlives the call.
    let call = unsafe { &mut *(call as *mut Host<'_>) };
    call(thread, [b, c, d, e, f])
}

fn returned(value: u64) -> Outcome {
    Outcome { value, reason: reason::NONE }
}

/// A thread with the test code, and the builtins that the code calls.
pub(crate) struct Fixture {
    pub(crate) thread: OwnedThread,
    _builtins: Box<[u64; 3]>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let builtins =
            Box::new([trap_gate as *const () as u64, throw_gate as *const () as u64, host_gate as *const () as u64]);
        let bases = ThreadBases { heap: 0, types: 0, cards: 0, builtins: builtins.as_ptr() as u64 };
        let mut thread = OwnedThread::new(1 << 20, bases, Assistant::default()).expect("thread");
        let section = Box::leak(unwind_section().into_boxed_slice());
        let text = (&raw const dt_start) as u64..(&raw const dt_end) as u64;
        let tables = UnwindTables::parse(bytes(section), text.end - text.start).expect("tables");
        let mut code = StoreCode::default();
        // SAFETY: code and tables live as long as the process.
        unsafe { code.insert(text, tables, None) };
        thread.set_code(Arc::new(code));
        Self { thread, _builtins: builtins }
    }

    pub(crate) fn call(&mut self, code: *const u8, argument: u64) -> Result<u64, Raised> {
        // SAFETY: the thread is live and exclusively ours.
        unsafe { call(self.thread.as_ptr(), code, argument) }
    }

    /// Calls code that calls `host`.
    pub(crate) fn call_host(&mut self, code: *const u8, mut host: Host<'_>) -> Result<u64, Raised> {
        self.call(code, (&raw mut host) as u64)
    }
}

/// Calls test code with one argument.
///
/// # Safety
///
/// The thread must be live and its store not be used.
unsafe fn call(thread: NonNull<Thread>, code: *const u8, argument: u64) -> Result<u64, Raised> {
    let mut slots = [ValueSlot([argument, 0])];
    let callee = Callee { entry: (&raw const dt_entry) as u64, code: code as u64, instance: 0 };
    // SAFETY: the test code takes and returns one value, and calls no builtin that uses a store.
    unsafe { Thread::call(thread, ptr::null_mut(), callee, slots.as_mut_ptr()) }?;
    Ok(slots[0].0[0])
}

/// Calls test code that calls `host`.
///
/// # Safety
///
/// As for [`call`].
pub(crate) unsafe fn call_host(thread: NonNull<Thread>, code: *const u8, mut host: Host<'_>) -> Result<u64, Raised> {
    // SAFETY: as the caller promises.
    unsafe { call(thread, code, (&raw mut host) as u64) }
}

/// The thread that a host function was called from.
fn thread_of(context: *mut ThreadContext) -> NonNull<Thread> {
    NonNull::new(context.cast()).expect("thread")
}

/// Indices of the functions that a trap happened in, innermost first.
fn trace(fixture: &Fixture, trap: &RawTrap) -> Vec<u32> {
    trap.addresses.iter().filter_map(|&a| fixture.thread.code().function_at(a)).map(|(_, _, f)| f).collect()
}

fn expect_trap(result: Result<u64, Raised>) -> RawTrap {
    match result {
        Err(Raised::Trap(trap)) => trap,
        other => panic!("expected a trap, got {other:?}"),
    }
}

fn expect_exception(result: Result<u64, Raised>) -> u32 {
    match result {
        Err(Raised::Exception(word)) => word,
        other => panic!("expected an exception, got {other:?}"),
    }
}

#[test]
fn code_returns_its_results() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.call(&raw const dt_increment, 41).expect("returns"), 42);
}

#[test]
fn trap_ends_the_activation() {
    let mut fixture = Fixture::new();
    let shadow_top = fixture.thread.context_mut().shadow_top;
    for _ in 0..2 {
        let trap = expect_trap(fixture.call(&raw const dt_trap, TrapCode::CastFailure as u64));
        assert_eq!(trap.code, TrapCode::CastFailure);
        assert_eq!(trace(&fixture, &trap), [2]);
        assert_eq!(fixture.thread.context_mut().shadow_top, shadow_top);
        assert_eq!(fixture.thread.context_mut().entry_frame, 0);
    }
    assert_eq!(fixture.call(&raw const dt_increment, 1).expect("returns"), 2);
}

#[test]
fn exception_finds_landing_pad_with_registers_restored() {
    let mut fixture = Fixture::new();
    for word in [2, 4, 2] {
        assert_eq!(fixture.call(&raw const dt_catch, word).expect("caught"), 111_111 + word);
    }
}

#[test]
fn uncaught_exception_ends_the_activation() {
    let mut fixture = Fixture::new();
    assert_eq!(expect_exception(fixture.call(&raw const dt_throw, 6)), 6);
    assert_eq!(fixture.thread.context_mut().pending_exception, 0);
    assert_eq!(fixture.call(&raw const dt_increment, 1).expect("returns"), 2);
}

#[test]
fn stack_overflow_at_a_call() {
    let mut fixture = Fixture::new();
    for _ in 0..2 {
        let trap = expect_trap(fixture.call(&raw const dt_recurse, 0));
        assert_eq!(trap.code, TrapCode::StackOverflow);
        let functions = trace(&fixture, &trap);
        assert!(functions.len() >= 100 && functions.iter().all(|&f| f == 5), "{functions:?}");
        assert_eq!(fixture.call(&raw const dt_increment, 1).expect("returns"), 2);
    }
}

#[test]
fn stack_overflow_in_a_prologue() {
    let mut fixture = Fixture::new();
    let trap = expect_trap(fixture.call(&raw const dt_recurse_leaf, 0));
    assert_eq!(trap.code, TrapCode::StackOverflow);
    let functions = trace(&fixture, &trap);
    assert_eq!(functions[..3], [7, 6, 6]);
    assert!(functions.len() >= 100 && functions[1..].iter().all(|&f| f == 6), "{functions:?}");
}

#[test]
fn shadow_stack_overflow() {
    let mut fixture = Fixture::new();
    let shadow_top = fixture.thread.context_mut().shadow_top;
    for _ in 0..2 {
        let trap = expect_trap(fixture.call(&raw const dt_recurse_shadow, 0));
        assert_eq!(trap.code, TrapCode::StackOverflow);
        assert_eq!(trace(&fixture, &trap)[0], 8);
        assert_eq!(fixture.thread.context_mut().shadow_top, shadow_top);
    }
}

#[test]
fn gates_pass_seven_arguments_and_record_the_call() {
    let mut fixture = Fixture::new();
    let mut seen = None;
    let result = fixture.call_host(&raw const dt_host, &mut |thread, arguments| {
        // SAFETY: the thread is live.
        let exit_pc = unsafe { (*thread).exit_pc };
        seen = Some((arguments, exit_pc));
        returned(1000)
    });
    assert_eq!(result.expect("returns"), 1000);
    assert_eq!(seen, Some(([2, 3, 4, 5, 6], (&raw const dt_host_ret) as u64)));
    assert_eq!(fixture.thread.context_mut().exit_pc, 0);
}

#[test]
fn gates_need_stack() {
    let mut fixture = Fixture::new();
    let trap = expect_trap(fixture.call_host(&raw const dt_host_low, &mut |_, _| returned(0)));
    assert_eq!(trap.code, TrapCode::StackOverflow);
    assert_eq!(trace(&fixture, &trap), [11]);
}

#[test]
fn host_function_runs_nested_code() {
    let mut fixture = Fixture::new();
    let result = fixture.call_host(&raw const dt_host, &mut |thread, _| {
        // SAFETY: the thread is live.
        returned(unsafe { call(thread_of(thread), &raw const dt_increment, 7) }.expect("returns"))
    });
    assert_eq!(result.expect("returns"), 8);
}

#[test]
fn trap_in_nested_code_is_traced_through_all_activations() {
    let mut fixture = Fixture::new();
    let mut inner = None;
    let result = fixture.call_host(&raw const dt_host_catch, &mut |thread, _| {
        let thread = thread_of(thread);
        // SAFETY: the thread is live.
        inner = Some(expect_trap(unsafe { call(thread, &raw const dt_trap, TrapCode::Unreachable as u64) }));
        // SAFETY: as above.
        unsafe { (*thread.as_ptr()).set_raised(Raised::Panic(Box::new(5))) };
        Outcome { value: 0, reason: reason::RECORDED }
    });
    assert!(matches!(result, Err(Raised::Panic(payload)) if payload.downcast_ref() == Some(&5)));
    assert_eq!(trace(&fixture, &inner.expect("called")), [2, 9, 10]);
    assert_eq!(fixture.thread.context_mut().entry_frame, 0);
}

#[test]
fn trap_after_nested_code_is_traced_from_its_own_call() {
    let mut fixture = Fixture::new();
    let trap = expect_trap(fixture.call_host(&raw const dt_host_catch, &mut |thread, _| {
        // SAFETY: the thread is live.
        let _ = unsafe { call(thread_of(thread), &raw const dt_trap, TrapCode::Unreachable as u64) };
        Outcome { value: 0, reason: TrapCode::OutOfMemory as u32 }
    }));
    assert_eq!((trap.code, trace(&fixture, &trap)), (TrapCode::OutOfMemory, vec![9, 10]));
}

#[test]
fn exception_crosses_a_host_function() {
    let mut fixture = Fixture::new();
    let result = fixture.call_host(&raw const dt_host_catch, &mut |context, _| {
        // SAFETY: the thread is live.
        let word = expect_exception(unsafe { call(thread_of(context), &raw const dt_throw, 12) });
        // SAFETY: as above.
        unsafe { (*context).pending_exception = word };
        Outcome { value: 0, reason: reason::EXCEPTION }
    });
    assert_eq!(result.expect("caught"), 12);
}

#[test]
fn stack_overflow_in_nested_code() {
    let mut fixture = Fixture::new();
    let result = fixture.call_host(&raw const dt_host, &mut |thread, _| {
        // SAFETY: the thread is live.
        let trap = expect_trap(unsafe { call(thread_of(thread), &raw const dt_recurse, 0) });
        returned(trap.code as u64)
    });
    assert_eq!(result.expect("returns"), TrapCode::StackOverflow as u64);
}

#[test]
fn stores_call_each_other_in_turns() {
    let (mut a, mut b) = (Fixture::new(), Fixture::new());
    let result = a.call_host(&raw const dt_host, &mut |thread_a, _| {
        let from_b = b.call_host(&raw const dt_host, &mut |_, _| {
            // On the stack of `b`, code of `a` again, which runs out of its own stack, then returns.
            // SAFETY: the thread is live.
            let trap = expect_trap(unsafe { call(thread_of(thread_a), &raw const dt_recurse, 0) });
            assert_eq!(trap.code, TrapCode::StackOverflow);
            // SAFETY: as above.
            returned(unsafe { call(thread_of(thread_a), &raw const dt_increment, 1) }.expect("returns"))
        });
        let overflow = expect_trap(b.call(&raw const dt_recurse, 0));
        assert_eq!(overflow.code, TrapCode::StackOverflow);
        returned(from_b.expect("returns") + 10)
    });
    assert_eq!(result.expect("returns"), 12);
    assert_eq!(expect_trap(a.call(&raw const dt_recurse, 0)).code, TrapCode::StackOverflow);
}

/// Does `work` with a thread in a new OS thread, and waits for it.
fn lend<R: Send>(thread: NonNull<Thread>, work: impl FnOnce(NonNull<Thread>) -> R + Send) -> R {
    struct Lent(NonNull<Thread>);
    // SAFETY: whoever lends the thread does not use it meanwhile.
    unsafe impl Send for Lent {}
    let lent = Lent(thread);
    let work = move || {
        let lent = lent;
        work(lent.0)
    };
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

#[test]
fn host_functions_lend_their_thread_to_other_os_threads() {
    let mut fixture = Fixture::new();
    let stack_limit = fixture.thread.context_mut().stack_limit;
    // SAFETY: threads are live in this test, here and below, and used by one OS thread at a time.
    let run = |thread, code, argument| unsafe { call(thread, code, argument) };
    let overflow = |thread| {
        for code in [&raw const dt_recurse, &raw const dt_recurse_leaf, &raw const dt_recurse_shadow] {
            assert_eq!(expect_trap(run(thread, code, 0)).code, TrapCode::StackOverflow);
        }
    };
    let mut inner = None;
    let result = fixture.call_host(&raw const dt_host, &mut |thread, _| {
        let thread = thread_of(thread);
        let word = lend(thread, |thread| {
            assert_eq!(run(thread, &raw const dt_catch, 4).expect("caught"), 111_115);
            overflow(thread);
            overflow(thread);
            expect_exception(run(thread, &raw const dt_throw, 6))
        });
        overflow(thread);
        // A host function on the other stack goes on there, and lends the thread again.
        let mut host = |thread, _: [u64; 5]| {
            let thread = thread_of(thread);
            overflow(thread);
            // SAFETY: as above.
            let low =
                lend(thread, |thread| unsafe { call_host(thread, &raw const dt_host_low, &mut |_, _| returned(0)) });
            assert_eq!(expect_trap(low).code, TrapCode::StackOverflow);
            inner =
                Some(lend(thread, |thread| expect_trap(run(thread, &raw const dt_trap, TrapCode::Unreachable as u64))));
            returned(100)
        };
        // SAFETY: as above.
        let nested = lend(thread, |thread| unsafe { call_host(thread, &raw const dt_host, &mut host) });
        returned(nested.expect("returns") + u64::from(word))
    });
    assert_eq!(result.expect("returns"), 106);
    assert_eq!(trace(&fixture, &inner.expect("called")), [2, 9, 9]);
    assert_eq!(fixture.thread.context_mut().stack_limit, stack_limit);
    overflow(fixture.thread.as_ptr());
}

#[test]
fn lent_threads_call_other_stores_in_turns() {
    let (mut a, b) = (Fixture::new(), std::sync::Mutex::new(Fixture::new()));
    let result = a.call_host(&raw const dt_host, &mut |thread_a, _| {
        let from_a = lend(thread_of(thread_a), |thread_a| {
            // SAFETY: the thread is live, here and below, and nobody else uses it.
            let overflow = || expect_trap(unsafe { call(thread_a, &raw const dt_recurse, 0) });
            let from_b = b.lock().expect("no panic").call_host(&raw const dt_host, &mut |_, _| {
                assert_eq!(overflow().code, TrapCode::StackOverflow);
                let host: Host<'_> = &mut |_, _| {
                    assert_eq!(overflow().code, TrapCode::StackOverflow);
                    returned(1)
                };
                // SAFETY: as above.
                returned(unsafe { call_host(thread_a, &raw const dt_host, host) }.expect("returns"))
            });
            assert_eq!(overflow().code, TrapCode::StackOverflow);
            from_b.expect("returns")
        });
        returned(from_a + 10)
    });
    assert_eq!(result.expect("returns"), 11);
}

#[test]
fn threads_move_between_os_threads() {
    let mut fixture = Fixture::new();
    assert_eq!(expect_trap(fixture.call(&raw const dt_recurse, 0)).code, TrapCode::StackOverflow);
    let mut fixture = std::thread::scope(|scope| {
        let moved = scope.spawn(move || {
            assert_eq!(expect_trap(fixture.call(&raw const dt_recurse, 0)).code, TrapCode::StackOverflow);
            fixture
        });
        moved.join().expect("no panic")
    });
    assert_eq!(fixture.call(&raw const dt_increment, 1).expect("returns"), 2);
}

#[test]
fn calls_while_an_os_thread_ends_run_or_are_refused() {
    /// Runs code when it is dropped with its OS thread.
    struct Late(std::cell::RefCell<Option<std::sync::mpsc::Sender<bool>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let result = Fixture::new().call(&raw const dt_increment, 1);
            let expected = matches!(result, Ok(2) | Err(Raised::Error(_)));
            let _ = self.0.take().map(|sender| sender.send(expected));
        }
    }
    thread_local!(static LATE: Late = const { Late(std::cell::RefCell::new(None)) });
    // The order in which thread-local values are made decides whether the signal stack is still there.
    for late_first in [false, true] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let call = || assert_eq!(Fixture::new().call(&raw const dt_increment, 1).expect("returns"), 2);
        let thread = std::thread::spawn(move || {
            if !late_first {
                call();
            }
            LATE.with(|late| *late.0.borrow_mut() = Some(sender));
            call();
        });
        thread.join().expect("no panic");
        assert_eq!(receiver.recv(), Ok(true));
    }
}

#[test]
fn many_os_threads_overflow_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut fixture = Fixture::new();
                for _ in 0..20 {
                    assert_eq!(expect_trap(fixture.call(&raw const dt_recurse, 0)).code, TrapCode::StackOverflow);
                    assert_eq!(
                        expect_trap(fixture.call(&raw const dt_recurse_shadow, 0)).code,
                        TrapCode::StackOverflow
                    );
                }
            });
        }
    });
}

/// Runs the test of this name again, in a process of its own that is expected to die.
fn in_child(name: &str) -> std::process::Output {
    let mut child = std::process::Command::new(std::env::current_exe().expect("own path"));
    let name = format!("thread::tests::{name}");
    child.args([&name, "--exact", "--test-threads=1", "--nocapture"]).env(CHILD, "1").output().expect("child")
}

/// The signal that ended a process.
fn signal(output: &std::process::Output) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&output.status)
}

/// Set in the processes that [`in_child`] starts.
const CHILD: &str = "DOLMEN_TEST_CHILD";

/// Reads from a page that nobody maps, in a host function.
fn fault_in_host_function() {
    let _ = Fixture::new().call_host(&raw const dt_host, &mut |_, _| {
        // SAFETY: it is not safe: the process is meant to stop here.
        returned(unsafe { ptr::without_provenance::<u64>(8).read_volatile() })
    });
}

#[test]
fn faults_elsewhere_have_their_default_action() {
    if std::env::var_os(CHILD).is_some() {
        return fault_in_host_function();
    }
    let output = in_child("faults_elsewhere_have_their_default_action");
    assert_eq!(signal(&output), Some(libc::SIGSEGV), "{output:?}");
}

#[test]
fn faults_elsewhere_reach_the_previous_handler() {
    extern "C" fn exit_with_42(_signal: libc::c_int) {
        // SAFETY: `_exit` may be called in a handler.
        unsafe { libc::_exit(42) };
    }
    if std::env::var_os(CHILD).is_some() {
        // SAFETY: the handler does nothing but to end the process.
        unsafe { libc::signal(libc::SIGSEGV, exit_with_42 as *const () as usize) };
        return fault_in_host_function();
    }
    let output = in_child("faults_elsewhere_reach_the_previous_handler");
    assert_eq!(output.status.code(), Some(42), "{output:?}");
}

/// A signal that is sent has the default action, and does not merely take the handler away.
#[test]
fn faults_that_are_only_signals_have_their_default_action() {
    if std::env::var_os(CHILD).is_some() {
        let _ = Fixture::new().call_host(&raw const dt_host, &mut |_, _| {
            // SAFETY: it only sends a signal.
            unsafe { libc::raise(libc::SIGSEGV) };
            println!("survived");
            returned(0)
        });
        return;
    }
    let output = in_child("faults_that_are_only_signals_have_their_default_action");
    assert_eq!(signal(&output), Some(libc::SIGSEGV), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("survived"), "{output:?}");
}

/// Uses up the stack that it is called on.
fn burn(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 128]);
    if frame[0] == u64::MAX { 0 } else { burn(depth + 1) + frame[1] }
}

#[test]
fn host_functions_that_exhaust_the_stack_while_their_thread_is_lent_are_named() {
    if std::env::var_os(CHILD).is_some() {
        let _ = Fixture::new().call_host(&raw const dt_host, &mut |thread, _| {
            let thread = thread as usize;
            std::thread::spawn(move || {
                let thread = NonNull::new(thread as *mut Thread).expect("thread");
                loop {
                    // SAFETY: the host function, which never returns, does not use the thread.
                    let _ = unsafe { call(thread, &raw const dt_recurse, 0) };
                }
            });
            std::thread::sleep(Duration::from_millis(50));
            returned(burn(0))
        });
        return;
    }
    let output = in_child("host_functions_that_exhaust_the_stack_while_their_thread_is_lent_are_named");
    assert_eq!(signal(&output), Some(libc::SIGSEGV), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("a host function exhausted the native stack"), "{message}");
}

#[test]
fn host_functions_that_exhaust_the_stack_are_named() {
    if std::env::var_os(CHILD).is_some() {
        let _ = Fixture::new().call_host(&raw const dt_host, &mut |_, _| returned(burn(0)));
        return;
    }
    let output = in_child("host_functions_that_exhaust_the_stack_are_named");
    assert_eq!(signal(&output), Some(libc::SIGSEGV), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("a host function exhausted the native stack"), "{message}");
}
