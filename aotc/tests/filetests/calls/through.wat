;; emit: ir polls
;; A function that was called through a reference is inlined, and with its call goes the poll: its own call polls instead.
;; Nothing else on the way around does, from $g through $f and $h to $g: there is no direct call of $f.
(module
  (import "host" "nothing" (func $nothing))
  (type $t (func (param i32)))
  (type $box (struct (field (ref $t))))
  (global $box (ref $box) (struct.new $box (ref.func $f)))

  (func $f (type $t) (call $h (local.get 0)))
  ;; Too long to be inlined.
  (func $h (type $t)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing) (call $nothing)
    (call $g (local.get 0)))
  ;; FUNC: g
  ;; CHECK: load volatile i32
  ;; CHECK: call preserve_allcc
  ;; CHECK: call tailcc void @"wasm[2]::h"
  ;; NOT: load volatile i32
  (func $g (export "g") (type $t)
    (call_ref $t (local.get 0) (struct.get $box 0 (global.get $box)))))
