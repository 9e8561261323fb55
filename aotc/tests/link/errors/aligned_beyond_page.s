# ERROR: section `.text.big` of partition 0 is neither code nor constants
        .section .text.big,"ax",@progbits
        .p2align 13
        nop
