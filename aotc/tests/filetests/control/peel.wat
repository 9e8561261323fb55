;; emit: ir polls
;; The first round of a small loop stands before the loop, without a poll.
;; FUNC: reverse
;; CHECK: label %first
;; CHECK: load volatile i32
;; CHECK: first
;; NOT: volatile
;; CHECK: label %loop.preheader
;; A loop of few rounds has nothing to gain.
;; FUNC: few
;; NOT: first
;; CHECK: ret
(module
  (type $ints (array (mut i32)))

  ;; Reverses the elements from $i to $j.
  (func $reverse (export "reverse") (param $a (ref $ints)) (param $i i32) (param $j i32) (local $t i32)
    (loop $again
      (local.set $t (array.get $ints (local.get $a) (local.get $i)))
      (array.set $ints (local.get $a) (local.get $i) (array.get $ints (local.get $a) (local.get $j)))
      (array.set $ints (local.get $a) (local.get $j) (local.get $t))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $j (i32.sub (local.get $j) (i32.const 1)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j)))))

  (func $few (export "few") (param i32) (result i32) (local $i i32)
    (loop $again
      (local.set 0 (i32.mul (i32.rotl (local.get 0) (i32.const 7)) (i32.const 77)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (local.get 0))
)
