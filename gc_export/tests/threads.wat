(module
  (import "env" "park" (func $park (param i32) (result i32)))
  (import "env" "where" (func $where (param i32) (result i32)))
  (type $node (struct (field i32) (field (ref null $node))))
  (global $top (mut (ref null $node)) (ref.null $node))
  (global $rounds (mut i32) (i32.const 0))
  ;; Makes chains of nodes and adds up their numbers.
  (func $make (param $n i32) (result (ref null $node)) (local $list (ref null $node))
    (loop $l
      (local.set $list (struct.new $node (local.get $n) (local.get $list)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $list))
  (func $sum (param $list (ref null $node)) (result i32) (local $sum i32)
    (block $end
      (loop $l
        (br_if $end (ref.is_null (local.get $list)))
        (local.set $sum (i32.add (local.get $sum) (struct.get $node 0 (local.get $list))))
        (local.set $list (struct.get $node 1 (local.get $list)))
        (br $l)))
    (local.get $sum))
  (func (export "work") (param $rounds i32) (result i32) (local $sum i32)
    (loop $l
      (global.set $top (call $make (i32.const 100)))
      (local.set $sum (i32.add (local.get $sum) (call $sum (call $make (i32.const 100)))))
      (br_if $l (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $sum))
  (func $endless (export "endless")
    (loop $l
      (drop (global.atomic.rmw.add seqcst $rounds (i32.const 1)))
      (br $l)))
  (func (export "rounds") (result i32) (global.atomic.get seqcst $rounds))
  (func $outer (export "park") (param i32) (result i32) (call $park (local.get 0)))
  (func $asks (export "where") (param i32) (result i32) (i32.add (call $where (local.get 0)) (i32.const 0))))
