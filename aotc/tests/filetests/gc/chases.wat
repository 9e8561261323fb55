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

  ;; The first step is where the function begins.
  ;; FUNC: below
  ;; CHECK: cmpl
  ;; NOT: set
  ;; CHECK: 8(%r10,
  ;; NOT: set
  ;; CHECK: 12(%r10,
  ;; NOT: set
  ;; CHECK: ret
  (func $below (export "below") (param $at (ref $node)) (param $key i32) (result i32) (local $next (ref null $node))
    (local.set $next
      (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $at)))
        (then (struct.get $node $less (local.get $at)))
        (else (struct.get $node $more (local.get $at)))))
    (loop $down
      (if (ref.is_null (local.get $next)) (then (return (i32.const -1))))
      (if (i32.eq (struct.get $node $key (local.get $next)) (local.get $key)) (then (return (local.get $key))))
      (local.set $next
        (if (result (ref null $node)) (i32.lt_s (local.get $key) (struct.get $node $key (local.get $next)))
          (then (struct.get $node $less (local.get $next)))
          (else (struct.get $node $more (local.get $next)))))
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
