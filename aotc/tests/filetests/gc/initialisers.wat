;; emit: asm
;; The initialiser of a class, in a global that gets a function that does nothing: where that is there already, a
;; comparison is all there is of the call, and of an interface's method in a table that stores filled, too.
(module
  (type $f (func))
  (type $m (func (param i32) (result i32)))
  (type $table (struct (field $method (mut (ref null $m)))))
  (global $ready (mut (ref $f)) (ref.func $initialise))
  (global $t (export "t") (ref $table) (struct.new_default $table))
  (global $x (mut i32) (i32.const 0))
  (func $nothing (type $f))
  (func $double (type $m) (i32.shl (local.get 0) (i32.const 1)))
  (func $initialise (type $f)
    (global.set $ready (ref.func $nothing))
    (struct.set $table $method (global.get $t) (ref.func $double))
    (global.set $x (i32.const 7)))
  (elem declare func $nothing $double)

  ;; FUNC: use
  ;; CHECK: cmp
  ;; CHECK: jne
  ;; NOT: call
  ;; CHECK: ret
  (func $use (export "use") (result i32)
    (call_ref $f (global.get $ready))
    (global.get $x))

  ;; FUNC: method
  ;; CHECK: cmp
  ;; CHECK: addl %ecx, %ecx
  ;; NOT: call
  ;; CHECK: ret
  (func $method (export "method") (param $t (ref $table)) (param i32) (result i32)
    (call_ref $m (local.get 1) (struct.get $table $method (local.get $t)))))
