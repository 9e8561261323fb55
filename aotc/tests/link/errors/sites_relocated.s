# ERROR: function at 0x0 has a call-site table of unknown form: it has relocations
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        nop
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   255, 255, 3, 13
        .long   f - .
        .long   1, 0
        .byte   0
