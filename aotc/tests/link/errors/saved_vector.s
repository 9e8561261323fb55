# ERROR: register 17 (DWARF number) of the frame at 0x0 is not saved in the frame
        .text
f:      .cfi_startproc
        .cfi_offset %xmm0, -16
        retq
        .cfi_endproc
