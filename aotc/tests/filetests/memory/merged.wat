;; emit: asm
(module
  (memory 1)

  ;; Two checks that LLVM merged are two comparisons with a branch each, not a boolean.
  ;; FUNC: update
  ;; NOT: set
  ;; CHECK: ja
  ;; NOT: set
  ;; CHECK: ja
  ;; NOT: test
  ;; CHECK: ret
  (func $update (export "update") (param $p i32)
    (i32.store offset=8 (local.get $p)
      (i32.add (i32.load offset=4 (local.get $p)) (i32.const 1))))
)
