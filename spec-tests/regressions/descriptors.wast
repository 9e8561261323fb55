;; Custom descriptors at work: method tables that objects carry, across subtypes, modules and collections.

(module $shapes
  (import "dolmen" "gc" (func $gc))
  (rec
    (type $shape (sub (descriptor $shape.desc) (struct (field $size (mut i32)))))
    (type $shape.desc (sub (describes $shape) (struct (field $area (ref $method)) (field $name (ref $text)))))
    (type $square (sub $shape (descriptor $square.desc) (struct (field $size (mut i32)) (field $next (mut (ref null $shape))))))
    (type $square.desc
      (sub $shape.desc (describes $square)
        (struct (field (ref $method)) (field (ref $text)) (field $made (mut i64)))))
    (type $method (func (param (ref $shape)) (result i32)))
    (type $text (array i8)))
  (elem declare func $line $area)
  (data $names "lineplane")
  (global $shapes (mut (ref null (exact $shape.desc))) (ref.null none))
  (global $squares (mut (ref null (exact $square.desc))) (ref.null none))

  (func $line (type $method) (struct.get $shape $size (local.get 0)))
  (func $area (type $method)
    (i32.mul (struct.get $shape $size (local.get 0)) (struct.get $shape $size (local.get 0))))
  (func $start
    (global.set $shapes
      (struct.new $shape.desc (ref.func $line) (array.new_data $text $names (i32.const 0) (i32.const 4))))
    (global.set $squares
      (struct.new $square.desc (ref.func $area) (array.new_data $text $names (i32.const 4) (i32.const 5)) (i64.const 0))))
  (start $start)
  (func $shape (export "shape") (param i32) (result (ref (exact $shape)))
    (struct.new_desc $shape (local.get 0) (global.get $shapes)))
  (func $square (export "square") (param i32) (result (ref (exact $square)))
    (local $desc (ref (exact $square.desc)))
    (local.set $desc (ref.as_non_null (global.get $squares)))
    (struct.set $square.desc $made (local.get $desc)
      (i64.add (struct.get $square.desc $made (local.get $desc)) (i64.const 1)))
    (struct.new_desc $square (local.get 0) (ref.null none) (local.get $desc)))

  ;; A virtual call through the descriptor.
  (func $call_area (export "area") (param $s (ref $shape)) (result i32)
    (call_ref $method (local.get $s) (struct.get $shape.desc $area (ref.get_desc $shape (local.get $s)))))
  (func (export "areas") (param i32) (result i32 i32)
    (call $call_area (call $shape (local.get 0))) (call $call_area (call $square (local.get 0))))
  (func (export "name_length") (param i32) (result i32)
    (local $s (ref $shape))
    (local.set $s (call $square (local.get 0)))
    (call $gc)
    (array.len (struct.get $shape.desc $name (ref.get_desc $shape (local.get $s)))))

  ;; An object keeps its descriptor alive, alone; default fields beside it are null.
  (func (export "kept") (param i32) (result i64 i32 i32)
    (local $s (ref $square))
    (local.set $s
      (struct.new_default_desc $square
        (struct.new $square.desc (ref.func $area) (array.new_fixed $text 0) (i64.const 77))))
    (call $gc)
    (struct.set $shape $size (local.get $s) (local.get 0))
    (call $gc)
    (struct.get $square.desc $made (ref.get_desc $square (local.get $s)))
    (call $call_area (local.get $s))
    (ref.is_null (struct.get $square $next (local.get $s))))

  ;; Casts by descriptor: the right one, another one of the same type, null objects, other objects.
  (func $is_square (export "is_square") (param $o anyref) (result i32)
    (block $yes (result (ref $square))
      (drop (br_on_cast_desc_eq $yes anyref (ref $square) (local.get $o) (global.get $squares)))
      (return (i32.const 0)))
    (drop) (i32.const 1))
  (func (export "kinds") (result i32 i32 i32 i32 i32 i32)
    (call $is_square (call $square (i32.const 1)))
    (call $is_square (call $shape (i32.const 1)))
    (call $is_square
      (struct.new_default_desc $square
        (struct.new $square.desc (ref.func $area) (array.new_fixed $text 0) (i64.const 0))))
    (call $is_square (ref.null none))
    (call $is_square (ref.i31 (i32.const 3)))
    (call $is_square (array.new_fixed $text 2 (i32.const 1) (i32.const 2))))
  (func (export "fail_branch") (param i32) (result i32)
    (block $no (result (ref null $shape))
      (br_on_cast_desc_eq_fail $no (ref null $shape) (ref null $square)
        (if (result (ref null $shape)) (local.get 0)
          (then (call $shape (i32.const 5))) (else (call $square (i32.const 6))))
        (global.get $squares))
      (return (struct.get $square $size)))
    (struct.get $shape $size) (i32.mul (i32.const -1)))
  (func (export "cast_wrong") (result i32)
    (struct.get $square $size (ref.cast_desc_eq (ref $square) (call $shape (i32.const 1)) (global.get $squares))))
  (func (export "cast_null_descriptor") (result i32)
    (struct.get $square $size
      (ref.cast_desc_eq (ref $square) (call $square (i32.const 1)) (ref.null (exact $square.desc)))))
  (func (export "new_without") (result i32)
    (struct.get $shape $size (struct.new_desc $shape (i32.const 1) (ref.null none))))
  (func (export "desc_of_null") (result i32)
    (ref.is_null (ref.get_desc $shape (ref.null $shape))))

  ;; Exact casts.
  (func (export "exact") (param i32) (result i32 i32 i32)
    (local $o anyref)
    (local.set $o (if (result anyref) (local.get 0)
      (then (call $square (i32.const 1))) (else (call $shape (i32.const 1)))))
    (ref.test (ref $shape) (local.get $o))
    (ref.test (ref (exact $shape)) (local.get $o))
    (ref.test (ref null (exact $square)) (local.get $o)))

  ;; Many objects that share a descriptor.
  (func (export "many") (param $n i32) (result i32)
    (local $list (ref null $square)) (local $new (ref null $square)) (local $sum i32)
    (loop $l
      (local.set $new (call $square (local.get $n)))
      (struct.set $square $next (local.get $new) (local.get $list))
      (local.set $list (local.get $new))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (call $call_area (ref.as_non_null (local.get $list)))))
      (local.set $list
        (ref.cast_desc_eq (ref null $square) (struct.get $square $next (local.get $list)) (global.get $squares)))
      (br_if $l (i32.eqz (ref.is_null (local.get $list)))))
    (local.get $sum)))

