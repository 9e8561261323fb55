# ERROR: function at 0x0 has a call-site table of unknown form: landing pads have a base of their own
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        nop
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   0, 0, 0, 0, 0
