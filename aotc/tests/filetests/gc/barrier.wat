;; emit: asm
(module
  (type $node (struct (field $next (mut (ref null $node))) (field $value (mut i32))))
  (type $list (array (mut (ref null $node))))

  ;; A store to a field dirties the card of the object's header, without a branch: 256 bytes are 64 units of a
  ;; reference, and the card table is at offset 40 of the thread context.
  ;; FUNC: field
  ;; CHECK: movq 40(%rdi)
  ;; CHECK: shrl $6
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $field (export "field") (param $a (ref $node)) (param $b (ref $node))
    (struct.set $node $next (local.get $a) (local.get $b)))

  ;; Numbers need no barrier.
  ;; FUNC: number
  ;; NOT: movq 40(%rdi)
  ;; CHECK: ret
  (func $number (export "number") (param $a (ref $node))
    (struct.set $node $value (local.get $a) (i32.const 7)))

  ;; A store to an element dirties the card of the element.
  ;; FUNC: element
  ;; CHECK: addl $2
  ;; CHECK: shrl $6
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $element (export "element") (param $a (ref $list)) (param $i i32) (param $b (ref $node))
    (array.set $list (local.get $a) (local.get $i) (local.get $b)))

  ;; A copy dirties the cards of all elements that it wrote.
  ;; FUNC: copy
  ;; CHECK: callq
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $copy (export "copy") (param $a (ref $list)) (param $b (ref $list)) (param $n i32)
    (array.copy $list $list (local.get $a) (i32.const 1) (local.get $b) (i32.const 2) (local.get $n)))

  ;; A fresh object is young: neither its initialisation nor a store before the next safepoint needs a barrier.
  ;; FUNC: fresh
  ;; NOT: movb $1
  ;; CHECK: ret
  (func $fresh (export "fresh") (param $next (ref null $node)) (result (ref $node))
    (local $node (ref $node))
    (local.set $node (struct.new_default $node))
    (struct.set $node $next (local.get $node) (local.get $next))
    (local.get $node))

  ;; After another allocation it may be old.
  ;; FUNC: not_fresh
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $not_fresh (export "not_fresh") (result (ref $node))
    (local $node (ref $node))
    (local.set $node (struct.new_default $node))
    (struct.set $node $next (local.get $node) (struct.new_default $node))
    (local.get $node))
)
