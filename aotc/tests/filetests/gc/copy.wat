;; emit: asm
(module
  (type $ints (array (mut i32)))
  (type $bytes (array (mut i8)))

  ;; A short range is copied by a loop over elements, upwards or downwards; see gc/lower/copy.rs.
  ;; FUNC: ints
  ;; CHECK: dolmen_copy.4
  ;; CHECK: ret
  (func $ints (export "ints") (param $a (ref $ints)) (param $b (ref $ints)) (param $n i32)
    (array.copy $ints $ints (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (local.get $n)))

  ;; FUNC: bytes
  ;; NOT: dolmen_copy
  ;; CHECK: memmove
  ;; CHECK: ret
  (func $bytes (export "bytes") (param $a (ref $bytes)) (param $b (ref $bytes)) (param $n i32)
    (array.copy $bytes $bytes (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (local.get $n)))
)
