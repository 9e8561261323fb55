;; emit: asm
;; Functions with one call that become part of their caller, whatever their size.
(module
  (type $points (array (mut f64)))

  ;; The step of a simulation, in the loop that calls it: too much for LLVM's inliner, which does not see that the code
  ;; becomes no more by it.
  ;; FUNC: run
  ;; NOT: callq "wasm
  ;; CHECK: vdivsd
  ;; NOT: callq "wasm
  (func $run (export "run") (param $points (ref $points)) (param $steps i32)
    (loop $next
      (call $step (local.get $points) (local.get $steps))
      (br_if $next (local.tee $steps (i32.sub (local.get $steps) (i32.const 1))))))
  (func $step (param $points (ref $points)) (param $i i32)
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 1))
      (f64.div (f64.const 1) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 1)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 2))
      (f64.div (f64.const 2) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 2)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 3))
      (f64.div (f64.const 3) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 3)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 4))
      (f64.div (f64.const 4) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 4)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 5))
      (f64.div (f64.const 5) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 5)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 6))
      (f64.div (f64.const 6) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 6)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 7))
      (f64.div (f64.const 7) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 7)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 8))
      (f64.div (f64.const 8) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 8)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 9))
      (f64.div (f64.const 9) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 9)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 10))
      (f64.div (f64.const 10) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 10)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 11))
      (f64.div (f64.const 11) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 11)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 12))
      (f64.div (f64.const 12) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 12)))))
    (array.set $points (local.get $points) (i32.and (local.get $i) (i32.const 13))
      (f64.div (f64.const 13) (array.get $points (local.get $points) (i32.xor (local.get $i) (i32.const 13))))))
)
