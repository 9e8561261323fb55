;; emit: asm
;; 
;; Float lanes: pseudo-minimum and rounding are single instructions; conversions stay in vectors; a multiplication by
;; one stays, because it makes NaNs quiet; relaxed multiply-add is not fused, although this CPU could.
;;
;; FUNC: pseudo_min
;; NOT: vblend
;; CHECK: vminps
;; CHECK: ret
;;
;; FUNC: pseudo_max
;; NOT: vblend
;; CHECK: vmaxpd
;; CHECK: ret
;;
;; FUNC: nearest
;; CHECK: vroundps $8
;; CHECK: ret
;;
;; FUNC: saturate
;; NOT: vcvttss2si
;; CHECK: vcvttps2dq
;; CHECK: ret
;;
;; FUNC: saturate_unsigned
;; NOT: vcvttss2si
;; CHECK: vcvttps2dq
;; CHECK: ret
;;
;; FUNC: saturate_low
;; NOT: vcvttsd2si
;; CHECK: vcvttpd2dq
;; CHECK: ret
;;
;; FUNC: saturate_low_unsigned
;; NOT: vcvttsd2si
;; CHECK: vroundpd $11
;; CHECK: vaddpd
;; CHECK: ret
;;
;; FUNC: converted
;; NOT: vcvtsi2ss
;; CHECK: vaddps
;; CHECK: ret
;;
;; FUNC: times_one
;; CHECK: vmulps
;; CHECK: ret
;;
;; FUNC: plus_zero_lane
;; CHECK: vadd
;; CHECK: ret
;;
;; FUNC: back
;; CHECK: vcvtps2pd
;; CHECK: vcvtpd2ps
;; CHECK: ret
;;
;; FUNC: multiply_add
;; NOT: vfmadd
;; CHECK: vmulps
;; CHECK: vaddps
;; CHECK: ret

(module
  (func $pseudo_min (param v128 v128) (result v128) (f32x4.pmin (local.get 0) (local.get 1)))
  (func $pseudo_max (param v128 v128) (result v128) (f64x2.pmax (local.get 0) (local.get 1)))
  (func $nearest (param v128) (result v128) (f32x4.nearest (local.get 0)))
  (func $saturate (param v128) (result v128) (i32x4.trunc_sat_f32x4_s (local.get 0)))
  (func $saturate_unsigned (param v128) (result v128) (i32x4.trunc_sat_f32x4_u (local.get 0)))
  (func $saturate_low (param v128) (result v128) (i32x4.trunc_sat_f64x2_s_zero (local.get 0)))
  (func $saturate_low_unsigned (param v128) (result v128) (i32x4.trunc_sat_f64x2_u_zero (local.get 0)))
  (func $converted (param v128) (result v128) (f32x4.convert_i32x4_u (local.get 0)))
  (func $times_one (param v128) (result v128) (f32x4.mul (local.get 0) (v128.const f32x4 1 1 1 1)))
  (func $plus_zero_lane (param v128) (result f64)
    (f64x2.extract_lane 1 (f64x2.add (local.get 0) (v128.const f64x2 2 -0))))
  (func $back (param v128) (result v128) (f32x4.demote_f64x2_zero (f64x2.promote_low_f32x4 (local.get 0))))
  (func $multiply_add (param v128 v128 v128) (result v128)
    (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))
  (elem declare func $pseudo_min $pseudo_max $nearest $saturate $saturate_unsigned $saturate_low $saturate_low_unsigned $converted $times_one $plus_zero_lane $back $multiply_add))
