;; emit: asm
(module
  (type $node (struct (field $next (mut (ref null $node))) (field $value (mut i32))))
  (type $list (array (mut (ref null $node))))
  (import "" "collect" (func $collect))

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

  ;; Nor after another one, however many collections there were: what the function still needs is on the shadow stack
  ;; in each, and so stays remembered.
  ;; FUNC: kept
  ;; CHECK: callq
  ;; NOT: movb $1
  ;; CHECK: ret
  (func $kept (export "kept") (result (ref $node))
    (local $node (ref $node))
    (local.set $node (struct.new_default $node))
    (call $collect)
    (struct.set $node $next (local.get $node) (struct.new_default $node))
    (local.get $node))

  ;; An array's elements do not.
  ;; FUNC: array_kept
  ;; CHECK: callq
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $array_kept (export "array_kept") (param $i i32) (result (ref $list))
    (local $array (ref $list))
    (local.set $array (array.new_default $list (i32.const 100)))
    (call $collect)
    (array.set $list (local.get $array) (local.get $i) (struct.new_default $node))
    (local.get $array))

  ;; Null needs no barrier, in a field or in elements.
  ;; FUNC: clear
  ;; NOT: movb $1
  ;; CHECK: ret
  (func $clear (export "clear") (param $a (ref $node)) (param $b (ref $list)) (param $i i32)
    (struct.set $node $next (local.get $a) (ref.null none))
    (array.set $list (local.get $b) (local.get $i) (ref.null none))
    (array.fill $list (local.get $b) (i32.const 0) (ref.null none) (local.get $i)))

  ;; So it does not make another store's barrier useless.
  ;; FUNC: clear_and_set
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $clear_and_set (export "clear_and_set") (param $a (ref $node)) (param $b (ref $node))
    (struct.set $node $next (local.get $a) (ref.null none))
    (call $collect)
    (struct.set $node $next (local.get $a) (local.get $b)))

  ;; One barrier for an object is enough, whatever collects in between.
  ;; FUNC: twice
  ;; CHECK: movb $1
  ;; CHECK: callq
  ;; NOT: movb $1
  ;; CHECK: ret
  (func $twice (export "twice") (param $a (ref $node)) (param $b (ref $node)) (param $c (ref $node))
    (struct.set $node $next (local.get $a) (local.get $b))
    (call $collect)
    (struct.set $node $next (local.get $a) (local.get $c)))

  ;; A barrier on one way only is not.
  ;; FUNC: sometimes
  ;; CHECK: movb $1
  ;; CHECK: callq
  ;; CHECK: movb $1
  ;; CHECK: ret
  (func $sometimes (export "sometimes")
    (param $a (ref $node)) (param $b (ref $node)) (param $c (ref $node)) (param $which i32)
    (if (local.get $which) (then (struct.set $node $next (local.get $a) (local.get $b))))
    (call $collect)
    (struct.set $node $next (local.get $a) (local.get $c)))
)
