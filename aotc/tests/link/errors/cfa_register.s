# ERROR: frame at 0x0 is not relative to stack or frame pointer by a constant
        .text
f:      .cfi_startproc
        .cfi_def_cfa %rbx, 16
        retq
        .cfi_endproc
