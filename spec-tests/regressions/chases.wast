;; Walks that go on by one of two fields: down a tree, along two lists in turns, with a collection on the way, out of the
;; middle of a round, and in a loop whose rounds are several steps.
(module
  (import "dolmen" "gc" (func $gc))
  (type $node (struct
    (field $key i32) (field $less (mut (ref null $node))) (field $more (mut (ref null $node))) (field $value i64)))
  (global $root (mut (ref null $node)) (ref.null $node))

  (func $new (param $key i32) (result (ref $node))
    (struct.new $node (local.get $key) (ref.null $node) (ref.null $node) (i64.extend_i32_s (local.get $key))))

  (func $insert (export "insert") (param $key i32)
    (local $at (ref null $node)) (local $next (ref null $node))
    (if (ref.is_null (global.get $root))
      (then (global.set $root (call $new (local.get $key))) (return)))
    (local.set $at (global.get $root))
    (loop $down
      (local.set $next
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
          (then (struct.get $node $less (local.get $at)))
          (else (struct.get $node $more (local.get $at)))))
      (if (ref.is_null (local.get $next))
        (then
          (if (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
            (then (struct.set $node $less (local.get $at) (call $new (local.get $key))))
            (else (struct.set $node $more (local.get $at) (call $new (local.get $key)))))
          (return)))
      (local.set $at (local.get $next))
      (br $down)))

  ;; The value, or the number of steps that there were, negative.
  (func (export "find") (param $key i32) (result i64)
    (local $at (ref null $node)) (local $steps i64)
    (local.set $at (global.get $root))
    (loop $down
      (if (ref.is_null (local.get $at)) (then (return (i64.sub (i64.const 0) (local.get $steps)))))
      (if (i32.eq (struct.get $node $key (local.get $at)) (local.get $key))
        (then (return (struct.get $node $value (local.get $at)))))
      (local.set $steps (i64.add (local.get $steps) (i64.const 1)))
      (local.set $at
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
          (then (struct.get $node $less (local.get $at)))
          (else (struct.get $node $more (local.get $at)))))
      (br $down))
    (unreachable))

  ;; The smallest key that is not less, with a collection in each round, in which objects may move.
  (func (export "ceiling") (param $key i32) (result i32)
    (local $at (ref null $node)) (local $best i32)
    (local.set $best (i32.const -1))
    (local.set $at (global.get $root))
    (loop $down
      (if (i32.eqz (ref.is_null (local.get $at)))
        (then
          (call $gc)
          (if (i32.ge_s (struct.get $node $key (local.get $at)) (local.get $key))
            (then (local.set $best (struct.get $node $key (local.get $at)))))
          (local.set $at
            (if (result (ref null $node)) (i32.ge_s (struct.get $node $key (local.get $at)) (local.get $key))
              (then (struct.get $node $less (local.get $at)))
              (else (struct.get $node $more (local.get $at)))))
          (br $down))))
    (local.get $best))

  ;; Two steps in a round, by the bits of a number; each traps where there is nothing.
  (func (export "path") (param $bits i32) (param $rounds i32) (result i32)
    (local $at (ref null $node))
    (local.set $at (global.get $root))
    (loop $round
      (local.set $at
        (if (result (ref null $node)) (i32.and (local.get $bits) (i32.const 1))
          (then (struct.get $node $more (local.get $at))) (else (struct.get $node $less (local.get $at)))))
      (local.set $at
        (if (result (ref null $node)) (i32.and (local.get $bits) (i32.const 2))
          (then (struct.get $node $more (local.get $at))) (else (struct.get $node $less (local.get $at)))))
      (local.set $bits (i32.shr_u (local.get $bits) (i32.const 2)))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (struct.get $node $key (local.get $at)))

  ;; A step back and forth, until a sum is large enough: what is loaded is what the same loop stored.
  (func (export "circle") (param $limit i32) (result i32)
    (local $at (ref $node)) (local $sum i32)
    (local.set $at (call $new (i32.const 1)))
    (struct.set $node $less (local.get $at) (call $new (i32.const 2)))
    (struct.set $node $more (local.get $at) (call $new (i32.const 3)))
    (struct.set $node $less (struct.get $node $less (local.get $at)) (local.get $at))
    (struct.set $node $more (struct.get $node $less (local.get $at)) (struct.get $node $more (local.get $at)))
    (struct.set $node $less (struct.get $node $more (local.get $at)) (struct.get $node $less (local.get $at)))
    (struct.set $node $more (struct.get $node $more (local.get $at)) (local.get $at))
    (loop $round
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 3)) (struct.get $node $key (local.get $at))))
      (local.set $at
        (ref.as_non_null
          (if (result (ref null $node)) (i32.and (local.get $sum) (i32.const 4))
            (then (struct.get $node $less (local.get $at)))
            (else (struct.get $node $more (local.get $at))))))
      (br_if $round (i32.lt_u (local.get $sum) (local.get $limit))))
    (local.get $sum)))

