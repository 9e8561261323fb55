;; emit: asm
;; No reference but to hosts' objects crosses the boundary, so what is called through references takes the same instance.
(module
  (type $step (func (param i32 i32) (result i32)))
  (type $steps (array (mut (ref null $step))))
  (global $next (mut (ref null $step)) (ref.null $step))
  (global $steps (ref $steps) (array.new_default $steps (i32.const 8)))
  (table (export "things") 1 externref)
  (elem declare func $a $b $c $d)
  (func $a (type $step) (local.get 0))
  (func $b (type $step) (local.get 1))
  (func $c (type $step) (i32.const 1))
  (func $d (type $step) (i32.const 2))
  (func (export "set") (param i32)
    (array.set $steps (global.get $steps) (local.get 0) (ref.func $a))
    (array.set $steps (global.get $steps) (i32.const 1) (ref.func $b))
    (array.set $steps (global.get $steps) (i32.const 2) (ref.func $c))
    (array.set $steps (global.get $steps) (i32.const 3) (ref.func $d)))

  ;; FUNC: go
  ;; NOT: ), %rsi
  ;; CHECK: jmpq *
  (func $go (export "go") (param i32 i32) (result i32)
    (return_call_ref $step (local.get 0) (local.get 1)
      (array.get $steps (global.get $steps) (local.get 0)))))
