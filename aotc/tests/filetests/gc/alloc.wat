;; emit: asm
(module
  (type $object (sub (struct (field $vtable (ref null $object)))))
  (type $point (sub final $object (struct (field $vtable (ref null $object)) (field $x (mut i32)) (field $y (mut i32)))))
  (func $effect (import "host" "effect"))

  ;; An object that does not escape is never made.
  ;; FUNC: dead
  ;; NOT: cmpl
  ;; NOT: callq
  ;; CHECK: ret
  (func $dead (export "dead") (param $a i32) (param $b i32) (result i32)
    (local $p (ref null $point))
    (local.set $p (struct.new $point (ref.null $object) (local.get $a) (local.get $b)))
    (struct.set $point $x (local.get $p) (i32.add (struct.get $point $y (local.get $p)) (i32.const 1)))
    (i32.mul (struct.get $point $x (local.get $p)) (struct.get $point $y (local.get $p))))

  ;; The fast path bumps the cursor, compares it with the limit, and stores header and fields; 16 bytes are 4
  ;; units of a reference. The slow path keeps registers, so that nothing is saved for it.
  ;; FUNC: bump
  ;; NOT: pushq %rb
  ;; NOT: pushq %r1
  ;; CHECK: movl (%rdi), %eax
  ;; CHECK: leal 4(%rax)
  ;; CHECK: cmpl 4(%rdi)
  ;; CHECK: ja
  ;; CHECK: ,%rax,4)
  ;; CHECK: ret
  (func $bump (export "bump") (param $a i32) (result (ref $point))
    (struct.new $point (ref.null $object) (local.get $a) (i32.const 3)))

  ;; A function without references that live across calls has no frame on the shadow stack (offset 16 of the
  ;; thread context).
  ;; FUNC: frameless
  ;; NOT: movq 16(%rdi)
  ;; CHECK: ret
  (func $frameless (export "frameless") (param $p (ref $point)) (result i32)
    (struct.get $point $x (local.get $p))
    (call $effect))

  ;; One store keeps the reference across both calls.
  ;; FUNC: rooted
  ;; CHECK: callq
  ;; NOT: movl %e
  ;; CHECK: callq
  ;; CHECK: ret
  (func $rooted (export "rooted") (param $p (ref $point)) (result i32)
    (call $effect)
    (call $effect)
    (struct.get $point $x (local.get $p)))
)