(invoke "insert" (i32.const 50))
(invoke "insert" (i32.const 20))
(invoke "insert" (i32.const 80))
(invoke "insert" (i32.const 10))
(invoke "insert" (i32.const 30))
(invoke "insert" (i32.const 70))
(invoke "insert" (i32.const 90))
(invoke "insert" (i32.const 25))
(invoke "insert" (i32.const 35))
(invoke "insert" (i32.const 27))
(assert_return (invoke "find" (i32.const 50)) (i64.const 50))
(assert_return (invoke "find" (i32.const 27)) (i64.const 27))
(assert_return (invoke "find" (i32.const 90)) (i64.const 90))
(assert_return (invoke "find" (i32.const 26)) (i64.const -5))
(assert_return (invoke "find" (i32.const 0)) (i64.const -3))
(assert_return (invoke "ceiling" (i32.const 26)) (i32.const 27))
(assert_return (invoke "ceiling" (i32.const 36)) (i32.const 50))
(assert_return (invoke "ceiling" (i32.const 70)) (i32.const 70))
(assert_return (invoke "ceiling" (i32.const 91)) (i32.const -1))
(assert_return (invoke "path" (i32.const 0) (i32.const 1)) (i32.const 10))
(assert_return (invoke "path" (i32.const 3) (i32.const 1)) (i32.const 90))
(assert_return (invoke "path" (i32.const 0xa) (i32.const 2)) (i32.const 27))
(assert_trap (invoke "path" (i32.const 0) (i32.const 2)) "null structure reference")
(assert_trap (invoke "path" (i32.const 2) (i32.const 3)) "null structure reference")
(assert_return (invoke "circle" (i32.const 1)) (i32.const 1))
(assert_return (invoke "circle" (i32.const 100)) (i32.const 185))
(assert_return (invoke "circle" (i32.const 1000000000)) (i32.const 2673201373))

;; The first step is where the function begins.
(module
  (type $node (struct
    (field $key i32) (field $less (mut (ref null $node))) (field $more (mut (ref null $node)))))
  (func $at (param $key i32) (param $less (ref null $node)) (param $more (ref null $node)) (result (ref $node))
    (struct.new $node (local.get $key) (local.get $less) (local.get $more)))
  (func $tree (export "tree") (result (ref $node))
    (call $at (i32.const 4)
      (call $at (i32.const 2) (call $at (i32.const 1) (ref.null $node) (ref.null $node)) (ref.null $node))
      (call $at (i32.const 6) (call $at (i32.const 5) (ref.null $node) (ref.null $node)) (ref.null $node))))
  (func $below (export "below") (param $at (ref $node)) (param $key i32) (result i32) (local $next (ref null $node))
    (local.set $next
      (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
        (then (struct.get $node $less (local.get $at)))
        (else (struct.get $node $more (local.get $at)))))
    (loop $down
      (if (ref.is_null (local.get $next)) (then (return (i32.const -1))))
      (if (i32.eq (struct.get $node $key (local.get $next)) (local.get $key)) (then (return (local.get $key))))
      (local.set $next
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $next)))
          (then (struct.get $node $less (local.get $next)))
          (else (struct.get $node $more (local.get $next)))))
      (br $down))
    (unreachable))
  (func $last (export "last") (param $at (ref $node)) (param $key i32) (result i32) (local $next (ref null $node))
    (loop $down
      (local.set $next
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
          (then (struct.get $node $less (local.get $at)))
          (else (struct.get $node $more (local.get $at)))))
      (if (ref.is_null (local.get $next)) (then (return (struct.get $node $key (local.get $at)))))
      (local.set $at (ref.as_non_null (local.get $next)))
      (br $down))
    (unreachable))
  (func (export "find") (param i32) (result i32) (call $below (call $tree) (local.get 0)))
  (func (export "nearest") (param i32) (result i32) (call $last (call $tree) (local.get 0))))
(assert_return (invoke "find" (i32.const 1)) (i32.const 1))
(assert_return (invoke "find" (i32.const 5)) (i32.const 5))
(assert_return (invoke "find" (i32.const 6)) (i32.const 6))
(assert_return (invoke "find" (i32.const 4)) (i32.const -1))
(assert_return (invoke "find" (i32.const 7)) (i32.const -1))
(assert_return (invoke "nearest" (i32.const 0)) (i32.const 1))
(assert_return (invoke "nearest" (i32.const 3)) (i32.const 2))
(assert_return (invoke "nearest" (i32.const 5)) (i32.const 5))
(assert_return (invoke "nearest" (i32.const 9)) (i32.const 6))
