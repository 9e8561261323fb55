;; emit: asm
;; Operators that quiet signalling NaNs stay, even where they are identities otherwise.
(module
  ;; FUNC: mul_one
  ;; CHECK: vmulss
  (func $mul_one (export "mul_one") (param f32) (result f32)
    (f32.mul (local.get 0) (f32.const 1)))

  ;; FUNC: sub_zero
  ;; CHECK: vsubsd
  (func $sub_zero (export "sub_zero") (param f64) (result f64)
    (f64.sub (local.get 0) (f64.const 0)))

  ;; FUNC: negate_by_sub
  ;; CHECK: vsubsd
  (func $negate_by_sub (export "negate_by_sub") (param f64) (result f64)
    (f64.sub (f64.const -0) (local.get 0)))

  ;; FUNC: there_and_back
  ;; CHECK: vcvtss2sd
  ;; CHECK: vcvtsd2ss
  (func $there_and_back (export "there_and_back") (param f32) (result f32)
    (f32.demote_f64 (f64.promote_f32 (local.get 0))))

  ;; No multiplication and addition become one, which would round once.
  ;; FUNC: mul_add
  ;; CHECK: vmulsd
  ;; CHECK: vaddsd
  (func $mul_add (export "mul_add") (param f64 f64 f64) (result f64)
    (f64.add (f64.mul (local.get 0) (local.get 1)) (local.get 2)))

  ;; Both orders, so that NaN and the sign of zero come out right; no branch.
  ;; FUNC: min
  ;; NOT: j
  ;; CHECK: vminsd
  ;; CHECK: vminsd
  ;; CHECK: vorpd
  ;; CHECK: vaddsd
  ;; CHECK: vcmpunordsd
  ;; CHECK: vblendvpd
  (func $min (export "min") (param f64 f64) (result f64)
    (f64.min (local.get 0) (local.get 1)))
)