(assert_return (invoke "areas" (i32.const 7)) (i32.const 7) (i32.const 49))
(assert_return (invoke "name_length" (i32.const 7)) (i32.const 5))
(assert_return (invoke "kept" (i32.const 9)) (i64.const 77) (i32.const 81) (i32.const 1))
(assert_return (invoke "kinds")
  (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
(assert_return (invoke "fail_branch" (i32.const 0)) (i32.const 6))
(assert_return (invoke "fail_branch" (i32.const 1)) (i32.const -5))
(assert_trap (invoke "cast_wrong") "descriptor cast failure")
(assert_trap (invoke "cast_null_descriptor") "null descriptor reference")
(assert_trap (invoke "new_without") "null descriptor reference")
(assert_trap (invoke "desc_of_null") "null reference")
(assert_return (invoke "exact" (i32.const 0)) (i32.const 1) (i32.const 1) (i32.const 0))
(assert_return (invoke "exact" (i32.const 1)) (i32.const 1) (i32.const 0) (i32.const 1))
(assert_return (invoke "many" (i32.const 50)) (i32.const 42925))

(register "shapes")

;; Another module that writes the same rec group has the same types; one whose group differs in a descriptor has not.
(module
  (rec
    (type $shape (sub (descriptor $shape.desc) (struct (field $size (mut i32)))))
    (type $shape.desc (sub (describes $shape) (struct (field $area (ref $method)) (field $name (ref $text)))))
    (type $square (sub $shape (descriptor $square.desc) (struct (field $size (mut i32)) (field $next (mut (ref null $shape))))))
    (type $square.desc
      (sub $shape.desc (describes $square)
        (struct (field (ref $method)) (field (ref $text)) (field $made (mut i64)))))
    (type $method (func (param (ref $shape)) (result i32)))
    (type $text (array i8)))
  (rec (type $bare (sub (struct (field (mut i32))))))
  (import "shapes" "square" (func $square (param i32) (result (ref (exact $square)))))
  (import "shapes" "shape" (func $shape (param i32) (result (ref (exact $shape)))))
  (import "shapes" "area" (func $area (param (ref $shape)) (result i32)))
  (func (export "made") (result i64 i32)
    (drop (call $square (i32.const 1)))
    (struct.get $square.desc $made (ref.get_desc $square (call $square (i32.const 2))))
    (call $area (call $square (i32.const 12))))
  (func (export "tests") (result i32 i32 i32)
    (ref.test (ref (exact $square)) (call $square (i32.const 1)))
    (ref.test (ref (exact $square)) (call $shape (i32.const 1)))
    (ref.test (ref $bare) (call $shape (i32.const 1)))))
(assert_return (invoke "tests") (i32.const 1) (i32.const 0) (i32.const 0))
(assert_return (invoke "made") (i64.const 59) (i32.const 144))

(assert_unlinkable
  (module
    (rec (type $shape (sub (struct (field (mut i32))))))
    (import "shapes" "shape" (func (param i32) (result (ref $shape)))))
  "incompatible import type")
