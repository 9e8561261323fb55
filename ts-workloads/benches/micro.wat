;; Kernels: each does one thing $n times and returns $n, so that what it did can be checked. What they work on is in
;; mutable, exported globals, which no optimiser can know.
(module
  (type $base (sub (struct (field $v (mut i64)))))
  (type $open (sub $base (struct (field $v (mut i64)))))
  (type $leaf (sub final $open (struct (field $v (mut i64)) (field i32))))
  (type $other (sub final $base (struct (field $v (mut i64)) (field i64))))
  (type $small (struct (field i32) (field i64)))
  (type $node (struct (field $next (mut (ref null $node)))))
  (type $holder (struct (field $ref (mut (ref null $base)))))
  (type $bases (array (mut (ref null $base))))
  (type $holders (array (mut (ref null $holder))))
  (type $ints (array (mut i32)))
  (type $count (func (param i64) (result i64)))
  (type $thrower (func (param i32) (result i32)))
  (type $counters (array (mut (ref null $count))))
  (tag $tag (param i32))
  (import "host" "count" (func $host_count (param i64) (result i64)))

  (global $leaves (export "leaves") (mut (ref null $bases)) (ref.null $bases))
  (global $others (export "others") (mut (ref null $bases)) (ref.null $bases))
  (global $old (export "old") (mut (ref null $holders)) (ref.null $holders))
  (global $ints (export "ints") (mut (ref null $ints)) (ref.null $ints))
  (global $ring (export "ring") (mut (ref null $node)) (ref.null $node))
  (global $counters (export "counters") (mut (ref null $counters)) (ref.null $counters))
  (global $down (export "down") (mut (ref null $thrower)) (ref.null $thrower))
  (global $any (export "any") (mut anyref) (ref.null any))
  (elem declare func $count_a $count_b $step)

  ;; 64 of everything.
  (func $setup
    (local $i i32) (local $first (ref null $node))
    (global.set $leaves (array.new $bases (ref.null $base) (i32.const 64)))
    (global.set $others (array.new $bases (ref.null $base) (i32.const 64)))
    (global.set $old (array.new $holders (ref.null $holder) (i32.const 64)))
    (global.set $ints (array.new $ints (i32.const 1) (i32.const 64)))
    (global.set $counters (array.new $counters (ref.func $count_a) (i32.const 64)))
    (global.set $down (ref.func $step))
    (local.set $first (struct.new $node (ref.null $node)))
    (global.set $ring (local.get $first))
    (loop $again
      (array.set $bases (global.get $leaves) (local.get $i) (struct.new $leaf (i64.const 1) (i32.const 0)))
      (array.set $bases (global.get $others) (local.get $i) (struct.new $other (i64.const 1) (i64.const 0)))
      (array.set $holders (global.get $old) (local.get $i) (struct.new $holder (ref.null $base)))
      (if (i32.and (local.get $i) (i32.const 1))
        (then (array.set $counters (global.get $counters) (local.get $i) (ref.func $count_b))))
      (global.set $ring (struct.new $node (global.get $ring)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (struct.set $node $next (local.get $first) (global.get $ring)))
  (start $setup)

  (func $count_a (type $count) (i64.add (local.get 0) (i64.const 1)))
  (func $count_b (type $count) (i64.sub (local.get 0) (i64.const -1)))

  ;; Calls itself through the global so many times, and throws: nobody can inline it.
  (func $step (type $thrower)
    (if (i32.eqz (local.get 0)) (then (throw $tag (i32.const 1))))
    (i32.add (i32.const 1) (call_ref $thrower (i32.sub (local.get 0) (i32.const 1)) (global.get $down))))

  ;; A 16-byte struct: header, i32, i64.
  (func (export "alloc_struct_16") (param $n i64) (result i64) (local $i i64)
    (loop $again
      (global.set $any (struct.new $small (i32.const 1) (local.get $i)))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  ;; A 24-byte array: header, length, four i32.
  (func (export "alloc_array_24") (param $n i64) (result i64) (local $i i64)
    (loop $again
      (global.set $any (array.new_default $ints (i32.const 4)))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  ;; The loop of the casts without a cast.
  (func (export "array_get_ref") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum)
        (struct.get $base $v (array.get $bases (global.get $leaves) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "cast_final") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum)
        (struct.get $leaf $v (ref.cast (ref $leaf)
          (array.get $bases (global.get $leaves) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63)))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "cast_open") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum)
        (struct.get $open $v (ref.cast (ref $open)
          (array.get $bases (global.get $leaves) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63)))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "cast_failing") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum)
        (i64.extend_i32_u (i32.eqz (ref.test (ref $open)
          (array.get $bases (global.get $others) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63))))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  ;; Each load waits for the one before.
  (func (export "field_get_chain") (param $n i64) (result i64) (local $i i64) (local $at (ref null $node))
    (local.set $at (global.get $ring))
    (loop $again
      (local.set $at (struct.get $node $next (local.get $at)))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (global.set $any (local.get $at))
    (local.get $i))

  (func (export "field_set_i64") (param $n i64) (result i64) (local $i i64)
    (loop $again
      (struct.set $base $v
        (array.get $bases (global.get $others) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63))) (local.get $i))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  ;; Indices that nobody can hoist a check for.
  (func (export "array_get_i32") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u
        (array.get $ints (global.get $ints) (i32.and (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 29))) (i32.const 63))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "array_set_i32") (param $n i64) (result i64) (local $i i64)
    (loop $again
      (array.set $ints (global.get $ints)
        (i32.and (i32.wrap_i64 (i64.mul (local.get $i) (i64.const 29))) (i32.const 63)) (i32.const 1))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  ;; A reference stored into an old struct, and into an old array.
  (func (export "barrier_struct") (param $n i64) (result i64) (local $i i64) (local $value (ref null $base))
    (local.set $value (array.get $bases (global.get $leaves) (i32.const 0)))
    (loop $again
      (struct.set $holder $ref
        (array.get $holders (global.get $old) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63))) (local.get $value))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  (func (export "barrier_array") (param $n i64) (result i64) (local $i i64) (local $value (ref null $base))
    (local.set $value (array.get $bases (global.get $leaves) (i32.const 0)))
    (loop $again
      (array.set $bases (global.get $leaves) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63)) (local.get $value))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))

  ;; Two targets in turns, as through a method table.
  (func (export "call_ref") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (call_ref $count (local.get $sum)
        (array.get $counters (global.get $counters) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63)))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "host_call_out") (param $n i64) (result i64) (local $i i64)
    (loop $again
      (br_if $again (i64.lt_u (local.tee $i (call $host_count (local.get $i))) (local.get $n))))
    (local.get $i))

  ;; Enters a handler and leaves it without a throw.
  (func (export "try_enter") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (block $caught (result i32)
        (try_table (catch $tag $caught)
          (drop (call_ref $count (local.get $i)
            (array.get $counters (global.get $counters) (i32.and (i32.wrap_i64 (local.get $i)) (i32.const 63))))))
        (i32.const 1)))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func (export "throw_0_frames") (param $n i64) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (block $caught (result i32)
        (try_table (catch $tag $caught)
          (if (i64.ge_s (local.get $i) (i64.const 0)) (then (throw $tag (i32.const 1)))))
        (i32.const 0)))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))

  (func $throw_across (param $n i64) (param $frames i32) (result i64) (local $i i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (block $caught (result i32)
        (try_table (result i32) (catch $tag $caught) (call_ref $thrower (local.get $frames) (global.get $down)))))))
      (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $sum))
  (func (export "throw_1_frame") (param $n i64) (result i64) (call $throw_across (local.get $n) (i32.const 0)))
  (func (export "throw_8_frames") (param $n i64) (result i64) (call $throw_across (local.get $n) (i32.const 7)))

  ;; For calls from the host.
  (func (export "increment") (param $n i64) (result i64) (i64.add (local.get $n) (i64.const 1))))
