# ERROR: malformed unwind information
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        nop
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   255, 255, 1, 9, 0, 1
