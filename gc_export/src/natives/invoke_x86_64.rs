//! Calling a C function with arguments that are known only now, on x86-64 (System V).
//!
//! The first six integers or pointers go into `rdi`, `rsi`, `rdx`, `rcx`, `r8`, `r9`, the first eight floats into
//! `xmm0` to `xmm7`, all others on the stack in order, a word each; the stack is aligned to 16 bytes at the call. The
//! result is in `rax` or `xmm0`.

use std::ffi::c_void;

/// Integers and pointers that go into registers.
const INT_REGISTERS: usize = 6;

/// Floats that go into registers.
const FLOAT_REGISTERS: usize = 8;

/// The arguments of a call in the making.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    ints: Vec<u64>,
    floats: Vec<u64>,
    stack: Vec<u64>,
}

/// What [`enter`] reads and writes.
#[repr(C)]
struct Call {
    function: *const c_void,
    ints: [u64; INT_REGISTERS],
    floats: [u64; FLOAT_REGISTERS],
    stack: *const u64,
    stack_words: u64,
    int_result: u64,
    float_result: u64,
}

impl Arguments {
    /// Adds an integer or a pointer.
    pub(super) fn int(&mut self, value: u64) {
        if self.ints.len() < INT_REGISTERS { self.ints.push(value) } else { self.stack.push(value) }
    }

    /// Adds a float, by its bits.
    pub(super) fn float(&mut self, bits: u64) {
        if self.floats.len() < FLOAT_REGISTERS { self.floats.push(bits) } else { self.stack.push(bits) }
    }

    /// Calls a function; returns what it leaves where integers are returned, and where floats are.
    ///
    /// # Safety
    ///
    /// `function` must be a C function with parameters of the classes that were added, in this order. It must not
    /// unwind, nor jump out of itself.
    pub(super) unsafe fn call(&self, function: *const c_void) -> (u64, u64) {
        let mut call = Call {
            function,
            ints: [0; INT_REGISTERS],
            floats: [0; FLOAT_REGISTERS],
            stack: self.stack.as_ptr(),
            stack_words: self.stack.len() as u64,
            int_result: 0,
            float_result: 0,
        };
        call.ints[..self.ints.len()].copy_from_slice(&self.ints);
        call.floats[..self.floats.len()].copy_from_slice(&self.floats);
        // SAFETY: the record is complete; the rest is the caller's promise.
        unsafe { enter(&raw mut call) };
        (call.int_result, call.float_result)
    }
}

/// Calls `call.function` and leaves its results there.
///
/// # Safety
///
/// As for [`Arguments::call`].
#[unsafe(naked)]
unsafe extern "C" fn enter(call: *mut Call) {
    std::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "sub rsp, 8",
        "mov rbx, rdi",
        // The words on the stack, and one more if they are odd.
        "mov rcx, [rbx + {stack_words}]",
        "mov rsi, [rbx + {stack}]",
        "lea rax, [rcx + 1]",
        "and rax, -2",
        "shl rax, 3",
        "sub rsp, rax",
        "mov rdi, rsp",
        "rep movsq",
        "movsd xmm0, [rbx + {floats}]",
        "movsd xmm1, [rbx + {floats} + 8]",
        "movsd xmm2, [rbx + {floats} + 16]",
        "movsd xmm3, [rbx + {floats} + 24]",
        "movsd xmm4, [rbx + {floats} + 32]",
        "movsd xmm5, [rbx + {floats} + 40]",
        "movsd xmm6, [rbx + {floats} + 48]",
        "movsd xmm7, [rbx + {floats} + 56]",
        "mov rdi, [rbx + {ints}]",
        "mov rsi, [rbx + {ints} + 8]",
        "mov rdx, [rbx + {ints} + 16]",
        "mov rcx, [rbx + {ints} + 24]",
        "mov r8, [rbx + {ints} + 32]",
        "mov r9, [rbx + {ints} + 40]",
        // Functions with variable arguments read how many vector registers are used, at most.
        "mov eax, 8",
        "call [rbx + {function}]",
        "mov [rbx + {int_result}], rax",
        "movsd [rbx + {float_result}], xmm0",
        "mov rbx, [rbp - 8]",
        "leave",
        "ret",
        function = const std::mem::offset_of!(Call, function),
        ints = const std::mem::offset_of!(Call, ints),
        floats = const std::mem::offset_of!(Call, floats),
        stack = const std::mem::offset_of!(Call, stack),
        stack_words = const std::mem::offset_of!(Call, stack_words),
        int_result = const std::mem::offset_of!(Call, int_result),
        float_result = const std::mem::offset_of!(Call, float_result),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn ints(a: u64, b: i32, c: u64, d: u64, e: u64, f: u64, g: i32, h: u64) -> u64 {
        a + 2 * b as u64 + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g as u64 + 8 * h
    }

    extern "C" fn mixed(a: f64, i: u64, b: f32, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64, j: f32, k: f64) -> f64 {
        a + f64::from(b) + c + d + e + f + g + h + 100.0 * f64::from(j) + 1000.0 * k + i as f64 / 2.0
    }

    #[test]
    fn integers_go_into_registers_and_on_the_stack() {
        let mut arguments = Arguments::default();
        (1..=8).for_each(|value| arguments.int(value));
        // SAFETY: the function takes eight integers.
        let (result, _) = unsafe { arguments.call(ints as *const c_void) };
        assert_eq!(result, (1..=8).map(|value| value * value).sum::<u64>());
    }

    #[test]
    fn floats_go_into_registers_and_on_the_stack() {
        let mut arguments = Arguments::default();
        let doubles = |arguments: &mut Arguments, count| (0..count).for_each(|_| arguments.float(1f64.to_bits()));
        doubles(&mut arguments, 1);
        arguments.int(3);
        arguments.float(2f32.to_bits().into());
        doubles(&mut arguments, 6);
        arguments.float(3f32.to_bits().into());
        doubles(&mut arguments, 1);
        // SAFETY: the function takes these classes in this order.
        let (_, result) = unsafe { arguments.call(mixed as *const c_void) };
        assert_eq!(f64::from_bits(result), 9.0 + 300.0 + 1000.0 + 1.5);
    }
}
