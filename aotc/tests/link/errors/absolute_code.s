# ERROR: relocation of type 10 at `.text`+0x1 of partition 0 against `f` cannot be resolved
        .text
        .globl f
        .type f,@function
f:      movl    $f, %eax
        retq
