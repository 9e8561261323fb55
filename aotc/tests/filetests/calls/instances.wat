;; emit: ir
;; Functions that no one calls who needs the instance are not passed it.
(module
  (rec
    (type $state (struct (field $next (mut (ref null $step))) (field $use (mut (ref null $use)))))
    (type $step (func (param (ref null $state) i64) (result i64)))
    (type $use (func (param (ref null $state) i32) (result i64))))
  (global $count (mut i64) (i64.const 0))
  (elem declare func $a $b $c $d $go $use $u $v $w $x $y)
  (func $a (type $step) (i64.const 1))
  (func $b (type $step) (i64.const 2))
  (func $c (type $step) (i64.const 3))
  (func $d (type $step) (i64.const 4))
  (func $u (type $use) (global.set $count (i64.const 1)) (i64.const 1))
  (func $v (type $use) (i64.const 2))
  (func $w (type $use) (i64.const 3))
  (func $x (type $use) (i64.const 4))
  (func $y (type $use) (i64.const 5))

  ;; FUNC: go
  ;; CHECK: ptr poison
  (func $go (type $step)
    (return_call_ref $step (local.get 0) (i64.add (local.get 1) (i64.const 1))
      (struct.get $state $next (local.get 0))))

  ;; One function of the type needs it.
  ;; FUNC: use
  ;; NOT: ptr poison
  (func $use (param (ref null $state)) (result i64)
    (return_call_ref $use (local.get 0) (i32.const 7) (struct.get $state $use (local.get 0))))

  (func (export "run") (param i32) (result i64)
    (local $state (ref null $state))
    (local.set $state (struct.new $state (ref.null $step) (ref.null $use)))
    (block $done
      (br_if $done (i32.eqz (local.get 0)))
      (struct.set $state $next (local.get $state) (ref.func $a))
      (struct.set $state $next (local.get $state) (ref.func $b))
      (struct.set $state $next (local.get $state) (ref.func $c))
      (struct.set $state $next (local.get $state) (ref.func $d))
      (struct.set $state $next (local.get $state) (ref.func $go))
      (struct.set $state $use (local.get $state) (ref.func $u))
      (struct.set $state $use (local.get $state) (ref.func $v))
      (struct.set $state $use (local.get $state) (ref.func $w))
      (struct.set $state $use (local.get $state) (ref.func $x))
      (struct.set $state $use (local.get $state) (ref.func $y)))
    (i64.add
      (call_ref $step (local.get $state) (i64.const 0) (struct.get $state $next (local.get $state)))
      (call $use (local.get $state)))))
