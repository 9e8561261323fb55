;; Objects of one type begin with the same references to what immutable globals hold, nearly everywhere: what is the same
;; is copied from the instance, and what is not, is not.
(module
  (import "dolmen" "gc" (func $gc))
  (type $method (func (result i32)))
  (type $table (struct (field $method (ref $method)) (field $number i32)))
  (type $other (struct (field i32)))
  (type $object (sub (struct
    (field $table (ref null $table)) (field $others (ref null $other)) (field $own (ref null $table)) (field $x (mut i32)))))
  (type $large (sub $object (struct
    (field $table (ref null $table)) (field $others (ref null $other)) (field $own (ref null $table)) (field $x (mut i32))
    (field $y f64))))
  ;; A reference that can be changed but is never null, a function, and a number between them.
  (type $closure (struct (field $table (mut (ref $table))) (field $n i32) (field $code (ref $method)) (field $y (mut i64))))
  ;; Nothing behind the references.
  (type $small (struct (field $table (ref $table)) (field $own (ref $table)) (field $code (ref $method))))
  (elem declare func $one)
  (global $a (ref $table) (struct.new $table (ref.func $one) (i32.const 10)))
  (global $b (ref $table) (struct.new $table (ref.func $two) (i32.const 20)))
  (global $o (ref $other) (struct.new $other (i32.const 300)))
  ;; Made before there are prototypes.
  (global $first (ref $object) (struct.new $object (global.get $a) (global.get $o) (global.get $a) (i32.const 4000)))
  (global $held (mut anyref) (ref.null any))
  (table $objects 8 (ref null $object))

  (func $one (type $method) (i32.const 1))
  (func $two (type $method) (i32.const 2))

  (func $number (param (ref null $table)) (result i32)
    (if (result i32) (ref.is_null (local.get 0))
      (then (i32.const 0))
      (else (i32.add
        (struct.get $table $number (local.get 0))
        (call_ref $method (struct.get $table $method (local.get 0)))))))

  ;; Three digits: of the tables, 1 for each of others that is not null, and the rest.
  (func $digits (param $o (ref null $object)) (result i32)
    (i32.add
      (i32.add
        (i32.mul (call $number (struct.get $object $table (local.get $o))) (i32.const 1000000))
        (i32.mul (call $number (struct.get $object $own (local.get $o))) (i32.const 10000)))
      (i32.add
        (if (result i32) (ref.is_null (struct.get $object $others (local.get $o)))
          (then (i32.const 0))
          (else (struct.get $other 0 (struct.get $object $others (local.get $o)))))
        (struct.get $object $x (local.get $o)))))

  ;; The collection finds a young object, and what it refers to.
  (func $read (param $i i32) (result i32)
    (call $gc)
    (call $digits (table.get $objects (local.get $i))))

  (func (export "first") (result i32)
    (table.set $objects (i32.const 3) (global.get $first))
    (call $read (i32.const 3)))
  (func (export "same") (param i32) (result i32)
    (table.set $objects (i32.const 0)
      (struct.new $object (global.get $a) (global.get $o) (global.get $a) (local.get 0)))
    (call $read (i32.const 0)))
  ;; Another table in the place of one that is otherwise always the same, null, and an unknown one.
  (func (export "large") (param i32) (result i32)
    (table.set $objects (i32.const 1)
      (struct.new $large (global.get $b) (ref.null $other) (global.get $a) (local.get 0) (f64.const 1)))
    (call $read (i32.const 1)))
  (func (export "large-null") (param i32) (result i32)
    (table.set $objects (i32.const 1)
      (struct.new $large (ref.null $table) (ref.null $other) (global.get $a) (local.get 0) (f64.const 1)))
    (call $read (i32.const 1)))
  (func (export "large-others") (param i32) (result i32)
    (table.set $objects (i32.const 1)
      (struct.new $large (global.get $b) (global.get $o) (ref.null $table) (local.get 0) (f64.const 1)))
    (call $read (i32.const 1)))
  (func (export "large-default") (result i32)
    (table.set $objects (i32.const 1) (struct.new_default $large))
    (call $read (i32.const 1)))
  ;; One of two, chosen late.
  (func (export "chosen") (param i32) (result i32)
    (table.set $objects (i32.const 1)
      (struct.new $large
        (select (result (ref null $table)) (global.get $b) (global.get $a) (local.get 0))
        (ref.null $other) (global.get $a) (local.get 0) (f64.const 1)))
    (call $read (i32.const 1)))
  ;; Of two types, made alike on both ways.
  (func (export "either") (param i32) (result i32)
    (table.set $objects (i32.const 2)
      (if (result (ref null $object)) (local.get 0)
        (then (struct.new $object (global.get $a) (global.get $o) (global.get $a) (local.get 0)))
        (else (struct.new $large (global.get $b) (global.get $o) (global.get $a) (local.get 0) (f64.const 2)))))
    (call $read (i32.const 2)))

  (func $sum (param $c (ref $closure)) (result i32)
    (i32.add
      (i32.add
        (i32.mul (call $number (struct.get $closure $table (local.get $c))) (i32.const 1000))
        (struct.get $closure $n (local.get $c)))
      (i32.add
        (call_ref $method (struct.get $closure $code (local.get $c)))
        (i32.wrap_i64 (struct.get $closure $y (local.get $c))))))
  (func (export "closure") (param i32) (result i32)
    (global.set $held (struct.new $closure (global.get $a) (local.get 0) (ref.func $one) (i64.const 500)))
    (call $gc)
    (call $sum (ref.cast (ref $closure) (global.get $held))))
  ;; The reference is another one before anybody sees the object.
  (func (export "changed") (param i32) (result i32)
    (local $c (ref $closure))
    (local.set $c (struct.new $closure (global.get $a) (local.get 0) (ref.func $one) (i64.const 500)))
    (struct.set $closure $table (local.get $c) (global.get $b))
    (if (local.get 0) (then (global.set $held (local.get $c))))
    (call $gc)
    (call $sum (local.get $c)))

  (func (export "small") (result i32)
    (local $s (ref $small))
    (global.set $held (struct.new $small (global.get $b) (global.get $a) (ref.func $one)))
    (call $gc)
    (local.set $s (ref.cast (ref $small) (global.get $held)))
    (i32.add
      (call $number (struct.get $small $table (local.get $s)))
      (i32.add
        (i32.mul (call $number (struct.get $small $own (local.get $s))) (i32.const 100))
        (i32.mul (call_ref $method (struct.get $small $code (local.get $s))) (i32.const 10000)))))

  ;; Many, through both paths of the allocation.
  (func (export "many") (param $n i32) (result i32)
    (local $sum i32)
    (loop $more
      (table.set $objects (i32.and (local.get $n) (i32.const 7))
        (struct.new $object (global.get $a) (global.get $o) (global.get $a) (local.get $n)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n)))
    (call $gc)
    (loop $read
      (local.set $sum (i32.add (local.get $sum) (call $digits (table.get $objects (local.get $n)))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $read (i32.lt_u (local.get $n) (i32.const 8))))
    (local.get $sum))
)
(assert_return (invoke "first") (i32.const 11114300))
(assert_return (invoke "same" (i32.const 5)) (i32.const 11110305))
(assert_return (invoke "large" (i32.const 6)) (i32.const 22110006))
(assert_return (invoke "large-null" (i32.const 6)) (i32.const 110006))
(assert_return (invoke "large-others" (i32.const 7)) (i32.const 22000307))
(assert_return (invoke "large-default") (i32.const 0))
(assert_return (invoke "chosen" (i32.const 1)) (i32.const 22110001))
(assert_return (invoke "chosen" (i32.const 0)) (i32.const 11110000))
(assert_return (invoke "either" (i32.const 1)) (i32.const 11110301))
(assert_return (invoke "either" (i32.const 0)) (i32.const 22110300))
(assert_return (invoke "closure" (i32.const 7)) (i32.const 11508))
(assert_return (invoke "changed" (i32.const 7)) (i32.const 22508))
(assert_return (invoke "changed" (i32.const 0)) (i32.const 22501))
(assert_return (invoke "small") (i32.const 11122))
(assert_return (invoke "many" (i32.const 20000)) (i32.const 88882436))

;; An instance whose initialisation fails behind its globals can be called all the same, through a table that others have,
;; and so can one whose start function makes objects.
(module $shared
  (type $make (func (result i32)))
  (table (export "t") 4 funcref)
  (memory (export "m") 1)
  (func (export "call") (param i32) (result i32) (call_indirect (type $make) (local.get 0))))
(register "shared" $shared)
(assert_trap
  (module
    (import "shared" "t" (table 4 funcref))
    (import "shared" "m" (memory 1))
    (type $method (func (result i32)))
    (type $table (struct (field (ref $method))))
    (type $object (struct (field (ref $table)) (field i32) (field (ref $table))))
    (global $a (ref $table) (struct.new $table (ref.func $answer)))
    (global $held (mut (ref null $object)) (ref.null $object))
    (func $answer (type $method) (i32.const 42))
    (func $make (type $method)
      (global.set $held (struct.new $object (global.get $a) (i32.const 1) (global.get $a)))
      (i32.const 1))
    (func $get (type $method)
      (i32.add
        (call_ref $method (struct.get $table 0 (struct.get $object 0 (global.get $held))))
        (call_ref $method (struct.get $table 0 (struct.get $object 2 (global.get $held))))))
    (elem (i32.const 1) $make $get)
    (data (i32.const 0xffff) "too long"))
  "out of bounds memory access")
(assert_return (invoke $shared "call" (i32.const 1)) (i32.const 1))
(assert_return (invoke $shared "call" (i32.const 2)) (i32.const 84))
(module
  (import "shared" "t" (table 4 funcref))
  (type $method (func (result i32)))
  (type $table (struct (field (ref $method))))
  (type $object (struct (field (ref $table)) (field i32) (field (ref $table))))
  (global $a (ref $table) (struct.new $table (ref.func $answer)))
  (global $held (mut (ref null $object)) (ref.null $object))
  (func $answer (type $method) (i32.const 4))
  (func $make (global.set $held (struct.new $object (global.get $a) (i32.const 1) (global.get $a))))
  (func (export "get") (result i32)
    (i32.add
      (call_ref $method (struct.get $table 0 (struct.get $object 0 (global.get $held))))
      (call_ref $method (struct.get $table 0 (struct.get $object 2 (global.get $held))))))
  (start $make))
(assert_return (invoke "get") (i32.const 8))
