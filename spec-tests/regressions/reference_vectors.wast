;; References that LLVM's vectorisers move several at a time: live across calls, allocations and polls, some of their
;; lanes without a meaning.

(module
  (type $n (struct
    (field $v (mut i32)) (field $a (mut (ref null $n))) (field $b (mut (ref null $n))) (field $c (mut (ref null $n)))
    (field $d (mut (ref null $n)))))
  (type $refs (array (mut (ref null $n))))
  (global $kept (mut (ref null $n)) (ref.null $n))

  (func $leaf (param i32) (result (ref $n))
    (struct.new $n (local.get 0) (ref.null $n) (ref.null $n) (ref.null $n) (ref.null $n)))
  (func $node (param i32) (result (ref $n))
    (struct.new $n (local.get 0)
      (call $leaf (i32.add (local.get 0) (i32.const 1))) (call $leaf (i32.add (local.get 0) (i32.const 2)))
      (call $leaf (i32.add (local.get 0) (i32.const 3))) (call $leaf (i32.add (local.get 0) (i32.const 4)))))
  (func $digits (param $n (ref null $n)) (result i32)
    (i32.add
      (i32.add
        (i32.mul (i32.const 1000) (struct.get $n $v (struct.get $n $a (local.get $n))))
        (i32.mul (i32.const 100) (struct.get $n $v (struct.get $n $b (local.get $n)))))
      (i32.add
        (i32.mul (i32.const 10) (struct.get $n $v (struct.get $n $c (local.get $n))))
        (struct.get $n $v (struct.get $n $d (local.get $n))))))

  ;; Overwrites what freed objects leave behind.
  (type $opaque (func))
  (table funcref (elem $work))
  (func $work (type $opaque) (local $i i32)
    (loop $l
      (global.set $kept (call $node (i32.const 900)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20)))))
  (func $collect (call_indirect (type $opaque) (i32.const 0)))

  ;; Loaded together, live across a call, stored together.
  (func (export "copy") (result i32) (local $x (ref $n)) (local $y (ref $n))
    (local $a (ref null $n)) (local $b (ref null $n)) (local $c (ref null $n)) (local $d (ref null $n))
    (local.set $x (call $node (i32.const 0)))
    (local.set $y (call $node (i32.const 4)))
    (local.set $a (struct.get $n $a (local.get $x)))
    (local.set $b (struct.get $n $b (local.get $x)))
    (local.set $c (struct.get $n $c (local.get $x)))
    (local.set $d (struct.get $n $d (local.get $x)))
    (struct.set $n $a (local.get $x) (ref.null $n)) (struct.set $n $b (local.get $x) (ref.null $n))
    (struct.set $n $c (local.get $x) (ref.null $n)) (struct.set $n $d (local.get $x) (ref.null $n))
    (call $collect)
    (struct.set $n $a (local.get $y) (local.get $a)) (struct.set $n $b (local.get $y) (local.get $b))
    (struct.set $n $c (local.get $y) (local.get $c)) (struct.set $n $d (local.get $y) (local.get $d))
    (call $collect)
    (call $digits (local.get $y)))

  ;; Merged by control flow, in another order on each way, and live across a call afterwards.
  (func $choose (param $x (ref $n)) (param $z (ref $n)) (param $y (ref $n)) (param $which i32)
    (local $a (ref null $n)) (local $b (ref null $n)) (local $c (ref null $n)) (local $d (ref null $n))
    (if (local.get $which)
      (then
        (local.set $a (struct.get $n $a (local.get $x))) (local.set $b (struct.get $n $b (local.get $x)))
        (local.set $c (struct.get $n $c (local.get $x))) (local.set $d (struct.get $n $d (local.get $x))))
      (else
        (call $collect)
        (local.set $a (struct.get $n $d (local.get $z))) (local.set $b (struct.get $n $c (local.get $z)))
        (local.set $c (struct.get $n $b (local.get $z))) (local.set $d (struct.get $n $a (local.get $z)))))
    (call $collect)
    (struct.set $n $a (local.get $y) (local.get $a)) (struct.set $n $b (local.get $y) (local.get $b))
    (struct.set $n $c (local.get $y) (local.get $c)) (struct.set $n $d (local.get $y) (local.get $d)))
  (func (export "choose") (param i32) (result i32) (local $y (ref $n))
    (local.set $y (call $node (i32.const 4)))
    (call $choose (call $node (i32.const 0)) (call $node (i32.const 4)) (local.get $y) (local.get 0))
    (call $collect)
    (call $digits (local.get $y)))

  ;; One value in all lanes.
  (func (export "splat") (result i32) (local $x (ref $n)) (local $y (ref $n))
    (local.set $x (call $leaf (i32.const 6)))
    (local.set $y (call $node (i32.const 0)))
    (call $collect)
    (struct.set $n $a (local.get $y) (local.get $x)) (struct.set $n $b (local.get $y) (local.get $x))
    (struct.set $n $c (local.get $y) (local.get $x)) (struct.set $n $d (local.get $y) (local.get $x))
    (call $collect)
    (call $digits (local.get $y)))

  ;; Loops over arrays of references, with a value carried from round to round, inside a loop that collects: the
  ;; vector that carries it is only half filled before the inner loop.
  (func $numbered (param $len i32) (result (ref $refs)) (local $a (ref $refs)) (local $i i32)
    (local.set $a (array.new_default $refs (local.get $len)))
    (loop $l
      (array.set $refs (local.get $a) (local.get $i) (call $leaf (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $len))))
    (local.get $a))
  (func $sum (param $a (ref $refs)) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (local.set $s
        (i32.add (i32.mul (local.get $s) (i32.const 31))
          (struct.get $n $v (array.get $refs (local.get $a) (local.get $i)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $a)))))
    (local.get $s))
  (func $rotate (param $a (ref $refs)) (param $b (ref $refs)) (param $rounds i32)
    (local $i i32) (local $previous (ref null $n)) (local $this (ref null $n)) (local $first (ref null $n))
    (if (i32.lt_u (array.len (local.get $a)) (i32.const 100)) (then (return)))
    (if (i32.lt_u (array.len (local.get $b)) (i32.const 100)) (then (return)))
    (local.set $first (call $leaf (i32.const 77)))
    (loop $outer
      (call $collect)
      (local.set $previous (local.get $first))
      (local.set $i (i32.const 0))
      (loop $l
        (local.set $this (array.get $refs (local.get $a) (local.get $i)))
        (array.set $refs (local.get $b) (local.get $i) (local.get $previous))
        (local.set $previous (local.get $this))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
      (br_if $outer (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))))))
  (func (export "rotate") (param $rounds i32) (result i32 i32) (local $a (ref $refs)) (local $b (ref $refs))
    (local.set $a (call $numbered (i32.const 100)))
    (local.set $b (array.new_default $refs (i32.const 100)))
    (call $rotate (local.get $a) (local.get $b) (local.get $rounds))
    (call $collect)
    (call $sum (local.get $a))
    (call $sum (local.get $b)))

  (func (export "fill") (result i32) (local $a (ref $refs)) (local $x (ref $n))
    (local.set $a (call $numbered (i32.const 300)))
    (local.set $x (call $leaf (i32.const 2)))
    (call $collect)
    (array.fill $refs (local.get $a) (i32.const 5) (local.get $x) (i32.const 290))
    (call $collect)
    (call $sum (local.get $a)))

  (func $same (param $a (ref $refs)) (param $x (ref null $n)) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (local.set $s
        (i32.add (local.get $s) (ref.eq (local.get $x) (array.get $refs (local.get $a) (local.get $i)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $a)))))
    (local.get $s))
  (func (export "same") (result i32) (local $a (ref $refs)) (local $x (ref $n))
    (local.set $x (call $leaf (i32.const 2)))
    (local.set $a (call $numbered (i32.const 300)))
    (array.fill $refs (local.get $a) (i32.const 17) (local.get $x) (i32.const 123))
    (call $collect)
    (call $same (local.get $a) (local.get $x)))
)

(assert_return (invoke "copy") (i32.const 1234))
(assert_return (invoke "choose" (i32.const 1)) (i32.const 1234))
(assert_return (invoke "choose" (i32.const 0)) (i32.const 8765))
(assert_return (invoke "splat") (i32.const 6666))
(assert_return (invoke "rotate" (i32.const 1)) (i32.const 58926130) (i32.const -720928028))
(assert_return (invoke "rotate" (i32.const 3)) (i32.const 58926130) (i32.const -720928028))
(assert_return (invoke "fill") (i32.const 713131239))
(assert_return (invoke "same") (i32.const 123))
