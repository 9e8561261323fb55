;; emit: asm
(module
  (table $growing 10 funcref)
  (table $fixed 4 4 funcref)

  ;; FUNC: get
  ;; CHECK: cmpq
  ;; CHECK: ,4), %eax
  (func $get (export "get") (param i32) (result funcref)
    (table.get $growing (local.get 0)))

  ;; The length of a table that cannot grow is a constant.
  ;; FUNC: get_fixed
  ;; CHECK: cmpl $4
  ;; NOT: cmp
  ;; CHECK: ret
  (func $get_fixed (export "get_fixed") (param i32) (result funcref)
    (table.get $fixed (local.get 0)))

  ;; Storing an element is one store: tables are roots.
  ;; FUNC: set
  ;; CHECK: cmpq
  ;; CHECK: movl %ecx, (
  ;; NOT: mov
  ;; CHECK: ret
  (func $set (export "set") (param i32 funcref)
    (table.set $growing (local.get 0) (local.get 1)))
)
