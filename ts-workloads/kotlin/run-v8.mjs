// run-v8.mjs FILE.wasm
//
// Runs a program for WASI preview 1 on node (V8); its standard output is what expected/ records.
import fs from 'node:fs';
import { WASI } from 'node:wasi';

const wasi = new WASI({ version: 'preview1', args: process.argv.slice(2), env: {} });
const module = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
