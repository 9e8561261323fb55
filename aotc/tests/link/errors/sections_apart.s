# ERROR: relocation at `.text`+0x3 of partition 0 against `.gcc_except_table` refers to a section that is not part of the image
        .text
        leaq    .gcc_except_table(%rip), %rax
        .section .gcc_except_table,"a",@progbits
        .byte   1
