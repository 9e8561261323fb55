;; emit: asm
;; What a function does without a call needs no frame; the rest is behind a tail call.
(module
  (type $chars (array (mut i16)))
  (type $text (struct (field $chars (mut (ref null $chars))) (field $size i32)))
  (import "m" "step" (func $step (param i32) (result i32)))
  (global $made (mut i32) (i32.const 0))

  ;; Made at the first use.
  (func $chars (param $t (ref null $text)) (result (ref null $chars))
    (if (ref.is_null (struct.get $text $chars (local.get $t)))
      (then
        (struct.set $text $chars (local.get $t) (array.new_default $chars (struct.get $text $size (local.get $t))))
        (global.set $made
          (call $step (call $step (call $step (call $step (call $step (call $step
          (call $step (call $step (call $step (call $step (call $step (call $step (global.get $made))))))))))))))))
    (struct.get $text $chars (local.get $t)))

  ;; FUNC: sizes
  ;; NOT: push
  ;; NOT: 16(%rdi)
  ;; CHECK: "wasm[2]::sizes.whole"
  ;; NOT: push
  ;; NOT: 16(%rdi)
  ;; CHECK: retq
  ;; NOT: push
  (func $sizes (export "sizes") (param $a (ref null $text)) (param $b (ref null $text)) (result i32)
    (local $x (ref null $chars))
    (local.set $x (call $chars (local.get $a)))
    (i32.add (array.len (call $chars (local.get $b))) (array.len (local.get $x))))

  ;; What has an effect comes only once: the call behind it keeps its function in one.
  ;; FUNC: counted
  ;; NOT: counted.whole
  (func $counted (export "counted") (param $a (ref null $text)) (param $b (ref null $text)) (result i32)
    (global.set $made (i32.add (global.get $made) (i32.const 1)))
    (i32.add (array.len (call $chars (local.get $a))) (array.len (call $chars (local.get $b))))))
