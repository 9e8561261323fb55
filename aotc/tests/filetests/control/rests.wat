;; emit: ir polls
;; The rest that fills no vector has few rounds, so only the vectors are cut into strips.
;; FUNC: sum
;; CHECK: load <8 x i32>
;; CHECK: label %strip.check
;; CHECK: load <4 x i32>
;; NOT: strip
;; CHECK: load i32
;; CHECK: strip:
;; CHECK: load volatile i32
;; NOT: load volatile
;; A sum of floating-point numbers has an order: two vectors a round do. Their rest is none of vectors.
;; FUNC: ordered
;; CHECK: call double @llvm.vector.reduce.fadd
;; CHECK: call double @llvm.vector.reduce.fadd
;; NOT: reduce.fadd
;; CHECK: load double
;; CHECK: strip:
;; Where two arrays may be one, single elements may be many.
;; FUNC: map
;; CHECK: strip:
;; CHECK: load volatile i32
;; CHECK: load volatile i32
;; A counter that starts at its bound goes round the whole word. Nothing says here that it does not.
;; FUNC: up_to_low_bits
;; CHECK: load volatile i32
;; FUNC: from_high_bits
;; CHECK: load volatile i32
;; Here something does.
;; FUNC: up_to_some_low_bits
;; NOT: volatile
;; CHECK: ret
;; FUNC: from_other_high_bits
;; NOT: volatile
;; CHECK: ret
;; This says too little: the number is not zero, its low bits may be.
;; FUNC: up_to_low_bits_of_more
;; CHECK: load volatile i32
;; What a mask took away may have been large.
;; FUNC: from_middle_bits
;; CHECK: load volatile i32
(module
  (memory 1)
  (type $i32s (array (mut i32)))
  (type $f64s (array (mut f64)))
  (func $sum (export "sum") (param $a (ref $i32s)) (result i32) (local $i i32) (local $n i32) (local $s i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $s (i32.add (local.get $s) (array.get $i32s (local.get $a) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))
  (func $ordered (export "ordered") (param $a (ref $f64s)) (result f64) (local $i i32) (local $n i32) (local $s f64)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $s (f64.add (local.get $s) (f64.sqrt (array.get $f64s (local.get $a) (local.get $i)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $s))
  (func $map (export "map") (param $a (ref $i32s)) (param $b (ref $i32s)) (local $i i32) (local $n i32)
    (local.set $n (array.len (local.get $a)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (array.set $i32s (local.get $a) (local.get $i) (i32.mul (i32.const 77) (array.get $i32s (local.get $b) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))
  ;; Loops of chance, which no optimiser turns into another: each round takes what the one before has stored.
  (func $up_to_low_bits (export "up_to_low_bits") (param $n i32) (local $i i32)
    (loop $l
      (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
      (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.and (local.get $n) (i32.const 7))))))
  (func $from_high_bits (export "from_high_bits") (param $n i32) (local $i i32)
    (local.set $i (i32.and (local.get $n) (i32.const -8)))
    (loop $l
      (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
      (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))
  (func $up_to_some_low_bits (export "up_to_some_low_bits") (param $n i32) (local $i i32)
    (if (i32.and (local.get $n) (i32.const 7)) (then
      (loop $l
        (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
        (br_if $l
          (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.and (local.get $n) (i32.const 7))))))))
  (func $from_other_high_bits (export "from_other_high_bits") (param $n i32) (local $i i32)
    (local.set $i (i32.and (local.get $n) (i32.const -8)))
    (if (i32.ne (local.get $i) (local.get $n)) (then
      (loop $l
        (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
        (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))))
  (func $up_to_low_bits_of_more (export "up_to_low_bits_of_more") (param $n i32) (local $i i32)
    (if (local.get $n) (then
      (loop $l
        (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
        (br_if $l
          (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.and (local.get $n) (i32.const 7))))))))
  (func $from_middle_bits (export "from_middle_bits") (param $n i32) (local $i i32)
    (local.set $i (i32.and (local.get $n) (i32.const 0x7ffffff8)))
    (if (i32.ne (local.get $i) (local.get $n)) (then
      (loop $l
        (i32.store16 (i32.load16_u (i32.const 0)) (local.get $i))
        (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))))))
