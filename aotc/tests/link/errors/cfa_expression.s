# ERROR: frame at 0x1 is not relative to stack or frame pointer by a constant
        .text
f:      .cfi_startproc
        nop
        .cfi_escape 0x0f, 0x03, 0x77, 0x08, 0x06
        retq
        .cfi_endproc
