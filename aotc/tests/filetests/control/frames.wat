;; emit: asm
;; Frames are made on the paths that call something, and calls leave the stack pointer alone.
(module
  (type $node (sub (struct (field $left (mut (ref null $node))) (field $right (mut (ref null $node))))))
  (type $next (func (param (ref null $node) i32) (result i32)))

  ;; Half of the calls are of leaves: they save nothing.
  ;; FUNC: count
  ;; NOT: push
  ;; NOT: sub
  ;; CHECK: movl 4(%r10,%rdx,4)
  ;; NOT: push
  ;; CHECK: je
  ;; CHECK: pushq %r
  ;; CHECK: callq "wasm[0]::count"
  ;; NOT: rsp
  ;; CHECK: movq 8(%r
  ;; CHECK: movl 8(%r10
  ;; CHECK: callq "wasm[0]::count"
  ;; CHECK: popq
  ;; CHECK: retq
  ;; NOT: $8
  ;; NOT: pop
  ;; CHECK: movl $1, %eax
  ;; CHECK: retq
  (func $count (export "count") (param $n (ref null $node)) (result i32)
    (if (result i32) (ref.is_null (struct.get $node $left (local.get $n)))
      (then (i32.const 1))
      (else
        (i32.add
          (call $count (struct.get $node $left (local.get $n)))
          (call $count (struct.get $node $right (local.get $n)))))))

  ;; An allocation and a trap need no frame, nor does a tail call.
  ;; FUNC: link
  ;; NOT: push
  ;; NOT: pop
  ;; NOT: rsp
  ;; CHECK: jmpq *%r
  ;; NOT: push
  ;; NOT: rsp
  ;; CHECK: callq *
  (func $link (export "link") (param $i i32) (param $f (ref null $next)) (result i32)
    (return_call_ref $next (struct.new_default $node) (local.get $i) (local.get $f))))
