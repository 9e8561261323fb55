;; emit: asm
(module
  ;; Two checks, no more.
  ;; FUNC: div_s
  ;; CHECK: testl
  ;; CHECK: je
  ;; CHECK: idivl
  ;; NOT: idiv
  (func $div_s (export "div_s") (param i32 i32) (result i32)
    (i32.div_s (local.get 0) (local.get 1)))

  ;; The remainder by -1 is no trap but a select.
  ;; FUNC: rem_s
  ;; CHECK: je
  ;; CHECK: cmpl $-1
  ;; NOT: j
  ;; CHECK: cmov
  ;; NOT: j
  ;; CHECK: idivl
  ;; CHECK: ret
  (func $rem_s (export "rem_s") (param i32 i32) (result i32)
    (i32.rem_s (local.get 0) (local.get 1)))

  ;; FUNC: by_constant
  ;; NOT: div
  ;; NOT: call
  ;; CHECK: ret
  (func $by_constant (export "by_constant") (param i32) (result i32)
    (i32.div_s (local.get 0) (i32.const 10)))
)
