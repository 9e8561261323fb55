;; Loads of immutable fields and elements from fresh objects that control flow merges: the initialising store must
;; stay, although no later store can change what it wrote.

(module
  (type $box (sub (struct (field i32) (field $value i64))))
  (type $mixed (struct (field $fixed i64) (field $free (mut i64))))
  (type $array (array i64))
  (type $boxes (array (ref $box)))

  (func (export "select") (param $first i32) (param $v i64) (result i64)
    (struct.get $box $value
      (select (result (ref $box))
        (struct.new $box (i32.const 0) (local.get $v))
        (struct.new $box (i32.const 0) (i64.sub (i64.const 0) (local.get $v)))
        (local.get $first))))

  (func (export "branch") (param $first i32) (param $v i64) (result i64)
    (struct.get $mixed $fixed
      (if (result (ref $mixed)) (local.get $first)
        (then (struct.new $mixed (local.get $v) (i64.const 1)))
        (else (struct.new $mixed (i64.mul (local.get $v) (i64.const 3)) (i64.const 2))))))

  (func (export "array") (param $first i32) (param $v i64) (result i64)
    (array.get $array
      (select (result (ref $array))
        (array.new $array (local.get $v) (i32.const 3))
        (array.new_fixed $array 2 (i64.const 5) (i64.add (local.get $v) (i64.const 7)))
        (local.get $first))
      (i32.const 1)))

  (func (export "loop") (param $n i32) (result i64)
    (local $box (ref $box))
    (local.set $box (struct.new $box (i32.const 0) (i64.const 0)))
    (loop $next
      (local.set $box
        (struct.new $box (local.get $n)
          (i64.add (struct.get $box $value (local.get $box)) (i64.extend_i32_u (local.get $n)))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (struct.get $box $value (local.get $box)))

  (func (export "nested") (param $index i32) (param $v i64) (result i64)
    (struct.get $box $value
      (array.get $boxes
        (array.new_fixed $boxes 2
          (struct.new $box (i32.const 0) (local.get $v))
          (struct.new $box (i32.const 1) (i64.add (local.get $v) (i64.const 1))))
        (local.get $index))))

  (func (export "length") (param $first i32) (param $n i32) (result i32)
    (array.len
      (select (result (ref $array))
        (array.new_default $array (local.get $n))
        (array.new_default $array (i32.const 9))
        (local.get $first))))

  (func (export "cast") (param $first i32) (result i32)
    (ref.test (ref $array)
      (select (result (ref eq))
        (array.new_default $array (i32.const 1))
        (struct.new $box (i32.const 0) (i64.const 0))
        (local.get $first)))))

(assert_return (invoke "select" (i32.const 1) (i64.const 17)) (i64.const 17))
(assert_return (invoke "select" (i32.const 0) (i64.const 17)) (i64.const -17))
(assert_return (invoke "branch" (i32.const 1) (i64.const 17)) (i64.const 17))
(assert_return (invoke "branch" (i32.const 0) (i64.const 17)) (i64.const 51))
(assert_return (invoke "array" (i32.const 1) (i64.const 17)) (i64.const 17))
(assert_return (invoke "array" (i32.const 0) (i64.const 17)) (i64.const 24))
(assert_return (invoke "loop" (i32.const 100)) (i64.const 5050))
(assert_return (invoke "nested" (i32.const 0) (i64.const 17)) (i64.const 17))
(assert_return (invoke "nested" (i32.const 1) (i64.const 17)) (i64.const 18))
(assert_return (invoke "length" (i32.const 1) (i32.const 4)) (i32.const 4))
(assert_return (invoke "length" (i32.const 0) (i32.const 4)) (i32.const 9))
(assert_return (invoke "cast" (i32.const 1)) (i32.const 1))
(assert_return (invoke "cast" (i32.const 0)) (i32.const 0))

;; Of an object that is not needed after all, only a field that never changes is read, through a merge that is resolved
;; late: what its allocation sets is not zero.
(module
  (type $table (struct (field i32)))
  (type $object (struct (field (ref $table)) (field (mut i32)) (field (mut (ref null $object)))))
  (type $bytes (array (mut i8)))
  (data $data "some bytes")
  (global $table (ref $table) (struct.new $table (i32.const 9)))
  (global $bytes (ref $bytes) (array.new $bytes (i32.const 0) (i32.const 40)))
  (global $kept (mut anyref) (ref.i31 (i32.const 3)))
  (global $result (mut (ref null $table)) (ref.null $table))
  (func $find (param $object (ref $object)) (result i32)
    (local $next (ref null $object)) (local $round i32)
    (local.set $next
      (block $is (result (ref null $object))
        (drop (br_on_cast $is anyref (ref $object) (global.get $kept)))
        (ref.null $object)))
    (loop $again
      (block $some (result (ref $object))
        (br_on_non_null $some (local.get $next))
        (struct.new $object (global.get $table) (i32.const -3) (ref.null $object)))
      (ref.null $object)
      (array.init_data $bytes $data (global.get $bytes) (i32.const 1) (i32.const 2) (i32.const 4))
      (local.set $next)
      (local.set $object)
      (br_if $again (i32.lt_s (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 2))))
    (global.set $result (struct.get $object 0 (local.get $object)))
    (i32.const 5))
  (func (export "field") (result i32)
    (drop (call $find (struct.new $object (global.get $table) (i32.const 0) (ref.null $object))))
    (struct.get $table 0 (global.get $result))))
(assert_return (invoke "field") (i32.const 9))
