# ERROR: register 3 (DWARF number) of the frame at 0x0 is not saved in the frame
        .text
f:      .cfi_startproc
        .cfi_register %rbx, %rdx
        retq
        .cfi_endproc
