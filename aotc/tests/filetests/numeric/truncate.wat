;; emit: asm
(module
  ;; What is wrong with an operand is found out behind the conversion, on the cold path.
  ;; FUNC: trap
  ;; CHECK: vucomisd
  ;; CHECK: vucomisd
  ;; CHECK: vcvttsd2si
  ;; CHECK: ret
  ;; CHECK: movl $6, %esi
  (func $trap (export "trap") (param f64) (result i32)
    (i32.trunc_f64_s (local.get 0)))

  ;; FUNC: saturate
  ;; NOT: j
  ;; CHECK: vcvttsd2si
  ;; CHECK: ret
  (func $saturate (export "saturate") (param f64) (result i32)
    (i32.trunc_sat_f64_s (local.get 0)))
)
