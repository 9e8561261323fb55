;; emit: asm
;;
;; Loops over arrays are computed in vectors, as clang does with the same loops in C: sums of integers, fills, copies and
;; maps. A sum of floating-point numbers has an order; in it only what is added is computed in vectors. A loop that may
;; end early (the comparison of two arrays) takes one element after the other, in C, too. What an instruction says at
;; once is a call of the C library or vectors.
(module
  (type $i8s (array (mut i8)))
  (type $i16s (array (mut i16)))
  (type $i32s (array (mut i32)))
  (type $i64s (array (mut i64)))
  (type $f32s (array (mut f32)))
  (type $f64s (array (mut f64)))

  ;; FUNC: sum_i8
  ;; CHECK: vpmovzxbd
  ;; CHECK: %ymm
  (func $sum_i8 (export "sum_i8") (param $a (ref $i8s)) (result i32) (local $i i32) (local $n i32) (local $s i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (local.set $s (i32.add (local.get $s) (array.get_u $i8s (local.get $a) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))

  ;; FUNC: fill_i8
  ;; CHECK: callq memset
  (func $fill_i8 (export "fill_i8") (param $a (ref $i8s)) (param $v i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i8s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_i8
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_i8 (export "copy_i8") (param $a (ref $i8s)) (param $b (ref $i8s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i8s (local.get $a) (local.get $i) (array.get_u $i8s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_i8
  ;; CHECK: vpmullw
  ;; CHECK: %ymm
  (func $map_i8 (export "map_i8") (param $a (ref $i8s)) (param $b (ref $i8s)) (param $k i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i8s (local.get $a) (local.get $i) (i32.mul (array.get_u $i8s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_i8
  ;; CHECK: callq memmove
  ;; CHECK: callq memset
  (func $at_once_i8 (export "at_once_i8") (param $a (ref $i8s)) (param $b (ref $i8s)) (param $v i32)
    (array.copy $i8s $i8s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $i8s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))

  ;; FUNC: sum_i16
  ;; CHECK: vpmovzxwd
  ;; CHECK: %ymm
  (func $sum_i16 (export "sum_i16") (param $a (ref $i16s)) (result i32) (local $i i32) (local $n i32) (local $s i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (local.set $s (i32.add (local.get $s) (array.get_u $i16s (local.get $a) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))

  ;; FUNC: fill_i16
  ;; CHECK: %ymm
  (func $fill_i16 (export "fill_i16") (param $a (ref $i16s)) (param $v i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i16s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_i16
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_i16 (export "copy_i16") (param $a (ref $i16s)) (param $b (ref $i16s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i16s (local.get $a) (local.get $i) (array.get_u $i16s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_i16
  ;; CHECK: vpmullw
  ;; CHECK: %ymm
  (func $map_i16 (export "map_i16") (param $a (ref $i16s)) (param $b (ref $i16s)) (param $k i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i16s (local.get $a) (local.get $i) (i32.mul (array.get_u $i16s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_i16
  ;; CHECK: callq memmove
  ;; CHECK: %ymm
  (func $at_once_i16 (export "at_once_i16") (param $a (ref $i16s)) (param $b (ref $i16s)) (param $v i32)
    (array.copy $i16s $i16s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $i16s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))

  ;; FUNC: sum_i32
  ;; CHECK: vpaddd 8(%
  ;; CHECK: vpaddd 40(%
  (func $sum_i32 (export "sum_i32") (param $a (ref $i32s)) (result i32) (local $i i32) (local $n i32) (local $s i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (local.set $s (i32.add (local.get $s) (array.get $i32s (local.get $a) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))

  ;; FUNC: fill_i32
  ;; CHECK: %ymm
  (func $fill_i32 (export "fill_i32") (param $a (ref $i32s)) (param $v i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i32s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_i32
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_i32 (export "copy_i32") (param $a (ref $i32s)) (param $b (ref $i32s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i32s (local.get $a) (local.get $i) (array.get $i32s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_i32
  ;; CHECK: vpmulld
  ;; CHECK: %ymm
  (func $map_i32 (export "map_i32") (param $a (ref $i32s)) (param $b (ref $i32s)) (param $k i32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i32s (local.get $a) (local.get $i) (i32.mul (array.get $i32s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_i32
  ;; CHECK: callq dolmen_copy.4
  ;; CHECK: %ymm
  (func $at_once_i32 (export "at_once_i32") (param $a (ref $i32s)) (param $b (ref $i32s)) (param $v i32)
    (array.copy $i32s $i32s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $i32s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))

  ;; FUNC: sum_i64
  ;; CHECK: vpaddq 8(%
  ;; CHECK: vpaddq 40(%
  (func $sum_i64 (export "sum_i64") (param $a (ref $i64s)) (result i64) (local $i i32) (local $n i32) (local $s i64)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (local.set $s (i64.add (local.get $s) (array.get $i64s (local.get $a) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))

  ;; FUNC: fill_i64
  ;; CHECK: %ymm
  (func $fill_i64 (export "fill_i64") (param $a (ref $i64s)) (param $v i64) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i64s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_i64
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_i64 (export "copy_i64") (param $a (ref $i64s)) (param $b (ref $i64s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i64s (local.get $a) (local.get $i) (array.get $i64s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_i64
  ;; CHECK: vpmuludq
  ;; CHECK: %ymm
  (func $map_i64 (export "map_i64") (param $a (ref $i64s)) (param $b (ref $i64s)) (param $k i64) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $i64s (local.get $a) (local.get $i) (i64.mul (array.get $i64s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_i64
  ;; CHECK: callq dolmen_copy.8
  ;; CHECK: %ymm
  (func $at_once_i64 (export "at_once_i64") (param $a (ref $i64s)) (param $b (ref $i64s)) (param $v i64)
    (array.copy $i64s $i64s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $i64s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))

  ;; FUNC: fill_f32
  ;; CHECK: %ymm
  (func $fill_f32 (export "fill_f32") (param $a (ref $f32s)) (param $v f32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f32s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_f32
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_f32 (export "copy_f32") (param $a (ref $f32s)) (param $b (ref $f32s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f32s (local.get $a) (local.get $i) (array.get $f32s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_f32
  ;; CHECK: vmulps
  ;; CHECK: %ymm
  (func $map_f32 (export "map_f32") (param $a (ref $f32s)) (param $b (ref $f32s)) (param $k f32) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f32s (local.get $a) (local.get $i) (f32.mul (array.get $f32s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_f32
  ;; CHECK: callq dolmen_copy.4
  ;; CHECK: %ymm
  (func $at_once_f32 (export "at_once_f32") (param $a (ref $f32s)) (param $b (ref $f32s)) (param $v f32)
    (array.copy $f32s $f32s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $f32s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))

  ;; FUNC: fill_f64
  ;; CHECK: %ymm
  (func $fill_f64 (export "fill_f64") (param $a (ref $f64s)) (param $v f64) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f64s (local.get $a) (local.get $i) (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: copy_f64
  ;; CHECK: ), %ymm
  ;; CHECK: %ymm
  (func $copy_f64 (export "copy_f64") (param $a (ref $f64s)) (param $b (ref $f64s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f64s (local.get $a) (local.get $i) (array.get $f64s (local.get $b) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: map_f64
  ;; CHECK: vmulpd
  ;; CHECK: %ymm
  (func $map_f64 (export "map_f64") (param $a (ref $f64s)) (param $b (ref $f64s)) (param $k f64) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
        (array.set $f64s (local.get $a) (local.get $i) (f64.mul (array.get $f64s (local.get $b) (local.get $i)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))

  ;; FUNC: at_once_f64
  ;; CHECK: callq dolmen_copy.8
  ;; CHECK: %ymm
  (func $at_once_f64 (export "at_once_f64") (param $a (ref $f64s)) (param $b (ref $f64s)) (param $v f64)
    (array.copy $f64s $f64s (local.get $a) (i32.const 0) (local.get $b) (i32.const 0) (array.len (local.get $a)))
    (array.fill $f64s (local.get $b) (i32.const 0) (local.get $v) (array.len (local.get $b))))
)
