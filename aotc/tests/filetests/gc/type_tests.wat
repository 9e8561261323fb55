;; emit: asm
;; Chains of type tests of one object are merged: it is compared with null once and its type word is loaded once, then
;; there is a comparison with the type word of each type.
(module
  (rec
    (type $base (sub (struct (field i32))))
    (type $final0 (sub final $base (struct (field i32) (field i64))))
    (type $final1 (sub final $base (struct (field i32) (field i64))))
    (type $final2 (sub final $base (struct (field i32) (field i64))))
    (type $final3 (sub final $base (struct (field i32) (field i64))))
    (type $open0 (sub $base (struct (field i32) (field i64))))
    (type $open1 (sub $base (struct (field i32) (field i64))))
    (type $open2 (sub $base (struct (field i32) (field i64))))
    (type $open3 (sub $base (struct (field i32) (field i64)))))

  ;; FUNC: final
  ;; CHECK: testq
  ;; CHECK: ,%rdx,4)
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: ret
  (func $final (export "final") (param $object (ref null $base)) (result i32)
    (if (ref.test (ref $final0) (local.get $object)) (then (return (i32.const 100))))
    (if (ref.test (ref $final1) (local.get $object)) (then (return (i32.const 107))))
    (if (ref.test (ref $final2) (local.get $object)) (then (return (i32.const 128))))
    (if (ref.test (ref $final3) (local.get $object)) (then (return (i32.const 163))))
    (i32.const 0))

  ;; The type that stands at the depth of all four is loaded once, too, from the type's description.
  ;; FUNC: open
  ;; CHECK: testq
  ;; CHECK: ,%rdx,4)
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: (%rsi),
  ;; NOT: testq
  ;; NOT: ,4)
  ;; CHECK: ret
  (func $open (export "open") (param $object (ref null $base)) (result i32)
    (if (ref.test (ref $open0) (local.get $object)) (then (return (i32.const 100))))
    (if (ref.test (ref $open1) (local.get $object)) (then (return (i32.const 107))))
    (if (ref.test (ref $open2) (local.get $object)) (then (return (i32.const 128))))
    (if (ref.test (ref $open3) (local.get $object)) (then (return (i32.const 163))))
    (i32.const 0))
)
