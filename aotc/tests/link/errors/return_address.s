# ERROR: register 16 (DWARF number) of the frame at 0x0 is not saved in the frame
        .text
f:      .cfi_startproc
        .cfi_offset %rip, -16
        retq
        .cfi_endproc
