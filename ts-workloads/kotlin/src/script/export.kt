// What only the WebAssembly build has: the export that benchmarks call.

package script

import kotlin.wasm.ExperimentalWasmInterop
import kotlin.wasm.WasmExport

@OptIn(ExperimentalWasmInterop::class)
@WasmExport("run")
fun run(n: Int): Long = runBench(n)
