;; emit: asm polls aarch64
(module
  (type $bytes (array (mut i8)))
  (type $leaf (struct (field $value i32)))
  (type $node (struct (field $left (mut (ref null $leaf))) (field $right (ref $leaf)) (field $next (mut (ref null $node)))))
  (type $leaves (array (mut (ref $leaf))))
  (type $numbers (array i32))
  (import "host" "leaf" (func $make_leaf (result (ref $leaf))))
  (global $leaf (mut (ref null $leaf)) (ref.null $leaf))
  (global $node (mut (ref null $node)) (ref.null $node))
  (table $table 1 100 (ref $leaf) (struct.new $leaf (i32.const 0)))

  ;; Header and field come first, then the fence, then the reference.
  ;; FUNC: publish
  ;; NOT: dmb
  ;; CHECK: str w3, [x8, #4]
  ;; NOT: str w0
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: str w0, [x1,
  ;; CHECK: ret
  (func $publish (export "publish") (param $value i32)
    (global.set $leaf (struct.new $leaf (local.get $value))))

  ;; What is returned, somebody publishes.
  ;; FUNC: give
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: ret
  (func $give (export "give") (param $length i32) (result (ref $bytes))
    (array.new_default $bytes (local.get $length)))

  ;; One fence for all three: nobody finds the leaves before the node, to which the references are stored.
  ;; FUNC: tree
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: ret
  (func $tree (export "tree") (param $value i32) (result (ref $node)) (local $node (ref $node))
    (local.set $node (struct.new $node
      (ref.null $leaf) (struct.new $leaf (i32.const 2)) (ref.null $node)))
    (struct.set $node $left (local.get $node) (struct.new $leaf (local.get $value)))
    (local.get $node))

  ;; A store into an old object lies between, so each has its own.
  ;; FUNC: two
  ;; CHECK: dmb ish
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: ret
  (func $two (export "two") (param $node (ref $node)) (param $value i32) (result (ref $leaf))
    (struct.set $node $left (local.get $node) (struct.new $leaf (local.get $value)))
    (struct.new $leaf (local.get $value)))

  ;; The fence for elements that are never null is the allocation's, too.
  ;; FUNC: pair
  ;; NOT: dmb
  ;; CHECK: stp w3, w4
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: ret
  (func $pair (export "pair") (param $a (ref $leaf)) (param $b (ref $leaf)) (result (ref $leaves))
    (array.new_fixed $leaves 2 (local.get $a) (local.get $b)))

  ;; Immutable elements are as they will always be when somebody finds the array.
  ;; FUNC: numbers
  ;; NOT: dmb
  ;; CHECK: stp w3, w4
  ;; CHECK: dmb ish
  ;; NOT: dmb
  ;; CHECK: ret
  (func $numbers (export "numbers") (param $a i32) (param $b i32) (result (ref $numbers))
    (array.new_fixed $numbers 2 (local.get $a) (local.get $b)))

  ;; Readers need none: header and fields are loaded through the reference.
  ;; FUNC: read
  ;; NOT: dmb
  ;; NOT: ldar
  ;; CHECK: ret
  (func $read (export "read") (param $node (ref $node)) (result i32)
    (struct.get $leaf $value (ref.as_non_null (struct.get $node $left (local.get $node)))))

  ;; Nor does who stores what others have made.
  ;; FUNC: pass_on
  ;; NOT: dmb
  ;; CHECK: ret
  (func $pass_on (export "pass_on") (param $node (ref $node))
    (struct.set $node $left (local.get $node) (call $make_leaf)))

  ;; The length of a table that grows is read before the elements.
  ;; FUNC: element
  ;; CHECK: ldar
  ;; CHECK: ldr w
  ;; CHECK: ret
  (func $element (export "element") (param $index i32) (result (ref $leaf))
    (table.get $table (local.get $index)))
)
