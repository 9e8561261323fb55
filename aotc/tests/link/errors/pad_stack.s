# ERROR: stack pointer at landing pad 0x6 differs from that of every call that unwinds to it
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        .cfi_def_cfa_offset 16
        callq   f
        nop
        .cfi_def_cfa_offset 32
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   255, 255, 1, 4, 0, 5, 6, 0
