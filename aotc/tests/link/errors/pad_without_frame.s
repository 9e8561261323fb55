# ERROR: function at 0x0 has a call-site table of unknown form: a landing pad has no frame
        .text
f:      .cfi_startproc
        .cfi_lsda 27, .Ldata
        callq   f
        nop
        .cfi_def_cfa %r11, 24
        retq
        .cfi_endproc
        .section .gcc_except_table,"a",@progbits
.Ldata: .byte   255, 255, 1, 4, 0, 5, 6, 0
