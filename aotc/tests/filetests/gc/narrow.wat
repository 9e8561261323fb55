;; emit: asm
;; A field that changes in one byte is written as wide as it is read: a load would wait for a narrower store.
(module
  (type $flags (struct (field (mut i32))))

  ;; FUNC: set_bit
  ;; NOT: orb
  ;; CHECK: orl
  ;; CHECK: ret
  (func $set_bit (export "set_bit") (param (ref $flags))
    (struct.set $flags 0 (local.get 0) (i32.or (struct.get $flags 0 (local.get 0)) (i32.const 1))))
)
