;; The sum of numbers of objects, in turns; makes an object in each.
(func $many (param $turns i32) (param $a (ref null $obj)) (param $b (ref null $obj)) (param $c (ref null $obj))
            (param $d (ref null $obj)) (param $e (ref null $obj)) (param $f (ref null $obj)) (result i32)
  (if (i32.eqz (local.get $turns))
    (then (return (i32.add (call $number (local.get $a))
                           (i32.mul (i32.const 3) (i32.add (call $number (local.get $e)) (call $number (local.get $f))))))))
  (return_call $many
    (i32.sub (local.get $turns) (i32.const 1))
    (local.get $b) (local.get $c) (local.get $d) (local.get $e) (local.get $f)
    (struct.new $obj (global.get $vt_a) (call $number (local.get $a)) (local.get $a))))
(func $number (param $object (ref null $obj)) (result i32)
  (if (ref.is_null (local.get $object)) (then (return (i32.const 17))))
  (struct.get $obj 1 (local.get $object)))
;; Two objects and what it makes of both, of which the last is not in a register.
(func $three (param $a (ref $obj)) (param $b (ref $obj)) (result (ref null $obj) i32 (ref null $obj)) (local $both (ref null $obj))
  (local.set $both (struct.new $obj (global.get $vt_b) (struct.get $obj 1 (local.get $a)) (local.get $b)))
  (if (i32.and (struct.get $obj 1 (local.get $b)) (i32.const 1))
    (then (return (local.get $both) (i32.const 1) (local.get $a))))
  (local.get $b) (struct.get $obj 1 (local.get $both)) (local.get $a))
