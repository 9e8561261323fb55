// Answers modules, one per line in hexadecimal digits, with V8's record of each (see outcome.rs) and a line ".".

import { createInterface } from "node:readline";

const TRAPS = [
  ["unreachable", /^unreachable/],
  ["memory", /memory access out of bounds|data segment (\d+ is )?out of bounds/],
  ["table", /table index is out of bounds|table access out of bounds|element segment (\d+ is )?out of bounds/],
  ["array", /array element access out of bounds/],
  ["division", /divide by zero|remainder by zero/],
  ["integer", /divide result unrepresentable|float unrepresentable in integer range/],
  ["indirect", /null function|function signature mismatch/],
  ["null", /dereferencing a null pointer|rethrowing null value/],
  ["cast", /illegal cast/],
  ["resource", /requested new array is too large|Maximum call stack size exceeded|allocation failed/i],
];

function end(error) {
  if (error instanceof WebAssembly.Exception) return "exception";
  const message = String(error.message ?? error);
  const trap = TRAPS.find(([, pattern]) => pattern.test(message));
  return trap ? trap[0] : `unknown ${message}`;
}

function record(wasm) {
  let module, instance;
  try {
    module = new WebAssembly.Module(wasm);
  } catch (error) {
    return [`refused ${String(error.message).replaceAll("\n", " ")}`];
  }
  try {
    instance = new WebAssembly.Instance(module);
  } catch (error) {
    return [`instantiate ${end(error)}`];
  }
  const lines = ["instantiate ok"];
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  for (const [number, name] of names.filter((name) => name.startsWith("probe ")).entries()) {
    for (const knob of names.filter((name) => name.startsWith("knob "))) {
      instance.exports[knob].value = number * number * 7 - 3;
    }
    const word = name.replaceAll(" ", "_");
    try {
      const result = instance.exports[name]();
      const integers = result === undefined ? [] : typeof result === "bigint" ? [result] : [...result];
      lines.push([word, "ok", ...integers].join(" "));
    } catch (error) {
      lines.push(`${word} ${end(error)}`);
    }
  }
  return lines;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write([...record(Buffer.from(line, "hex")), "."].join("\n") + "\n");
}
