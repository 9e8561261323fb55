;; emit: ir
(module
  (memory $growing 1)
  (memory $fixed 1 1)
  (memory $wide i64 1)

  ;; The check of the larger offset covers the smaller one.
  ;; FUNC: dominated
  ;; CHECK: icmp ugt
  ;; NOT: icmp
  ;; CHECK: ret i32
  (func $dominated (export "dominated") (param i32) (result i32)
    (i32.add (i32.load offset=12 (local.get 0)) (i32.load offset=8 (local.get 0))))

  ;; A load whose result is unused traps all the same.
  ;; FUNC: unused
  ;; CHECK: icmp ugt
  ;; CHECK: br i1
  ;; NOT: load i32
  ;; CHECK: ret void
  (func $unused (export "unused") (param i32)
    (drop (i32.load (local.get 0))))

  ;; FUNC: fixed_size
  ;; CHECK: icmp ugt i32 %3, 65532
  (func $fixed_size (export "fixed_size") (param i32) (result i32)
    (i32.load $fixed (local.get 0)))

  ;; One comparison for 64-bit addresses too.
  ;; FUNC: wide
  ;; CHECK: call i64 @llvm.usub.sat.i64
  ;; CHECK: icmp
  ;; NOT: icmp
  ;; CHECK: ret i64
  (func $wide (export "wide") (param i64) (result i64)
    (i64.load $wide offset=0x100000000 (local.get 0)))

  ;; No address has that many bytes behind it.
  ;; FUNC: too_wide
  ;; NOT: icmp
  ;; NOT: ret
  ;; CHECK: unreachable
  (func $too_wide (export "too_wide") (param i64) (result i64)
    (i64.load $wide offset=0xffffffffffffffff (local.get 0)))

  ;; Base and length are loaded in front of the loop, though the loop accesses the memory under a condition.
  ;; FUNC: sum
  ;; CHECK: load ptr
  ;; CHECK: loop:
  ;; NOT: load
  ;; CHECK: trap:
  ;; CHECK: unreachable
  ;; NOT: load ptr
  ;; NOT: load i64
  ;; CHECK: load i32
  ;; NOT: load
  ;; CHECK: ret
  (func $sum (export "sum") (param $p i32) (param $n i32) (result i32) (local $s i32)
    (loop $again
      (if (i32.and (local.get $n) (i32.const 4))
        (then (local.set $s (i32.add (local.get $s) (i32.load (local.get $p))))))
      (i32.store offset=4 (local.get $p) (local.get $s))
      (local.set $p (i32.add (local.get $p) (i32.const 8)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))
)
