"""Runs one workload on wasmtime's Python package; arguments and output as run-v8.mjs.

    run-wasmtime.py [--initial-heap=BYTES] FILE.wasm [N [CALLS]]

Without N the module is a command: _start runs, and that is all. A heap of some size from the start is one array of
that size, allocated and dropped before the program starts: the package has no setting for it.
"""

import json
import os
import sys
import time
import wasmtime

GROW = '(module (type $bytes (array (mut i8))) (func (export "grow") (param i32) (drop (array.new_default $bytes (local.get 0)))))'


def main():
    arguments = sys.argv[1:]
    initial = int(arguments.pop(0).split("=")[1]) if arguments[0].startswith("--initial-heap=") else 0
    file, size, calls = arguments[0], arguments[1:2], int(arguments[2]) if len(arguments) > 2 else 3
    config = wasmtime.Config()
    config.wasm_gc = config.wasm_function_references = config.wasm_exceptions = config.wasm_tail_call = True
    # More than half of a MiB for recursion; at most the size of its asynchronous stacks, which cannot be set here.
    config.max_wasm_stack = 2 << 20
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    start = time.perf_counter()
    module = wasmtime.Module.from_file(engine, file)
    compile_ms = (time.perf_counter() - start) * 1e3
    if initial:
        grow = wasmtime.Instance(store, wasmtime.Module(engine, GROW), [])
        grow.exports(store)["grow"](store, initial)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    wasi = wasmtime.WasiConfig()
    if size:
        wasi.stdout_file = os.devnull
    else:
        wasi.inherit_stdout()
    store.set_wasi(wasi)
    exports = linker.instantiate(store, module).exports(store)
    if len(module.imports):
        exports["_start"](store)
    if not size:
        return
    times, checksums = [], set()
    for _ in range(calls + 1):
        start = time.perf_counter()
        checksums.add(exports["run"](store, int(size[0])))
        times.append(round((time.perf_counter() - start) * 1e3, 3))
    if len(checksums) != 1:
        sys.exit(f"checksum changed between calls: {checksums}")
    line = {"checksum": str(checksums.pop()), "compile_ms": compile_ms, "first_ms": times[0], "times_ms": times[1:]}
    print(json.dumps({**line, "peak_kib": peak_kib()}))


def peak_kib():
    """Greatest resident memory of this process, where the system tells."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)


main()
