;; emit: asm
;; What an immutable global refers to needs no root, and a frame is claimed when the first reference needs it.
(module
  (type $meta (sub (struct)))
  (type $node (sub (struct (field $meta (ref $meta)) (field $left (mut (ref null $node))) (field $right (mut (ref null $node))))))
  (global $meta (ref $meta) (struct.new $meta))

  ;; FUNC: tree
  ;; CHECK: callq "wasm[0]::tree"
  ;; CHECK: leaq 4(%
  ;; NOT: movl $0
  ;; CHECK: callq "wasm[0]::tree"
  (func $tree (export "tree") (param $depth i32) (result (ref null $node))
    (if (result (ref null $node)) (local.get $depth)
      (then
        (struct.new $node
          (global.get $meta)
          (call $tree (i32.sub (local.get $depth) (i32.const 1)))
          (call $tree (i32.sub (local.get $depth) (i32.const 1)))))
      (else (ref.null none)))))
