;; Import sections that name a module once for several items, with types of their own or one for all.

(module (import "spectest"
  (item "global_i32" (global i32))
  (item "print_i32" (func $print (param i32)))
  (item "memory" (memory 1 2)))
  (import "spectest" "table" (table 10 20 funcref))
  (func (export "get") (result i32) (call $print (i32.const 1)) (global.get 0))
  (func (export "size") (result i32) (i32.add (memory.size) (table.size 0))))
(assert_return (invoke "get") (i32.const 666))
(assert_return (invoke "size") (i32.const 11))

(module $two
  (func (export "one") (result i32) (i32.const 1))
  (func (export "two") (result i32) (i32.const 2)))
(register "two")
(module
  (import "two" (item "two") (item "one") (func (result i32)))
  (func (export "f") (result i32) (i32.sub (i32.mul (call 0) (i32.const 10)) (call 1))))
(assert_return (invoke "f") (i32.const 19))

(assert_unlinkable
  (module (import "two" (item "one") (item "three") (func (result i32))))
  "unknown import")
(assert_unlinkable
  (module (import "two" (item "one" (func (result i32))) (item "two" (func (result i64)))))
  "incompatible import type")
