;; A family tree in garbage-collected objects, printed through WASI.
;;
;; Each person is a struct with a name (an array of bytes), a year of birth and references to two parents. The
;; program grows a tree of ancestors twelve generations deep, forgets all but one line of it, grows further trees to
;; give the collector work, and prints the line that it kept. Names are made of syllables chosen by a small random
;; number generator, so the output is the same in every run.
(module $family_trees
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)))

  (rec
    (type $bytes (array (mut i8)))
    (type $being (sub (struct (field $name (ref $bytes)) (field $born i32))))
    (type $person (sub final $being (struct
      (field $name (ref $bytes)) (field $born i32)
      (field $mother (mut (ref null $person))) (field $father (mut (ref null $person)))))))

  ;; Byte 0: the vector for fd_write. Byte 16: the text to print.
  (memory (export "memory") 1)
  (data $syllables "ka" "lo" "mi" "ra" "ne" "so" "ti" "va")
  (data $welcome "a line of mothers, kept through every collection:\n")
  (data $born " born ")
  (data $people "people created: ")

  (global $text_start i32 (i32.const 16))
  (global $end (mut i32) (i32.const 16))
  (global $seed (mut i32) (i32.const 42))
  (global $created (mut i32) (i32.const 0))

  (func $random (param $bound i32) (result i32)
    (global.set $seed (i32.add (i32.mul (global.get $seed) (i32.const 1103515245)) (i32.const 12345)))
    (i32.rem_u (i32.shr_u (global.get $seed) (i32.const 16)) (local.get $bound)))

  ;; Two to four syllables, the first letter a capital.
  (func $new_name (result (ref $bytes))
    (local $name (ref $bytes)) (local $at i32) (local $from i32)
    (local.set $name (array.new_default $bytes
      (i32.mul (i32.const 2) (i32.add (i32.const 2) (call $random (i32.const 3))))))
    (loop $next
      (local.set $from (i32.mul (i32.const 2) (call $random (i32.const 8))))
      (array.init_data $bytes $syllables (local.get $name) (local.get $at) (local.get $from) (i32.const 2))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (br_if $next (i32.lt_u (local.get $at) (array.len (local.get $name)))))
    (array.set $bytes (local.get $name) (i32.const 0)
      (i32.sub (array.get_u $bytes (local.get $name) (i32.const 0)) (i32.const 32)))
    (local.get $name))

  ;; A person with this many generations of ancestors.
  (func $grow (param $generations i32) (param $year i32) (result (ref $person))
    (local $person (ref $person)) (local $parents_year i32)
    (global.set $created (i32.add (global.get $created) (i32.const 1)))
    (local.set $person
      (struct.new $person (call $new_name) (local.get $year) (ref.null $person) (ref.null $person)))
    (if (local.get $generations)
      (then
        (local.set $parents_year
          (i32.sub (local.get $year) (i32.add (i32.const 20) (call $random (i32.const 15)))))
        (local.set $generations (i32.sub (local.get $generations) (i32.const 1)))
        (struct.set $person $mother (local.get $person)
          (call $grow (local.get $generations) (local.get $parents_year)))
        (struct.set $person $father (local.get $person)
          (call $grow (local.get $generations) (local.get $parents_year)))))
    (local.get $person))

  ;; Forgets every father in the line of mothers, so that only the line itself stays reachable.
  (func $keep_mothers (param $person (ref null $person))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $person)))
        (struct.set $person $father (local.get $person) (ref.null $person))
        (local.set $person (struct.get $person $mother (local.get $person)))
        (br $next))))

  (func $put (param $byte i32)
    (i32.store8 (global.get $end) (local.get $byte))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))

  (func $put_number (param $value i32)
    (if (i32.ge_u (local.get $value) (i32.const 10))
      (then (call $put_number (i32.div_u (local.get $value) (i32.const 10)))))
    (call $put (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10)))))

  (func $put_bytes (param $bytes (ref $bytes))
    (local $at i32)
    (loop $next
      (call $put (array.get_u $bytes (local.get $bytes) (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (array.len (local.get $bytes))))))

  ;; Writes the collected text; a host that does not take it ends the program.
  (func $flush
    (i32.store (i32.const 0) (global.get $text_start))
    (i32.store (i32.const 4) (i32.sub (global.get $end) (global.get $text_start)))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
    (global.set $end (global.get $text_start)))

  (func $put_being (param $being (ref $being))
    (call $put_bytes (struct.get $being $name (local.get $being)))
    (call $put_bytes (array.new_data $bytes $born (i32.const 0) (i32.const 6)))
    (call $put_number (struct.get $being $born (local.get $being)))
    (call $put (i32.const 10)))

  (func $start (export "_start")
    (local $kept (ref $person)) (local $person (ref null $person)) (local $round i32)
    (local.set $kept (call $grow (i32.const 12) (i32.const 2000)))
    (call $keep_mothers (local.get $kept))
    (loop $again
      (drop (call $grow (i32.const 14) (i32.const 2000)))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $round) (i32.const 100))))
    (call $put_bytes (array.new_data $bytes $welcome (i32.const 0) (i32.const 50)))
    (local.set $person (local.get $kept))
    (block $done
      (loop $next
        (call $put_being (br_on_null $done (local.get $person)))
        (local.set $person (struct.get $person $mother (local.get $person)))
        (br $next)))
    (call $put_bytes (array.new_data $bytes $people (i32.const 0) (i32.const 16)))
    (call $put_number (global.get $created))
    (call $put (i32.const 10))
    (call $flush)))
