# Call frame information in every form that the tables express, at known offsets.
        .text
        .globl  "wasm[0]"
        .type   "wasm[0]",@function
"wasm[0]":                              # 0
        .cfi_startproc
        .cfi_personality 155, DW.ref.dolmen_personality
        .cfi_lsda 27, .Ldata0
        pushq   %rbx                    # 0..1
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        subq    $32, %rsp               # 1..5
        .cfi_def_cfa_offset 48
.Ltry0:
        callq   callee                  # 5..10
.Ltry1:
        callq   callee                  # 10..15
.Ltry2:
        .cfi_escape 0x2e, 0x10          # GNU_args_size 16
        pushq   $1                      # 15..17
        .cfi_adjust_cfa_offset 8
        pushq   $2                      # 17..19
        .cfi_adjust_cfa_offset 8
        callq   callee                  # 19..24
        addq    $16, %rsp               # 24..28
        .cfi_adjust_cfa_offset -16
        .cfi_escape 0x2e, 0x00
.Ltry3:
        clc                             # 28
.Lpad:
        addq    $32, %rsp               # 29..33
        .cfi_def_cfa_offset 16
        popq    %rbx                    # 33
        .cfi_def_cfa_offset 8
        .cfi_restore %rbx
        retq                            # 34
.Lend0:                                 # 35
        .cfi_endproc
        .size   "wasm[0]", .Lend0-"wasm[0]"

        .p2align 4
        .type   "local",@function
"local":                                # 48
        .cfi_startproc
        pushq   %rbp                    # 48
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp              # 49..52
        .cfi_def_cfa_register %rbp
        pushq   %r15                    # 52..54
        pushq   %r12                    # 54..56
        .cfi_offset %r12, -32
        .cfi_offset %r15, -24
        callq   callee                  # 56..61
        .cfi_remember_state
        popq    %rbp                    # 61
        .cfi_def_cfa %rsp, 8
        retq                            # 62
        .cfi_restore_state
        leaq    -4096(%rsp), %r11       # 63..71
        .cfi_def_cfa %r11, 4112
        clc                             # 71
        .cfi_def_cfa %rsp, 4112
        callq   callee                  # 72..77
        .cfi_endproc                    # 77
.Lend1:
        .size   "local", .Lend1-"local"

        .p2align 4
        .globl  callee
        .type   callee,@function
callee:                                 # 80
        .cfi_startproc
        retq
        .cfi_endproc                    # 81
        .size   callee, 1

        .section .gcc_except_table,"a",@progbits
.Ldata0:
        .byte   255                     # landing pads relative to the function
        .byte   155                     # type descriptors: indirect, relative, 4 bytes
        .uleb128 .Ltypes-.Ltypes_from
.Ltypes_from:
        .byte   1                       # call sites in uleb128
        .uleb128 .Lsites_end-.Lsites
.Lsites:
        .uleb128 .Ltry0-"wasm[0]"
        .uleb128 .Ltry1-.Ltry0
        .uleb128 .Lpad-"wasm[0]"
        .byte   1
        .uleb128 .Ltry1-"wasm[0]"
        .uleb128 .Ltry2-.Ltry1
        .byte   0
        .byte   0
        .uleb128 .Ltry2-"wasm[0]"
        .uleb128 .Ltry3-.Ltry2
        .uleb128 .Lpad-"wasm[0]"
        .byte   1
.Lsites_end:
        .byte   1, 0
        .p2align 2
        .long   0
.Ltypes:
        .section .data.DW.ref.dolmen_personality,"awG",@progbits,DW.ref.dolmen_personality,comdat
        .weak   DW.ref.dolmen_personality
DW.ref.dolmen_personality:
        .quad   dolmen_personality
