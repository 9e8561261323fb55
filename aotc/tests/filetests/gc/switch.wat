;; emit: ir
;; A switch brings a pointer into an object to a merge as often as it has cases for it, each time the same address.
(module
  (type $pair (struct (field $x (mut i32)) (field $y (mut i32))))
  (import "m" "f" (func $f))

  ;; FUNC: pick
  ;; CHECK: switch i32
  ;; CHECK: phi ptr [
  ;; CHECK: load i32
  (func $pick (export "pick") (param $a (ref $pair)) (param $b (ref $pair)) (param $i i32) (result i32)
    (struct.set $pair $y (local.get $a) (local.get $i))
    (call $f)
    (block $end (result i32)
      (block $other
        (block $same (br_table $same $other $same $other (local.get $i)))
        (br $end (struct.get $pair $y (local.get $a))))
      (call $f)
      (struct.get $pair $x (local.get $b)))))
