;; emit: asm
;; A search in a tree branches to one child or the other, so that the processor goes on loading before it has compared.
(module
  (type $node (struct
    (field $key i32) (field $less (mut (ref null $node))) (field $more (mut (ref null $node)))))

  ;; FUNC: find
  ;; The first round.
  ;; NOT: set
  ;; CHECK: 8(%r10,
  ;; NOT: set
  ;; CHECK: 12(%r10,
  ;; NOT: set
  ;; CHECK: 8(%r10,
  ;; NOT: set
  ;; CHECK: 12(%r10,
  ;; NOT: set
  ;; CHECK: ret
  (func $find (export "find") (param $at (ref null $node)) (param $key i32) (result (ref null $node))
    (loop $down
      (if (ref.is_null (local.get $at)) (then (return (ref.null $node))))
      (if (i32.eq (struct.get $node $key (local.get $at)) (local.get $key)) (then (return (local.get $at))))
      (local.set $at
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
          (then (struct.get $node $less (local.get $at)))
          (else (struct.get $node $more (local.get $at)))))
      (br $down))
    (unreachable))

  ;; Where nothing waits for it, a selected address needs no branch.
  ;; FUNC: child
  ;; NOT: j
  ;; CHECK: set
  ;; NOT: j
  ;; CHECK: ret
  (func $child (export "child") (param $at (ref $node)) (param $more i32) (result (ref null $node))
    (if (result (ref null $node)) (local.get $more)
      (then (struct.get $node $more (local.get $at)))
      (else (struct.get $node $less (local.get $at))))))
