# ERROR: unwind information for 0x1..0x3 lies outside the code or overlaps other such information
        .text
f:      nop
g:      nop
        retq
        .section .eh_frame,"a",@unwind
.Lcie:  .long   .Lcie_end - .Lcie_id
.Lcie_id:
        .long   0
        .byte   1
        .asciz  "zR"
        .uleb128 1
        .sleb128 -8
        .byte   16
        .uleb128 1
        .byte   27
        .byte   0x0c, 7, 8, 0x90, 1
        .p2align 3
.Lcie_end:
        .long   .Lf_end - .Lf_id
.Lf_id: .long   .Lf_id - .Lcie
        .long   f - .
        .long   2
        .uleb128 0
        .p2align 3
.Lf_end:
        .long   .Lg_end - .Lg_id
.Lg_id: .long   .Lg_id - .Lcie
        .long   g - .
        .long   2
        .uleb128 0
        .p2align 3
.Lg_end:
