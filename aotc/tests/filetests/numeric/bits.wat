;; emit: asm
(module
  ;; FUNC: shift
  ;; NOT: and
  ;; CHECK: shlxl
  (func $shift (export "shift") (param i32 i32) (result i32)
    (i32.shl (local.get 0) (local.get 1)))

  ;; FUNC: rotate
  ;; CHECK: rolq
  (func $rotate (export "rotate") (param i64 i64) (result i64)
    (i64.rotl (local.get 0) (local.get 1)))

  ;; FUNC: leading
  ;; NOT: j
  ;; CHECK: lzcntl
  (func $leading (export "leading") (param i32) (result i32)
    (i32.clz (local.get 0)))

  ;; FUNC: nearest
  ;; NOT: call
  ;; CHECK: vroundsd $8
  (func $nearest (export "nearest") (param f64) (result f64)
    (f64.nearest (local.get 0)))
)
