;; emit: ir polls
;; What is known of two indices: in a reversal, 0 < i < j once the first round is done, and j falls from where it was
;; inside. So only the first round compares with the length, and the first element is loaded once, before the loops.
;; FUNC: flips
;; CHECK: load i32, ptr
;; CHECK: load i32, ptr
;; CHECK: icmp ult i32
;; NOT: icmp ult
;; CHECK: load i32, ptr
;; NOT: icmp ult
;; CHECK: load i32, ptr
;; NOT: icmp ult
;; CHECK: load i32, ptr
;; NOT: icmp ult
;; NOT: load i32, ptr
;; The upper index may fall faster.
;; FUNC: narrows
;; CHECK: icmp ult i32
;; NOT: icmp ult
;; An index that starts anywhere may be outside in any round.
;; FUNC: anywhere
;; CHECK: icmp ult i32
;; CHECK: icmp ult i32
;; CHECK: label %trap
;; An upper index that grows is not inside because it was.
;; FUNC: grows
;; CHECK: icmp ult i32
;; CHECK: icmp eq i32
;; CHECK: label %trap
;; A lower index that falls may get below the first element.
;; FUNC: falls
;; CHECK: icmp ult i32
;; CHECK: icmp ult i32
;; CHECK: label %trap
;; Being inside one array is not being inside another.
;; FUNC: other
;; CHECK: icmp ult i32
;; CHECK: icmp ult i32
;; NOT: icmp ult
;; An index that comes down to the first element stores to it: it is loaded again.
;; FUNC: reaches
;; CHECK: store i32
;; CHECK: load i32, ptr
;; CHECK: icmp eq i32
(module
  (type $ints (array (mut i32)))

  (func $flips (export "flips") (param $a (ref $ints)) (result i32)
    (local $i i32) (local $j i32) (local $k i32) (local $t i32) (local $flips i32)
    (block $done
      (loop $flip
        (local.set $k (array.get $ints (local.get $a) (i32.const 0)))
        (br_if $done (i32.eqz (local.get $k)))
        (local.set $i (i32.const 0))
        (local.set $j (local.get $k))
        (loop $reverse
          (local.set $t (array.get $ints (local.get $a) (local.get $i)))
          (array.set $ints (local.get $a) (local.get $i) (array.get $ints (local.get $a) (local.get $j)))
          (array.set $ints (local.get $a) (local.get $j) (local.get $t))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.set $j (i32.sub (local.get $j) (i32.const 1)))
          (br_if $reverse (i32.lt_s (local.get $i) (local.get $j))))
        (local.set $flips (i32.add (local.get $flips) (i32.const 1)))
        (br $flip)))
    (local.get $flips))

  (func $narrows (export "narrows") (param $a (ref $ints)) (param $j i32) (local $i i32)
    (loop $again
      (array.set $ints (local.get $a) (local.get $j) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $j (i32.sub (local.get $j) (i32.const 2)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j)))))

  (func $anywhere (export "anywhere") (param $a (ref $ints)) (param $i i32) (param $j i32)
    (loop $again
      (array.set $ints (local.get $a) (local.get $i) (local.get $j))
      (local.set $i (i32.add (local.get $i) (i32.const 3)))
      (local.set $j (i32.xor (local.get $j) (i32.const 0x5555)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j)))))

  (func $grows (export "grows") (param $a (ref $ints)) (param $j i32) (local $i i32)
    (loop $again
      (array.set $ints (local.get $a) (local.get $j) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (local.set $j (i32.add (local.get $j) (i32.const 1)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j)))))

  (func $falls (export "falls") (param $a (ref $ints)) (param $j i32) (param $n i32)
    (loop $again
      (array.set $ints (local.get $a) (local.get $j) (local.get $n))
      (local.set $j (i32.sub (local.get $j) (i32.const 3)))
      (br_if $again (i32.lt_s (local.get $j) (local.get $n)))))

  (func $other (export "other") (param $a (ref $ints)) (param $b (ref $ints)) (param $j i32) (local $i i32)
    (array.set $ints (local.get $a) (local.get $j) (i32.const 1))
    (loop $again
      (array.set $ints (local.get $b) (local.get $j) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $j (i32.sub (local.get $j) (i32.const 1)))
      (br_if $again (i32.lt_s (local.get $i) (local.get $j)))))

  (func $reaches (export "reaches") (param $a (ref $ints)) (param $j i32) (result i32) (local $k i32) (local $n i32)
    (loop $outer
      (local.set $k (local.get $j))
      (loop $again
        (array.set $ints (local.get $a) (local.get $k) (local.get $n))
        (local.set $k (i32.sub (local.get $k) (i32.const 1)))
        (br_if $again (i32.ge_s (local.get $k) (i32.const 0))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $outer (array.get $ints (local.get $a) (i32.const 0))))
    (local.get $n))
)
