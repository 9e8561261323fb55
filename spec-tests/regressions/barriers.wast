;; Stores of references to young objects into old ones, where the compiler leaves out a barrier because there was one
;; before, or because it has seen the object's allocation; and beside them those where it must not. Each is followed by
;; collections, so that a reference that is not remembered is one to memory that is used anew.

(module
  (type $node (struct (field $next (mut (ref null $node))) (field $value (mut i32))))
  (type $list (array (mut (ref null $node))))
  (global $sink (mut (ref null $node)) (ref.null none))
  (table 1 funcref)
  (elem (i32.const 0) $churn)

  ;; Makes objects that die at once, with a value that no test expects.
  (func $churn (local $i i32)
    (loop $again
      (global.set $sink (struct.new $node (ref.null none) (i32.const -1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 40))))
    (global.set $sink (ref.null none)))

  (func $collect (call_indirect (i32.const 0)))

  (func $new (param i32) (result (ref $node)) (struct.new $node (ref.null none) (local.get 0)))

  (func $next_value (param $a (ref $node)) (result i32)
    (call $collect)
    (struct.get $node $value (struct.get $node $next (local.get $a))))

  ;; Allocated here, old at the store.
  (func (export "kept") (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (struct.new $node (ref.null none) (i32.const 0)))
    (call $collect)
    (struct.set $node $next (local.get $a) (call $new (local.get $v)))
    (call $next_value (local.get $a)))

  ;; Written to twice, with collections before, between and after.
  (func $twice (param $a (ref $node)) (param $v i32) (result i32)
    (struct.set $node $next (local.get $a) (call $new (i32.const 0)))
    (call $collect)
    (call $collect)
    (struct.set $node $next (local.get $a) (call $new (local.get $v)))
    (call $next_value (local.get $a)))
  (func (export "twice") (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (call $new (i32.const 0)))
    (call $collect)
    (call $twice (local.get $a) (local.get $v)))

  ;; A null before is no barrier.
  (func $cleared (param $a (ref $node)) (param $v i32) (result i32)
    (struct.set $node $next (local.get $a) (ref.null none))
    (call $collect)
    (struct.set $node $next (local.get $a) (call $new (local.get $v)))
    (call $next_value (local.get $a)))
  (func (export "cleared") (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (call $new (i32.const 0)))
    (call $collect)
    (call $collect)
    (call $cleared (local.get $a) (local.get $v)))

  ;; A barrier on one way only.
  (func $sometimes (param $a (ref $node)) (param $which i32) (param $v i32) (result i32)
    (if (local.get $which) (then (struct.set $node $next (local.get $a) (call $new (i32.const 0)))))
    (call $collect)
    (struct.set $node $next (local.get $a) (call $new (local.get $v)))
    (call $next_value (local.get $a)))
  (func (export "sometimes") (param $which i32) (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (call $new (i32.const 0)))
    (call $collect)
    (call $collect)
    (call $sometimes (local.get $a) (local.get $which) (local.get $v)))

  ;; Either an object that was allocated here, or one that was not.
  (func $either (param $old (ref $node)) (param $which i32) (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a
      (if (result (ref $node)) (local.get $which)
        (then (struct.new $node (ref.null none) (local.get $which)))
        (else (local.get $old))))
    (call $collect)
    (struct.set $node $next (local.get $a) (call $new (local.get $v)))
    (call $next_value (local.get $a)))
  (func (export "either") (param $which i32) (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (call $new (i32.const 0)))
    (call $collect)
    (call $collect)
    (call $either (local.get $a) (local.get $which) (local.get $v)))

  ;; The object changes around a loop: the barrier of the last one is not that of the next one.
  (func $walk (param $a (ref null $node)) (param $v i32) (result i32) (local $sum i32) (local $first (ref null $node))
    (local.set $first (local.get $a))
    (loop $again
      (struct.set $node $value (local.get $a) (local.get $v))
      (struct.set $node $next (local.get $a)
        (struct.new $node (struct.get $node $next (local.get $a)) (local.get $v)))
      (call $collect)
      (local.set $a (struct.get $node $next (struct.get $node $next (local.get $a))))
      (br_if $again (i32.eqz (ref.is_null (local.get $a)))))
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (struct.get $node $value (local.get $first))))
      (local.set $first (struct.get $node $next (local.get $first)))
      (br_if $again (i32.eqz (ref.is_null (local.get $first)))))
    (local.get $sum))
  (func (export "walk") (param $v i32) (result i32) (local $a (ref $node))
    (local.set $a (struct.new $node (struct.new $node (call $new (i32.const 0)) (i32.const 0)) (i32.const 0)))
    (call $collect)
    (call $collect)
    (call $walk (local.get $a) (local.get $v)))

  ;; An old array's elements, allocated here or not.
  (func (export "elements") (param $at i32) (param $v i32) (result i32) (local $a (ref $list))
    (local.set $a (array.new_default $list (i32.const 500)))
    (call $collect)
    (array.set $list (local.get $a) (local.get $at) (call $new (local.get $v)))
    (call $collect)
    (struct.get $node $value (array.get $list (local.get $a) (local.get $at))))
)

(assert_return (invoke "kept" (i32.const 7)) (i32.const 7))
(assert_return (invoke "twice" (i32.const 8)) (i32.const 8))
(assert_return (invoke "cleared" (i32.const 9)) (i32.const 9))
(assert_return (invoke "sometimes" (i32.const 0) (i32.const 10)) (i32.const 10))
(assert_return (invoke "sometimes" (i32.const 1) (i32.const 11)) (i32.const 11))
(assert_return (invoke "either" (i32.const 0) (i32.const 12)) (i32.const 12))
(assert_return (invoke "either" (i32.const 1) (i32.const 13)) (i32.const 13))
(assert_return (invoke "walk" (i32.const 5)) (i32.const 30))
(assert_return (invoke "elements" (i32.const 0) (i32.const 14)) (i32.const 14))
(assert_return (invoke "elements" (i32.const 499) (i32.const 15)) (i32.const 15))
