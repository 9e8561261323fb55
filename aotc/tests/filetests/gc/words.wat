;; emit: asm
;; A reference is extended once, where it comes from, for all blocks that use it; so is an index.
(module
  (type $array (array (mut i32)))
  (type $list (sub (struct (field $next (mut (ref null $list))) (field $value (mut i32)) (field $items (ref null $array)))))
  (type $next (func (param (ref null $list) i32) (result i32)))

  ;; The parameter is an address as it is, and passed on as it is.
  ;; FUNC: dispatch
  ;; NOT: movl %edx, %e
  ;; NOT: movl %ecx, %e
  ;; NOT: movq %rdx
  ;; CHECK: testq %rdx, %rdx
  ;; CHECK: (%r10,%rdx,4)
  ;; CHECK: jmpq *
  (func $dispatch (export "dispatch") (param $list (ref null $list)) (param $i i32) (param $f (ref null $next)) (result i32)
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (return_call_ref $next (local.get $list)
      (array.get $array (struct.get $list $items (local.get $list)) (local.get $i))
      (local.get $f)))

  ;; What a loop carries is an address in every round.
  ;; FUNC: sum
  ;; CHECK: testq
  ;; NOT: movl %eax, %e
  ;; NOT: movl %ecx, %e
  ;; NOT: movl %edx, %e
  ;; CHECK: addl 8(%r
  ;; NOT: movl %eax, %e
  ;; NOT: movl %ecx, %e
  ;; NOT: movl %edx, %e
  ;; CHECK: testq
  ;; CHECK: jne
  (func $sum (export "sum") (param $list (ref null $list)) (result i32)
    (local $sum i32)
    (block $done
      (loop $again
        (br_if $done (ref.is_null (local.get $list)))
        (local.set $sum (i32.add (local.get $sum) (struct.get $list $value (local.get $list))))
        (local.set $list (struct.get $list $next (local.get $list)))
        (br $again)))
    (local.get $sum)))
