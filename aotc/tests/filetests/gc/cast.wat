;; emit: asm
(module
  (type $object (sub (struct)))
  (type $open (sub $object (struct (field i32))))
  (type $final (sub final $object (struct (field i64))))

  ;; One comparison of the type word with the wanted one.
  ;; FUNC: to_final
  ;; CHECK: cmpl
  ;; NOT: cmpl
  ;; NOT: callq
  ;; CHECK: ret
  (func $to_final (export "to_final") (param (ref $object)) (result i32)
    (ref.test (ref $final) (local.get 0)))

  ;; One more load, of the display; offset 36 is its entry for depth 1.
  ;; FUNC: to_open
  ;; CHECK: 36(
  ;; CHECK: cmpl
  ;; NOT: cmpl
  ;; NOT: callq
  ;; CHECK: ret
  (func $to_open (export "to_open") (param (ref $object)) (result i32)
    (ref.test (ref $open) (local.get 0)))

  ;; A second cast to the same type is free.
  ;; FUNC: twice
  ;; CHECK: cmpl
  ;; NOT: cmpl
  ;; CHECK: ret
  (func $twice (export "twice") (param (ref $object)) (result i64)
    (i64.add
      (struct.get $final 0 (ref.cast (ref $final) (local.get 0)))
      (struct.get $final 0 (ref.cast (ref $final) (local.get 0)))))

  ;; What static types tell is not tested: only null is.
  ;; FUNC: upwards
  ;; NOT: cmpl
  ;; NOT: callq
  ;; CHECK: ret
  (func $upwards (export "upwards") (param (ref null $final)) (result i32)
    (ref.test (ref $object) (local.get 0)))

  ;; FUNC: kind
  ;; NOT: cmpl
  ;; CHECK: $1
  ;; CHECK: ret
  (func $kind (export "kind") (param (ref $final)) (result i32)
    (ref.test (ref struct) (local.get 0)))
)
