# ERROR: distance 4294967292 of relocation at `.text`+0x1 of partition 0 against `.text` does not fit its field
        .text
        .reloc  1, R_X86_64_PC32, .text+0xfffffffd
        .byte   0, 0, 0, 0, 0
