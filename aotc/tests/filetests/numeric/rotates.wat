;; emit: asm
;; A product that is rotated by two shifts: one multiplication and one rotation.
(module
  ;; FUNC: word
  ;; CHECK: imull
  ;; NOT: imul
  ;; NOT: or
  ;; CHECK: ro
  ;; NOT: imul
  ;; CHECK: ret
  (func $word (export "word") (param $x i32) (result i32)
    (local $p i32)
    (local.set $p (i32.mul (local.get $x) (i32.const 0xcc9e2d51)))
    (i32.or (i32.shl (local.get $p) (i32.const 15)) (i32.shr_u (local.get $p) (i32.const 17))))

  ;; FUNC: long
  ;; CHECK: imulq
  ;; NOT: imul
  ;; CHECK: ro
  ;; NOT: imul
  ;; CHECK: ret
  (func $long (export "long") (param $x i64) (result i64)
    (local $p i64)
    (local.set $p (i64.mul (local.get $x) (i64.const 0x9e3779b185ebca87)))
    (i64.or (i64.shr_u (local.get $p) (i64.const 33)) (i64.shl (local.get $p) (i64.const 31)))))
