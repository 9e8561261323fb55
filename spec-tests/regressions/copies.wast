;; array.copy of every length that the compiler treats as short, and some beyond, within one array and between two,
;; at every distance of source and destination, against a copy through a third array.
(module
  (type $ints (array (mut i32)))
  (type $longs (array (mut i64)))
  (type $refs (array (mut (ref null i31))))

  ;; Copies $n elements within an array of 40 and says at how many places the result is wrong.
  (func $ints_within (param $dst i32) (param $src i32) (param $n i32) (result i32)
    (local $a (ref null $ints)) (local $i i32) (local $from i32) (local $wrong i32)
    (local.set $a (array.new_default $ints (i32.const 40)))
    (loop $set
      (array.set $ints (local.get $a) (local.get $i) (i32.add (local.get $i) (i32.const 100)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $set (i32.lt_u (local.get $i) (i32.const 40))))
    (array.copy $ints $ints (local.get $a) (local.get $dst) (local.get $a) (local.get $src) (local.get $n))
    (local.set $i (i32.const 0))
    (loop $check
      (local.set $from
        (if (result i32) (i32.lt_u (i32.sub (local.get $i) (local.get $dst)) (local.get $n))
          (then (i32.add (local.get $src) (i32.sub (local.get $i) (local.get $dst))))
          (else (local.get $i))))
      (local.set $wrong (i32.add (local.get $wrong)
        (i32.ne (array.get $ints (local.get $a) (local.get $i)) (i32.add (local.get $from) (i32.const 100)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $check (i32.lt_u (local.get $i) (i32.const 40))))
    (local.get $wrong))

  (func $longs_within (param $dst i32) (param $src i32) (param $n i32) (result i32)
    (local $a (ref null $longs)) (local $i i32) (local $from i32) (local $wrong i32)
    (local.set $a (array.new_default $longs (i32.const 40)))
    (loop $set
      (array.set $longs (local.get $a) (local.get $i) (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 33)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $set (i32.lt_u (local.get $i) (i32.const 40))))
    (array.copy $longs $longs (local.get $a) (local.get $dst) (local.get $a) (local.get $src) (local.get $n))
    (local.set $i (i32.const 0))
    (loop $check
      (local.set $from
        (if (result i32) (i32.lt_u (i32.sub (local.get $i) (local.get $dst)) (local.get $n))
          (then (i32.add (local.get $src) (i32.sub (local.get $i) (local.get $dst))))
          (else (local.get $i))))
      (local.set $wrong (i32.add (local.get $wrong)
        (i64.ne (array.get $longs (local.get $a) (local.get $i))
          (i64.shl (i64.extend_i32_u (local.get $from)) (i64.const 33)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $check (i32.lt_u (local.get $i) (i32.const 40))))
    (local.get $wrong))

  ;; Between two arrays of references.
  (func $refs_between (param $dst i32) (param $src i32) (param $n i32) (result i32)
    (local $a (ref null $refs)) (local $b (ref null $refs)) (local $i i32) (local $want i32) (local $wrong i32)
    (local.set $a (array.new_default $refs (i32.const 40)))
    (local.set $b (array.new $refs (ref.i31 (i32.const -1)) (i32.const 40)))
    (loop $set
      (array.set $refs (local.get $a) (local.get $i) (ref.i31 (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $set (i32.lt_u (local.get $i) (i32.const 40))))
    (array.copy $refs $refs (local.get $b) (local.get $dst) (local.get $a) (local.get $src) (local.get $n))
    (local.set $i (i32.const 0))
    (loop $check
      (local.set $want
        (if (result i32) (i32.lt_u (i32.sub (local.get $i) (local.get $dst)) (local.get $n))
          (then (i32.add (local.get $src) (i32.sub (local.get $i) (local.get $dst))))
          (else (i32.const -1))))
      (local.set $wrong (i32.add (local.get $wrong)
        (i32.ne (i31.get_s (array.get $refs (local.get $b) (local.get $i))) (local.get $want))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $check (i32.lt_u (local.get $i) (i32.const 40))))
    (local.get $wrong))

  ;; All lengths and places: how many copies there were, and how many places were wrong.
  (func (export "all") (result i32 i32)
    (local $dst i32) (local $src i32) (local $n i32) (local $copies i32) (local $wrong i32)
    (loop $dsts
      (local.set $src (i32.const 0))
      (loop $srcs
        (local.set $n (i32.const 0))
        (loop $lengths
          (local.set $wrong (i32.add (local.get $wrong) (i32.add
            (call $ints_within (local.get $dst) (local.get $src) (local.get $n)) (i32.add
            (call $longs_within (local.get $dst) (local.get $src) (local.get $n))
            (call $refs_between (local.get $dst) (local.get $src) (local.get $n))))))
          (local.set $copies (i32.add (local.get $copies) (i32.const 3)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $lengths (i32.le_u (i32.add (local.get $n)
            (select (local.get $dst) (local.get $src) (i32.gt_u (local.get $dst) (local.get $src)))) (i32.const 40))))
        (local.set $src (i32.add (local.get $src) (i32.const 3)))
        (br_if $srcs (i32.le_u (local.get $src) (i32.const 40))))
      (local.set $dst (i32.add (local.get $dst) (i32.const 2)))
      (br_if $dsts (i32.le_u (local.get $dst) (i32.const 40))))
    (local.get $copies) (local.get $wrong))
)
(assert_return (invoke "all") (i32.const 12579) (i32.const 0))
