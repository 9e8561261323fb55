;; emit: asm
;; 
;; Arithmetic, order and questions of integer lanes.
;;
;; FUNC: average
;; NOT: vpmovzx
;; CHECK: vpavgb
;; CHECK: ret
;;
;; FUNC: average_words
;; NOT: vpmovzx
;; CHECK: vpavgw
;; CHECK: ret
;;
;; FUNC: saturated
;; CHECK: vpaddsb
;; CHECK: ret
;;
;; FUNC: least
;; CHECK: vpminuw
;; CHECK: ret
;;
;; FUNC: absolute
;; CHECK: vpabsd
;; CHECK: ret
;;
;; FUNC: looked_up
;; NOT: vpextrb
;; CHECK: vpaddusb
;; CHECK: vpshufb
;; CHECK: ret
;;
;; FUNC: shuffled
;; NOT: vpshufb
;; CHECK: vpunpcklbw
;; CHECK: ret
;;
;; FUNC: mask
;; CHECK: vpmovmskb
;; CHECK: ret
;;
;; FUNC: mask_words
;; CHECK: vmovmskps
;; CHECK: ret
;;
;; FUNC: any
;; CHECK: vptest
;; CHECK: setne
;; CHECK: ret
;;
;; FUNC: all
;; NOT: vpextr
;; CHECK: vpcmpeqd
;; CHECK: sete
;; CHECK: ret
;;
;; FUNC: shifted
;; NOT: vpextr
;; CHECK: andl $15
;; CHECK: vpsraw
;; CHECK: ret

(module
  (func $average (param v128 v128) (result v128) (i8x16.avgr_u (local.get 0) (local.get 1)))
  (func $average_words (param v128 v128) (result v128) (i16x8.avgr_u (local.get 0) (local.get 1)))
  (func $saturated (param v128 v128) (result v128) (i8x16.add_sat_s (local.get 0) (local.get 1)))
  (func $least (param v128 v128) (result v128) (i16x8.min_u (local.get 0) (local.get 1)))
  (func $absolute (param v128) (result v128) (i32x4.abs (local.get 0)))
  (func $looked_up (param v128 v128) (result v128) (i8x16.swizzle (local.get 0) (local.get 1)))
  (func $shuffled (param v128 v128) (result v128)
    (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get 0) (local.get 1)))
  (func $mask (param v128) (result i32) (i8x16.bitmask (local.get 0)))
  (func $mask_words (param v128) (result i32) (i32x4.bitmask (local.get 0)))
  (func $any (param v128) (result i32) (v128.any_true (local.get 0)))
  (func $all (param v128) (result i32) (i32x4.all_true (local.get 0)))
  (func $shifted (param v128 i32) (result v128) (i16x8.shr_s (local.get 0) (local.get 1)))
  (elem declare func $average $average_words $saturated $least $absolute $looked_up $shuffled $mask $mask_words $any $all $shifted))
