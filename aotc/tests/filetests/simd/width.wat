;; emit: asm
;; 
;; Operators that one instruction performs: it is found in what they are translated to, and nothing is done lane by
;; lane.
;;
;; FUNC: narrow_signed
;; NOT: vpextr
;; NOT: vpmin
;; CHECK: vpacksswb
;; CHECK: ret
;;
;; FUNC: narrow_unsigned
;; NOT: vpmin
;; CHECK: vpackuswb
;; CHECK: ret
;;
;; FUNC: narrow_words_signed
;; NOT: vpmin
;; CHECK: vpackssdw
;; CHECK: ret
;;
;; FUNC: narrow_words_unsigned
;; NOT: vpmin
;; CHECK: vpackusdw
;; CHECK: ret
;;
;; FUNC: dot
;; NOT: vpmulld
;; NOT: vpmovsx
;; CHECK: vpmaddwd
;; CHECK: ret
;;
;; FUNC: product
;; CHECK: vpmuldq
;; CHECK: ret
;;
;; FUNC: extended
;; NOT: vpsra
;; CHECK: vpmovsxwd
;; CHECK: ret
;;
;; FUNC: fixed_point
;; NOT: vpmulld
;; CHECK: vpmulhrsw
;; CHECK: vpcmpeqw
;; CHECK: vpxor
;; CHECK: ret
;;
;; FUNC: pairs
;; NOT: vpextr
;; CHECK: vpaddw
;; CHECK: ret

(module
  (func $narrow_signed (param v128 v128) (result v128) (i8x16.narrow_i16x8_s (local.get 0) (local.get 1)))
  (func $narrow_unsigned (param v128 v128) (result v128) (i8x16.narrow_i16x8_u (local.get 0) (local.get 1)))
  (func $narrow_words_signed (param v128 v128) (result v128) (i16x8.narrow_i32x4_s (local.get 0) (local.get 1)))
  (func $narrow_words_unsigned (param v128 v128) (result v128) (i16x8.narrow_i32x4_u (local.get 0) (local.get 1)))
  (func $dot (param v128 v128) (result v128) (i32x4.dot_i16x8_s (local.get 0) (local.get 1)))
  (func $product (param v128 v128) (result v128) (i64x2.extmul_low_i32x4_s (local.get 0) (local.get 1)))
  (func $extended (param v128) (result v128) (i32x4.extend_low_i16x8_s (local.get 0)))
  (func $fixed_point (param v128 v128) (result v128) (i16x8.q15mulr_sat_s (local.get 0) (local.get 1)))
  (func $pairs (param v128) (result v128) (i16x8.extadd_pairwise_i8x16_u (local.get 0)))
  (elem declare func $narrow_signed $narrow_unsigned $narrow_words_signed $narrow_words_unsigned $dot $product $extended $fixed_point $pairs))
