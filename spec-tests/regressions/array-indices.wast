;; Loops over arrays in whose rounds indices are not compared with the length because they relate to each other, and
;; such where that would be wrong: the last rounds are outside, or store to what the code around the loop has loaded.
(module
  (type $ints (array (mut i32)))

  (func $iota (param $n i32) (result (ref $ints)) (local $a (ref $ints)) (local $i i32)
    (local.set $a (array.new_default $ints (local.get $n)))
    (loop $again
      (array.set $ints (local.get $a) (local.get $i) (local.get $i))
      (br_if $again (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $a))

  ;; The elements as digits of a number.
  (func $digits (param $a (ref $ints)) (result i64) (local $i i32) (local $s i64)
    (loop $again
      (local.set $s (i64.add (i64.mul (local.get $s) (i64.const 10))
        (i64.extend_i32_s (array.get $ints (local.get $a) (local.get $i)))))
      (br_if $again (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $a)))))
    (local.get $s))

  ;; Reverses elements while the first one is not zero.
  (func $flips (param $a (ref $ints)) (param $limit i32) (result i32)
    (local $i i32) (local $j i32) (local $k i32) (local $t i32) (local $flips i32)
    (block $done
      (loop $flip
        (local.set $k (array.get $ints (local.get $a) (i32.const 0)))
        (br_if $done (i32.eqz (local.get $k)))
        (br_if $done (i32.eq (local.get $flips) (local.get $limit)))
        (local.set $i (i32.const 0))
        (local.set $j (local.get $k))
        (loop $reverse
          (local.set $t (array.get $ints (local.get $a) (local.get $i)))
          (array.set $ints (local.get $a) (local.get $i) (array.get $ints (local.get $a) (local.get $j)))
          (array.set $ints (local.get $a) (local.get $j) (local.get $t))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.set $j (i32.sub (local.get $j) (i32.const 1)))
          (br_if $reverse (i32.lt_s (local.get $i) (local.get $j))))
        (local.set $flips (i32.add (local.get $flips) (i32.const 1)))
        (br $flip)))
    (local.get $flips))

  ;; Rotates 0 … n-1 by a few places, then flips.
  (func (export "flips") (param $n i32) (param $by i32) (param $limit i32) (result i32)
    (local $a (ref $ints)) (local $i i32)
    (local.set $a (call $iota (local.get $n)))
    (loop $again
      (array.set $ints (local.get $a) (local.get $i)
        (i32.rem_s (i32.add (local.get $i) (local.get $by)) (local.get $n)))
      (br_if $again (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (call $flips (local.get $a) (local.get $limit)))

  (func (export "flips-of") (param $first i32) (param $second i32) (result i32) (local $a (ref $ints))
    (local.set $a (call $iota (i32.const 4)))
    (array.set $ints (local.get $a) (i32.const 0) (local.get $first))
    (array.set $ints (local.get $a) (i32.const 1) (local.get $second))
    (call $flips (local.get $a) (i32.const 100)))

  ;; Sets elements from $j down, in steps, while a counter is below.
  (func (export "narrows") (param $n i32) (param $j i32) (result i64) (local $a (ref $ints)) (local $i i32)
    (local.set $a (call $iota (local.get $n)))
    (loop $again
      (array.set $ints (local.get $a) (local.get $j) (i32.const 9))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $j (i32.sub (local.get $j) (i32.const 2)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j))))
    (call $digits (local.get $a)))

  ;; Goes down below zero, if $last is.
  (func (export "falls") (param $n i32) (param $j i32) (param $last i32) (result i64) (local $a (ref $ints))
    (local.set $a (call $iota (local.get $n)))
    (loop $again
      (array.set $ints (local.get $a) (local.get $j) (i32.const 9))
      (local.set $j (i32.sub (local.get $j) (i32.const 1)))
      (br_if $again (i32.ge_s (local.get $j) (local.get $last))))
    (call $digits (local.get $a)))

  ;; Goes up beyond the end, if $last is, by steps that may wrap.
  (func (export "rises") (param $n i32) (param $i i32) (param $step i32) (param $last i32) (result i64)
    (local $a (ref $ints))
    (local.set $a (call $iota (local.get $n)))
    (loop $again
      (array.set $ints (local.get $a) (local.get $i) (i32.const 9))
      (local.set $i (i32.add (local.get $i) (local.get $step)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $last))))
    (call $digits (local.get $a)))

  ;; The upper index comes down to the first element, which is loaded after each turn.
  (func (export "reaches") (param $n i32) (param $turns i32) (result i32)
    (local $a (ref $ints)) (local $j i32) (local $s i32)
    (local.set $a (call $iota (local.get $n)))
    (loop $turn
      (local.set $j (i32.sub (local.get $n) (i32.const 1)))
      (loop $again
        (array.set $ints (local.get $a) (local.get $j) (local.get $turns))
        (br_if $again (i32.ge_s (local.tee $j (i32.sub (local.get $j) (i32.const 1))) (i32.const 0))))
      (local.set $s (i32.add (i32.mul (local.get $s) (i32.const 10)) (array.get $ints (local.get $a) (i32.const 0))))
      (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
    (local.get $s))
)

(assert_return (invoke "flips" (i32.const 5) (i32.const 0) (i32.const 100)) (i32.const 0))
(assert_return (invoke "flips" (i32.const 4) (i32.const 1) (i32.const 100)) (i32.const 3))
(assert_return (invoke "flips" (i32.const 5) (i32.const 3) (i32.const 100)) (i32.const 2))
(assert_return (invoke "flips-of" (i32.const 1) (i32.const 0)) (i32.const 1))
(assert_trap (invoke "flips-of" (i32.const 4) (i32.const 0)) "out of bounds array access")
(assert_trap (invoke "flips-of" (i32.const -1) (i32.const 0)) "out of bounds array access")
(assert_trap (invoke "flips-of" (i32.const 1) (i32.const 7)) "out of bounds array access")
(assert_return (invoke "narrows" (i32.const 8) (i32.const 7)) (i64.const 1294969))
(assert_trap (invoke "narrows" (i32.const 8) (i32.const 8)) "out of bounds array access")
(assert_trap (invoke "narrows" (i32.const 8) (i32.const -1)) "out of bounds array access")
(assert_return (invoke "falls" (i32.const 4) (i32.const 3) (i32.const 0)) (i64.const 9999))
(assert_return (invoke "falls" (i32.const 4) (i32.const 2) (i32.const 1)) (i64.const 993))
(assert_trap (invoke "falls" (i32.const 4) (i32.const 3) (i32.const -1)) "out of bounds array access")
(assert_return (invoke "rises" (i32.const 4) (i32.const 1) (i32.const 1) (i32.const 4)) (i64.const 999))
(assert_return (invoke "rises" (i32.const 4) (i32.const 0) (i32.const 2) (i32.const 4)) (i64.const 9193))
(assert_trap (invoke "rises" (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 5)) "out of bounds array access")
(assert_trap (invoke "rises" (i32.const 4) (i32.const 3) (i32.const 0x7fffffff) (i32.const 4)) "out of bounds array access")
(assert_trap (invoke "rises" (i32.const 4) (i32.const 3) (i32.const -4) (i32.const 4)) "out of bounds array access")
(assert_return (invoke "reaches" (i32.const 3) (i32.const 4)) (i32.const 4321))
(assert_return (invoke "reaches" (i32.const 100) (i32.const 3)) (i32.const 321))
