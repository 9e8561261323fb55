# ERROR: symbol `shared` of partition 0 is defined in no section
        .text
        .comm   shared, 8
        leaq    shared(%rip), %rax
