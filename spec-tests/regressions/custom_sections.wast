;; Custom sections have no say in whether a module is valid or what it does: broken names and hints are passed over.

(module
  (@custom "name" "\ff\ff\ff")
  (@custom "metadata.code.branch_hint" "\01\00\05")
  (@custom "metadata.code.trace_inst" "\00")
  (@custom "producers" "\01")
  (@custom "\c3\a4" "anything")
  (func (export "f") (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))))
(assert_return (invoke "f" (i32.const 1)) (i32.const 1))

;; Hints for functions and offsets that are not there.
(module
  (@custom "metadata.code.branch_hint" (before code) "\02\00\01\7f\01\01\09\01\03\01\00")
  (func (export "f") (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))))
(assert_return (invoke "f" (i32.const 0)) (i32.const 2))

;; Right and wrong hints change nothing.
(module
  (func (export "f") (param i32) (result i32)
    block (result i32)
      i32.const 1
      local.get 0
      (@metadata.code.branch_hint "\01") br_if 0
      drop
      i32.const 2
    end
    local.get 0
    (@metadata.code.branch_hint "\00") if (result i32) i32.const 10 else i32.const 20 end
    i32.add))
(assert_return (invoke "f" (i32.const 0)) (i32.const 22))
(assert_return (invoke "f" (i32.const 1)) (i32.const 11))

(assert_malformed
  (module binary "\00asm\01\00\00\00" "\00\02\01\ff")
  "malformed UTF-8 encoding")
