;; What an immutable global refers to is no root of compiled code, so a collection does not dirty its card again: the
;; second store, behind a collection, needs a barrier of its own.
(module
  (type $box (struct (field $value i32)))
  (type $holder (struct (field $box (mut (ref null $box)))))
  (global $holder (ref $holder) (struct.new_default $holder))

  (func $allocate (param $n i32)
    (loop $more
      (drop (struct.new $box (local.get $n)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n))))

  (func (export "store-twice") (param $n i32) (result i32)
    (local $sum i32)
    (struct.set $holder $box (global.get $holder) (struct.new $box (i32.const 7)))
    (call $allocate (local.get $n))
    (local.set $sum (struct.get $box $value (struct.get $holder $box (global.get $holder))))
    (struct.set $holder $box (global.get $holder) (struct.new $box (i32.const 35)))
    (call $allocate (local.get $n))
    (i32.add (local.get $sum) (struct.get $box $value (struct.get $holder $box (global.get $holder)))))

  ;; The holder alone is live across the calls.
  (func (export "store-behind") (param $n i32) (param $other (ref null $holder)) (result i32)
    (local $h (ref null $holder))
    (local.set $h (select (result (ref null $holder)) (global.get $holder) (local.get $other) (local.get $n)))
    (struct.set $holder $box (local.get $h) (struct.new $box (i32.const 1)))
    (call $allocate (local.get $n))
    (struct.set $holder $box (local.get $h) (struct.new $box (i32.const 2)))
    (call $allocate (local.get $n))
    (struct.get $box $value (struct.get $holder $box (local.get $h)))))

(assert_return (invoke "store-twice" (i32.const 10)) (i32.const 42))
(assert_return (invoke "store-twice" (i32.const 100000)) (i32.const 42))
(assert_return (invoke "store-behind" (i32.const 1000) (ref.null none)) (i32.const 2))
