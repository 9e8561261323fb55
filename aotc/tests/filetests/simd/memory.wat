;; emit: asm
;; 
;; Loads check the bytes that they read, as all loads do, and widen or repeat them on the way.
;;
;; FUNC: extended
;; CHECK: leaq 108(
;; CHECK: ja
;; CHECK: vpmovzxbw 100(
;; CHECK: ret
;;
;; FUNC: repeated
;; CHECK: leaq 104(
;; CHECK: ja
;; CHECK: vbroadcastss 100(
;; CHECK: ret
;;
;; FUNC: alone
;; CHECK: leaq 108(
;; CHECK: ja
;; CHECK: vmovsd 100(
;; CHECK: ret
;;
;; FUNC: lane
;; CHECK: leaq 2(
;; CHECK: ja
;; CHECK: vpinsrw $3, (
;; CHECK: ret
;;
;; FUNC: stored_lane
;; CHECK: leaq 8(
;; CHECK: ja
;; CHECK: vpextrq $1, %xmm0, (
;; CHECK: ret

(module
  (memory 1)
  (func $extended (param i32) (result v128) (v128.load8x8_u offset=100 (local.get 0)))
  (func $repeated (param i32) (result v128) (v128.load32_splat offset=100 (local.get 0)))
  (func $alone (param i32) (result v128) (v128.load64_zero offset=100 (local.get 0)))
  (func $lane (param i32 v128) (result v128) (v128.load16_lane 3 (local.get 0) (local.get 1)))
  (func $stored_lane (param i32 v128) (v128.store64_lane 1 (local.get 0) (local.get 1)))
  (elem declare func $extended $repeated $alone $lane $stored_lane))
