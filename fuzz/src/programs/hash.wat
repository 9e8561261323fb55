  ;; What engines are asked: integers that tell what a reference leads to, up to a depth.
  (func $hash_any (param $any anyref) (param $depth i32) (result i64)
    (local $array arrayref) (local $index i32) (local $hash i64)
    (if (ref.is_null (local.get $any)) (then (return (i64.const 1))))
    (if (ref.test (ref i31) (local.get $any))
      (then
        (return
          (i64.add (i64.const 2)
            (i64.mul (i64.const 8) (i64.extend_i32_s (i31.get_s (ref.cast (ref i31) (local.get $any)))))))))
    (if (ref.test (ref $obj) (local.get $any))
      (then (return (call $hash_obj (ref.cast (ref $obj) (local.get $any)) (local.get $depth)))))
    (if (ref.test (ref $cell) (local.get $any))
      (then (return (call $hash_cell (ref.cast (ref $cell) (local.get $any))))))
    (local.set $array (ref.cast arrayref (local.get $any)))
    (local.set $hash (i64.extend_i32_u (array.len (local.get $array))))
    (if (ref.test (ref $ints) (local.get $any))
      (then (return (i64.add (local.get $hash) (call $hash_ints (ref.cast (ref $ints) (local.get $any)))))))
    (if (ref.test (ref $objs) (local.get $any))
      (then (return (i64.add (local.get $hash) (call $hash_objs (ref.cast (ref $objs) (local.get $any)) (local.get $depth))))))
    (if (ref.test (ref $anys) (local.get $any))
      (then (return (i64.add (local.get $hash) (call $hash_anys (ref.cast (ref $anys) (local.get $any)) (local.get $depth))))))
    (local.get $hash))

  (func $mix (param $hash i64) (param $value i64) (result i64)
    (i64.xor (i64.mul (local.get $hash) (i64.const 0x100000001b3)) (local.get $value)))

  (func $hash_obj (param $obj (ref null $obj)) (param $depth i32) (result i64)
    (local $hash i64)
    (if (ref.is_null (local.get $obj)) (then (return (i64.const 1))))
    (if (i32.le_s (local.get $depth) (i32.const 0)) (then (return (i64.const 3))))
    (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
    (local.set $hash (i64.extend_i32_s (struct.get $obj 1 (local.get $obj))))
    (local.set $hash (call $mix (local.get $hash) (call $hash_obj (struct.get $obj 2 (local.get $obj)) (local.get $depth))))
    (if (ref.test (ref $c1) (local.get $obj))
      (then
        (local.set $hash (call $mix (local.get $hash) (struct.get $c1 3 (ref.cast (ref $c1) (local.get $obj)))))
        (local.set $hash
          (call $mix (local.get $hash)
            (call $hash_any (struct.get $c1 4 (ref.cast (ref $c1) (local.get $obj))) (local.get $depth))))))
    (if (ref.test (ref $c2) (local.get $obj))
      (then
        (local.set $hash
          (call $mix (local.get $hash)
            (i64.trunc_sat_f64_s (struct.get $c2 5 (ref.cast (ref $c2) (local.get $obj))))))))
    (local.get $hash))

  (func $hash_objs (param $array (ref $objs)) (param $depth i32) (result i64)
    (local $index i32) (local $hash i64)
    (loop $next
      (if (i32.lt_u (local.get $index) (array.len (local.get $array)))
        (then
          (local.set $hash
            (call $mix (local.get $hash)
              (call $hash_obj (array.get $objs (local.get $array) (local.get $index)) (local.get $depth))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next))))
    (local.get $hash))

  (func $hash_anys (param $array (ref $anys)) (param $depth i32) (result i64)
    (local $index i32) (local $hash i64)
    (if (i32.le_s (local.get $depth) (i32.const 0)) (then (return (i64.const 3))))
    (loop $next
      (if (i32.lt_u (local.get $index) (array.len (local.get $array)))
        (then
          (local.set $hash
            (call $mix (local.get $hash)
              (call $hash_any (array.get $anys (local.get $array) (local.get $index))
                (i32.sub (local.get $depth) (i32.const 1)))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next))))
    (local.get $hash))

  (func $hash_memory (result i64)
    (local $at i32) (local $hash i64)
    (loop $next
      (local.set $hash (call $mix (local.get $hash) (i64.load (local.get $at))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 512))))
    (local.get $hash))
