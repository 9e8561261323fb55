;; emit: ir
;;
;; Objects that need not be made. An allocation's slow path is a call with LLVM's `preserve_allcc`.

(module
  (type $vec (struct (field $x f64) (field $y f64)))
  (type $box (struct (field $v (mut i32))))
  (type $list (struct (field $next (ref null $list)) (field $value i32)))
  (type $iter (struct (field $at (mut (ref null $list)))))
  (type $pair (array (mut i32)))
  (func $sink (import "host" "sink") (param (ref $vec)))
  (func $effect (import "host" "effect"))

  (func $add (param $a (ref $vec)) (param $b (ref $vec)) (result (ref $vec))
    (struct.new $vec
      (f64.add (struct.get $vec $x (local.get $a)) (struct.get $vec $x (local.get $b)))
      (f64.add (struct.get $vec $y (local.get $a)) (struct.get $vec $y (local.get $b)))))

  ;; A sum of vectors: each is made in one round of the loop and read in the next.
  ;; FUNC: sum
  ;; NOT: preserve_allcc
  ;; CHECK: ret double
  (func $sum (export "sum") (param $n i32) (result f64)
    (local $acc (ref $vec))
    (local.set $acc (struct.new $vec (f64.const 0) (f64.const 0)))
    (loop $again
      (local.set $acc (call $add (local.get $acc) (struct.new $vec (f64.convert_i32_s (local.get $n)) (f64.const 1))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (f64.add (struct.get $vec $x (local.get $acc)) (struct.get $vec $y (local.get $acc))))

  ;; The sum itself is made once, behind the loop.
  ;; FUNC: returned
  ;; NOT: preserve_allcc
  ;; CHECK: br i1 %exitcond
  ;; CHECK: call preserve_allcc
  ;; NOT: preserve_allcc
  ;; CHECK: ret ptr addrspace(271)
  (func $returned (export "returned") (param $n i32) (result (ref $vec))
    (local $acc (ref $vec)) (local $i i32)
    (local.set $acc (struct.new $vec (f64.const 0) (f64.const 0)))
    (loop $again
      (local.set $acc (call $add (local.get $acc) (struct.new $vec (f64.convert_i32_s (local.get $i)) (f64.const 1))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $n))))
    (local.get $acc))

  ;; An object that one path needs is made there.
  ;; FUNC: rare
  ;; NOT: preserve_allcc
  ;; CHECK: and i32
  ;; CHECK: call preserve_allcc
  ;; NOT: preserve_allcc
  ;; CHECK: ret double
  (func $rare (export "rare") (param $n i32) (result f64)
    (local $v (ref $vec)) (local $s f64)
    (loop $again
      (local.set $v (struct.new $vec (f64.convert_i32_s (local.get $n)) (f64.const 1)))
      (if (i32.eqz (i32.and (local.get $n) (i32.const 1023))) (then (call $sink (local.get $v))))
      (local.set $s (f64.add (local.get $s) (struct.get $vec $x (local.get $v))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s))

  ;; An iterator that is changed all the time. What it holds is a root across the call, found on the shadow stack
  ;; (offset 16 of the thread context).
  ;; FUNC: walk
  ;; NOT: preserve_allcc
  ;; CHECK: i64 16
  ;; CHECK: call tailcc
  ;; NOT: preserve_allcc
  (func $next (param $it (ref $iter)) (result (ref null $list))
    (local $at (ref null $list))
    (local.set $at (struct.get $iter $at (local.get $it)))
    (if (i32.eqz (ref.is_null (local.get $at)))
      (then (struct.set $iter $at (local.get $it) (struct.get $list $next (local.get $at)))))
    (local.get $at))
  (func $walk (export "walk") (param $l (ref null $list)) (result i32)
    (local $it (ref $iter)) (local $at (ref null $list)) (local $s i32)
    (local.set $it (struct.new $iter (local.get $l)))
    (block $done
      (loop $again
        (local.set $at (call $next (local.get $it)))
        (br_if $done (ref.is_null (local.get $at)))
        (call $effect)
        (local.set $s (i32.add (local.get $s) (struct.get $list $value (local.get $at))))
        (br $again)))
    (local.get $s))

  ;; One of two objects or none, which is then changed.
  ;; FUNC: choose
  ;; NOT: preserve_allcc
  ;; CHECK: ret i32
  (func $choose (export "choose") (param $a i32) (param $b i32) (result i32)
    (local $p (ref null $box))
    (if (i32.gt_s (local.get $a) (i32.const 10)) (then (local.set $p (struct.new $box (local.get $a)))))
    (if (i32.gt_s (local.get $b) (i32.const 10)) (then (local.set $p (struct.new $box (local.get $b)))))
    (if (ref.is_null (local.get $p)) (then (return (i32.const -1))))
    (struct.set $box $v (local.get $p) (i32.add (struct.get $box $v (local.get $p)) (i32.const 5)))
    (struct.get $box $v (local.get $p)))

  ;; A short array with constant indices.
  ;; FUNC: array
  ;; NOT: preserve_allcc
  ;; CHECK: ret i32
  (func $array (export "array") (param $a i32) (param $b i32) (result i32)
    (local $p (ref $pair))
    (local.set $p (array.new_fixed $pair 2 (local.get $a) (local.get $b)))
    (if (i32.gt_s (local.get $a) (local.get $b))
      (then
        (array.set $pair (local.get $p) (i32.const 0) (local.get $b))
        (array.set $pair (local.get $p) (i32.const 1) (local.get $a))))
    (i32.sub (array.get $pair (local.get $p) (i32.const 1)) (array.get $pair (local.get $p) (i32.const 0))))

  ;; Two references that may be one object, of which one is changed: it is made.
  ;; FUNC: aliases
  ;; CHECK: preserve_allcc
  ;; CHECK: ret i32
  (func $aliases (export "aliases") (param $n i32) (result i32)
    (local $first (ref null $box)) (local $last (ref null $box)) (local $s i32)
    (local.set $first (struct.new $box (i32.const 1)))
    (local.set $last (local.get $first))
    (loop $again
      (struct.set $box $v (local.get $last) (i32.add (struct.get $box $v (local.get $last)) (local.get $n)))
      (local.set $s (i32.add (local.get $s) (struct.get $box $v (local.get $first))))
      (if (i32.and (local.get $n) (i32.const 4)) (then (local.set $last (struct.new $box (local.get $s)))))
      (if (i32.and (local.get $n) (i32.const 3)) (then (local.set $first (local.get $last))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s)))
