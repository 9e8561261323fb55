//! Recognises code that only takes a frame down: x86-64 instructions that neither call nor touch memory which the
//! frame has not touched before.
//!
//! LLVM describes each step of each epilogue, which makes about two fifths of all rows; no return address and no
//! fault ever asks for them. What is not recognised costs a few bytes of table, nothing else.

/// Whether nothing but whole instructions of these kinds makes up the code: `add rsp, n`, `lea rsp, [rbp - n]`,
/// `pop`, `vzeroupper`, `ret`, `jmp` (direct or to a register), and padding.
pub(super) fn takes_frame_down(mut code: &[u8]) -> bool {
    while !code.is_empty() {
        match instruction_bytes(code).and_then(|len| code.get(len..)) {
            Some(rest) => code = rest,
            None => return false,
        }
    }
    true
}

/// Length of the first instruction, or `None` if it is of no kind above.
fn instruction_bytes(code: &[u8]) -> Option<usize> {
    match *code {
        // pop r64
        [0x58..=0x5f, ..] => Some(1),
        [0x41, 0x58..=0x5f, ..] => Some(2),
        // add rsp, imm8; lea rsp, [rbp + disp8]
        [0x48, 0x83, 0xc4, ..] | [0x48, 0x8d, 0x65, ..] => Some(4),
        // add rsp, imm32; lea rsp, [rbp + disp32]
        [0x48, 0x81, 0xc4, ..] | [0x48, 0x8d, 0xa5, ..] => Some(7),
        // vzeroupper
        [0xc5, 0xf8, 0x77, ..] => Some(3),
        // ret; ret imm16
        [0xc3, ..] => Some(1),
        [0xc2, ..] => Some(3),
        // jmp rel8; jmp rel32; jmp r64
        [0xeb, ..] => Some(2),
        [0xe9, ..] => Some(5),
        [0xff, 0xe0..=0xe7, ..] => Some(2),
        [0x41, 0xff, 0xe0..=0xe7, ..] => Some(3),
        // int3
        [0xcc, ..] => Some(1),
        _ => padding_bytes(code),
    }
}

/// Length of a `nop` of any of the lengths that assemblers pad with: prefixes, then one byte, or two bytes and an
/// address that is not used.
fn padding_bytes(code: &[u8]) -> Option<usize> {
    let prefixes = code.iter().take_while(|b| matches!(b, 0x66 | 0x2e)).count();
    match *code.get(prefixes..)? {
        [0x90, ..] => Some(prefixes + 1),
        [0x0f, 0x1f, mod_rm, ..] => {
            let scaled_index = usize::from(mod_rm & 7 == 4);
            let displacement = [0, 1, 4].get(usize::from(mod_rm >> 6))?;
            Some(prefixes + 3 + scaled_index + displacement)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::takes_frame_down;

    #[test]
    fn epilogues_are_recognised() {
        let epilogues: [&[u8]; 6] = [
            &[0x48, 0x83, 0xc4, 0x18, 0x5b, 0x41, 0x5e, 0xc2, 8, 0],
            &[0x48, 0x81, 0xc4, 0, 0x10, 0, 0, 0xc5, 0xf8, 0x77, 0xc3, 0xcc],
            &[0x48, 0x8d, 0x65, 0xe0, 0x5d, 0xff, 0xe0],
            &[0x48, 0x8d, 0xa5, 0, 0xff, 0xff, 0xff, 0x41, 0xff, 0xe3],
            &[0xeb, 0x10, 0x66, 0x90, 0x0f, 0x1f, 0, 0x0f, 0x1f, 0x40, 0, 0x90],
            &[0xe9, 1, 2, 3, 4, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        ];
        for code in epilogues {
            assert!(takes_frame_down(code), "{code:x?}");
            // A part of an instruction is none.
            assert!(!takes_frame_down(&[code, &[0x48]].concat()), "{code:x?}");
        }
    }

    #[test]
    fn other_code_is_not() {
        let others: [&[u8]; 9] = [
            &[0xe8, 0, 0, 0, 0],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd3],
            &[0xff, 0x25, 0, 0, 0, 0],
            &[0x53],
            &[0x48, 0x83, 0xec, 8],
            &[0x48, 0x8b, 0x07],
            &[0x5b, 0xe9, 0, 0],
            &[0x0f, 0x1f, 0xc0],
        ];
        for code in others {
            assert!(!takes_frame_down(code), "{code:x?}");
        }
    }
}
