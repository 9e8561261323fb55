# ERROR: relocation at `.text`+0x2 of partition 0 against `.text` lies outside its section
        .text
        .reloc  2, R_X86_64_PC32, .text
        .byte   0, 0, 0, 0
