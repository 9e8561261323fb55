;; emit: asm
;; Calls whose targets the module tells.
(module
  (rec
    (type $get (func (param (ref $object)) (result i64)))
    (type $table (sub (struct (field $get (ref $get)) (field $id i32))))
    (type $object (sub (struct (field $vt (ref $table)) (field $value i64)))))
  (type $other (sub final $object (struct (field $vt (ref $table)) (field $value i64))))
  (global $one.table (ref $table) (struct.new $table (ref.func $one) (i32.const 1234)))
  (global $two.table (ref $table) (struct.new $table (ref.func $two) (i32.const 5678)))
  (global $seed (export "seed") (mut i64) (i64.const 0))
  (func $one (type $get) (i64.mul (struct.get $object $value (local.get 0)) (i64.const 1111)))
  (func $two (type $get) (i64.mul (struct.get $object $value (local.get 0)) (i64.const 2222)))
  (func (export "make_one") (result (ref $object)) (struct.new $object (global.get $one.table) (global.get $seed)))
  (func (export "make_two") (result (ref $object)) (struct.new $other (global.get $two.table) (global.get $seed)))

  ;; What constant expressions say about a table in an immutable global is a constant; a call of its method is inlined.
  ;; FUNC: constant
  ;; NOT: callq
  ;; CHECK: $1234
  ;; NOT: callq
  ;; CHECK: ret
  (func $constant (export "constant") (result i32) (struct.get $table $id (global.get $one.table)))

  ;; FUNC: method
  ;; NOT: callq
  ;; NOT: jmpq
  ;; CHECK: 1111
  ;; NOT: jmpq
  ;; CHECK: ret
  (func $method (export "method") (param (ref $object)) (result i64)
    (call_ref $get (local.get 0) (struct.get $table $get (global.get $one.table))))

  ;; Two tables can be in the field: both methods are inlined behind comparisons, and the third way is a call.
  ;; FUNC: either
  ;; CHECK: cmpl
  ;; CHECK: cmpl
  ;; CHECK: callq *
  ;; NOT: callq
  (func $either (export "either") (param (ref $object)) (result i64)
    (call_ref $get (local.get 0) (struct.get $table $get (struct.get $object $vt (local.get 0)))))

  ;; An object of the subtype has one table only.
  ;; FUNC: final
  ;; CHECK: cmpl
  ;; NOT: 1111
  ;; CHECK: 2222
  ;; NOT: 1111
  (func $final (export "final") (param (ref $other)) (result i64)
    (call_ref $get (local.get 0) (struct.get $table $get (struct.get $object $vt (local.get 0)))))
)
