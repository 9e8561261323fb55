;; emit: asm polls
;; A cycle of calls polls once in each round, or allocates.
(module
  (type $cell (struct (field $value i64) (field $next (ref null $cell))))
  (type $step (func (param (ref null $cell) i64) (result i64)))

  ;; A tail call may be part of a loop. The function may be another instance's, as the argument comes from anywhere.
  ;; FUNC: jump
  ;; CHECK: ), %rsi
  ;; CHECK: cmpl $0, 48(%rdi)
  ;; CHECK: jmpq *
  (func $jump (export "jump") (param $cell (ref null $cell)) (param $i i64) (param $step (ref $step)) (result i64)
    (return_call_ref $step (local.get $cell) (local.get $i) (local.get $step)))

  ;; Behind an allocation, which polls when its buffer ends, it needs no poll of its own.
  ;; FUNC: push
  ;; NOT: 48(%rdi)
  ;; CHECK: jmpq *
  ;; NOT: 48(%rdi)
  (func $push (export "push") (param $cell (ref null $cell)) (param $i i64) (param $step (ref $step)) (result i64)
    (return_call_ref $step (struct.new $cell (local.get $i) (local.get $cell)) (local.get $i) (local.get $step)))

  ;; One path of two allocates.
  ;; FUNC: push_odd
  ;; CHECK: cmpl $0, 48(%rdi)
  (func $push_odd (export "push_odd") (param $cell (ref null $cell)) (param $i i64) (param $step (ref $step)) (result i64)
    (if (i64.eqz (i64.and (local.get $i) (i64.const 1)))
      (then (local.set $cell (struct.new $cell (local.get $i) (local.get $cell)))))
    (return_call_ref $step (local.get $cell) (local.get $i) (local.get $step)))

  ;; A recursion that allocates first.
  ;; FUNC: list
  ;; NOT: 48(%r
  ;; CHECK: callq "wasm[3]::list"
  ;; NOT: 48(%r
  (func $list (export "list") (param $cell (ref null $cell)) (param $i i64) (result i64)
    (local.set $cell (struct.new $cell (local.get $i) (local.get $cell)))
    (if (result i64) (i64.eqz (local.get $i))
      (then (i64.const 0))
      (else
        (i64.add (struct.get $cell $value (local.get $cell))
          (call $list (local.get $cell) (i64.sub (local.get $i) (i64.const 1)))))))

  ;; Slow paths keep nothing in registers that fast paths would have to save.
  ;; FUNC: push_two
  ;; NOT: push
  ;; NOT: movl %ecx, %ecx
  ;; CHECK: jmpq *
  (func $push_two (export "push_two") (param $a (ref null $cell)) (param $b (ref null $cell)) (param $step (ref $two)) (result i64)
    (return_call_ref $two
      (struct.new $cell (i64.const 1) (local.get $a)) (local.get $b) (local.get $step)))
  (type $two (func (param (ref null $cell) (ref null $cell)) (result i64))))
