;; emit: asm
;; Functions with a loop in a loop and several calls, which become part of callers that know something.
(module
  (type $numbers (array (mut f64)))

  ;; The product of a vector and a matrix whose elements are computed: LLVM would inline both calls.
  (func $multiply (param $from (ref $numbers)) (param $to (ref $numbers))
    (local $i i32) (local $j i32) (local $n i32) (local $k i32) (local $sum f64)
    (local.set $n (array.len (local.get $from)))
    (loop $rows
      (if (i32.lt_s (local.get $i) (local.get $n))
        (then
          (local.set $sum (f64.const 0))
          (local.set $j (i32.const 0))
          (loop $columns
            (if (i32.lt_s (local.get $j) (local.get $n))
              (then
                (local.set $k (i32.add (local.get $i) (local.get $j)))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 31)) (i32.shr_u (local.get $k) (i32.const 5))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 33)) (i32.shr_u (local.get $k) (i32.const 6))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 35)) (i32.shr_u (local.get $k) (i32.const 7))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 37)) (i32.shr_u (local.get $k) (i32.const 8))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 39)) (i32.shr_u (local.get $k) (i32.const 9))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 41)) (i32.shr_u (local.get $k) (i32.const 10))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 43)) (i32.shr_u (local.get $k) (i32.const 11))))
                (local.set $k (i32.xor (i32.mul (local.get $k) (i32.const 45)) (i32.shr_u (local.get $k) (i32.const 12))))
                (local.set $sum
                  (f64.add (local.get $sum)
                    (f64.mul
                      (f64.div (f64.const 1) (f64.convert_i32_s (local.get $k)))
                      (array.get $numbers (local.get $from) (local.get $j)))))
                (local.set $j (i32.add (local.get $j) (i32.const 1)))
                (br $columns))))
          (array.set $numbers (local.get $to) (local.get $i) (local.get $sum))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $rows)))))

  ;; FUNC: apart
  ;; CHECK: callq "wasm
  ;; CHECK: callq "wasm
  (func $apart (export "apart") (param $x (ref $numbers)) (param $y (ref $numbers)) (param $steps i32)
    (loop $next
      (call $multiply (local.get $x) (local.get $y))
      (call $multiply (local.get $y) (local.get $x))
      (br_if $next (local.tee $steps (i32.sub (local.get $steps) (i32.const 1))))))

  ;; The number of rounds is known here.
  ;; FUNC: known
  ;; NOT: callq "wasm
  ;; CHECK: ret
  (func $known (export "known") (result f64)
    (local $x (ref $numbers)) (local $y (ref $numbers))
    (local.set $x (array.new_fixed $numbers 4 (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4)))
    (local.set $y (array.new_fixed $numbers 4 (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 0)))
    (call $multiply (local.get $x) (local.get $y))
    (array.get $numbers (local.get $y) (i32.const 3)))

  ;; A small one.
  (func $count (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $sum i32)
    (loop $rows
      (local.set $j (local.get $i))
      (loop $columns
        (local.set $sum (i32.xor (i32.mul (local.get $sum) (i32.const 31)) (local.get $j)))
        (br_if $columns (i32.lt_s (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (br_if $rows (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $sum))

  ;; FUNC: inlined
  ;; NOT: callq "wasm
  ;; CHECK: ret
  (func $inlined (export "inlined") (param $n i32) (param $m i32) (result i32)
    (i32.add (call $count (local.get $n)) (call $count (local.get $m))))
)
