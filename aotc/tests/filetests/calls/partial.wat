;; emit: ir
;; What a function does when it returns early is inlined, the rest of it is called.
(module
  (type $table (array (mut i32)))
  (type $box (struct (field $table (mut (ref null $table))) (field $size (mut i32))))
  (import "m" "step" (func $step (param i32) (result i32)))
  (global $made (mut i32) (i32.const 0))
  (func $table (param $b (ref null $box)) (result (ref null $table))
    (if (ref.is_null (struct.get $box $table (local.get $b)))
      (then
        (struct.set $box $table (local.get $b) (array.new_default $table (struct.get $box $size (local.get $b))))
        (global.set $made
          (call $step (call $step (call $step (call $step (call $step (call $step
          (call $step (call $step (call $step (call $step (call $step (call $step (global.get $made))))))))))))))))
    (struct.get $box $table (local.get $b)))

  ;; FUNC: one.whole
  ;; CHECK: load ptr addrspace(271)
  ;; CHECK: br i1
  ;; CHECK: @"wasm[1]::table"(
  (func $one (export "one") (param (ref null $box) i32) (result i32)
    (array.get $table (call $table (local.get 0)) (local.get 1)))

  ;; FUNC: two.whole
  ;; CHECK: br i1
  ;; CHECK: @"wasm[1]::table"(
  ;; CHECK: br i1
  ;; CHECK: @"wasm[1]::table"(
  (func $two (export "two") (param (ref null $box) (ref null $box)) (result i32)
    (i32.add (array.len (call $table (local.get 0))) (array.len (call $table (local.get 1)))))

  ;; A tail call stays one.
  ;; FUNC: last
  ;; CHECK: musttail call tailcc ptr addrspace(271) @"wasm[1]::table"(
  (func $last (export "last") (param (ref null $box)) (result (ref null $table))
    (return_call $table (local.get 0))))
