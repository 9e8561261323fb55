;; emit: asm
;; Only objects of one class hold its method table, so a method that is called for the table casts in vain.
(module
  (rec
    (type $get (func (param (ref null $object)) (result i64)))
    (type $table (struct (field $get (ref $get))))
    (type $object (sub (struct (field $vt (ref $table))))))
  (type $one (sub final $object (struct (field $vt (ref $table)) (field $value i64))))
  (type $two (sub $object (struct (field $vt (ref $table)) (field $value i64) (field $more i64))))
  (type $three (sub $two (struct (field $vt (ref $table)) (field $value i64) (field $more i64))))
  (type $shared (sub final $object (struct (field $vt (ref $table)) (field $value f64))))
  (global $one.table (ref $table) (struct.new $table (ref.func $one.get)))
  (global $two.table (ref $table) (struct.new $table (ref.func $two.get)))
  (global $three.table (ref $table) (struct.new $table (ref.func $two.get)))
  (global $here (mut (ref null $object)) (ref.null $object))
  (func $one.get (type $get)
    (i64.mul (i64.const 1111) (struct.get $one $value (ref.cast (ref $one) (local.get 0)))))
  (func $two.get (type $get)
    (i64.mul (i64.const 2222) (struct.get $two $more (ref.cast (ref $two) (local.get 0)))))
  (func (export "make") (param i64)
    (global.set $here (struct.new $one (global.get $one.table) (local.get 0)))
    (global.set $here (struct.new $two (global.get $two.table) (local.get 0) (local.get 0)))
    (global.set $here (struct.new $three (global.get $three.table) (local.get 0) (local.get 0))))

  ;; Of three comparisons each is one with a table; what is called otherwise is a call.
  ;; FUNC: call
  ;; CHECK: cmpl
  ;; CHECK: cmpl
  ;; CHECK: cmpl
  ;; NOT: cmpl
  ;; CHECK: $2222
  ;; NOT: cmpl
  ;; CHECK: $1111
  ;; NOT: cmpl
  ;; CHECK: ret
  (func $call (export "call") (result i64)
    (call_ref $get (global.get $here) (struct.get $table $get (struct.get $object $vt (global.get $here)))))
)
