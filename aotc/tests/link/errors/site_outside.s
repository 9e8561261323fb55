# ERROR: function at 0x0 has a call-site table of unknown form: call sites overlap or leave the function
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        nop
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   255, 255, 1, 4, 0, 3, 0, 0
