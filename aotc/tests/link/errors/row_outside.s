# ERROR: unwind information for 0x1..0x41 lies outside the code or overlaps other such information
        .text
f:      .cfi_startproc
        retq
        .cfi_escape 0x02, 0x40, 0x0e, 0x10
        .cfi_endproc
