#!/usr/bin/env python3
"""Times the benchmarks on Dolmen and on V8, side by side, and prints a Markdown table.

    ts-workloads/compare.py --dolmen target/release/dolmen --node /path/to/node [NAME...]
        --variant raw|opt       which binaries (default: opt, what producers ship)
        --size tiny|small|full  how much work per call (default: full)
        --processes N           processes per program and engine (default: 3)
        --calls N               further calls in each process after the first (default: 3)
        --json FILE             also writes every single time

A machine's speed changes from minute to minute, so the engines take turns process by process and are compared only
within one run of this script. "First" is the first call in a fresh process (median over processes): what a command
or a function at the edge sees. "Steady" is the median of all further calls: what a server sees. Compilation and
loading are not in either. Every checksum is compared with the expected one.

Either engine can be left out. Dolmen compiles each program once, before its first process.
"""

import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ["programs", "kotlin"]


def benchmarks(names):
    """(name, wasm folder, sizes.json entry) of the benchmarks to run."""
    for folder in FOLDERS:
        with open(os.path.join(HERE, folder, "sizes.json"), encoding="utf-8") as file:
            for name, entry in json.load(file).items():
                if not names or name in names:
                    yield name, os.path.join(HERE, folder, "wasm"), entry


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        message = (result.stderr or result.stdout).strip().splitlines()
        raise RuntimeError(message[0] if message else f"status {result.returncode}")
    return result


class V8:
    """node, through run-v8.mjs."""

    name = "V8"

    def __init__(self, node):
        self.node = node
        versions = json.loads(run([node, "-p", "JSON.stringify(process.versions)"]).stdout)
        self.title = f"V8 {'.'.join(versions['v8'].split('.')[:3])} (node {versions['node']})"

    def prepare(self, wasm):
        return wasm

    def times(self, wasm, argument, calls):
        """Checksum, and milliseconds of the first and of each further call."""
        runner = os.path.join(HERE, "programs", "run-v8.mjs")
        found = json.loads(run([self.node, "--no-warnings", runner, wasm, str(argument), str(calls)]).stdout)
        return found["checksum"], [found["first_ms"], *found["times_ms"]]


class Dolmen:
    """The dolmen command, on an artifact compiled beforehand."""

    name = "Dolmen"

    def __init__(self, dolmen, options):
        self.dolmen = os.path.abspath(dolmen)
        self.options = options
        self.title = run([self.dolmen, "--version"]).stdout.strip()
        self.folder = tempfile.TemporaryDirectory()

    def prepare(self, wasm):
        artifact = os.path.join(self.folder.name, os.path.basename(wasm) + ".dolmen")
        run([self.dolmen, "compile", wasm, "-o", artifact])
        return artifact

    def times(self, artifact, argument, calls):
        command = [self.dolmen, "run", *self.options, "--invoke", "run", "--repeat", str(calls + 1), artifact, str(argument)]
        result = run(command)
        times = [float(ms) for ms in re.findall(r"^call \d+: ([0-9.]+) ms$", result.stderr, re.MULTILINE)]
        checksums = set(result.stdout.split())
        if len(checksums) != 1 or len(times) != calls + 1:
            raise RuntimeError(f"unexpected output: {sorted(checksums)}, {len(times)} times")
        return checksums.pop(), times


def measure(engines, wasm, argument, expected, options):
    """For each engine: all times by process, or why there are none. Engines take turns."""
    prepared, found = {}, {}
    for engine in engines:
        try:
            prepared[engine], found[engine] = engine.prepare(wasm), []
        except RuntimeError as error:
            found[engine] = f"does not compile: {error}"
    for _ in range(options.processes):
        for engine in engines:
            if isinstance(found[engine], str):
                continue
            try:
                checksum, times = engine.times(prepared[engine], argument, options.calls)
            except RuntimeError as error:
                found[engine] = f"fails: {error}"
                continue
            if checksum == expected:
                found[engine].append(times)
            else:
                found[engine] = f"wrong: {checksum}, expected {expected}"
    return found


def summary(processes):
    """Median first call, median of all further calls."""
    first = statistics.median(times[0] for times in processes)
    return first, statistics.median(ms for times in processes for ms in times[1:])


def machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores"


def print_table(engines, rows):
    two = len(engines) == 2
    header = ["program"] + [f"{kind}, {engine.name}" for kind in ("first", "steady") for engine in engines]
    header += ["steady: Dolmen / V8"] if two else []
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    ratios = []
    for name, found in rows:
        figures = [None if isinstance(found[engine], str) else summary(found[engine]) for engine in engines]
        cells = [f"{figure[kind]:.0f}" if figure else "–" for kind in (0, 1) for figure in figures]
        if two:
            ratio = figures[0][1] / figures[1][1] if all(figures) else None
            ratios += [ratio] if ratio else []
            cells.append(f"{ratio:.2f}" if ratio else "–")
        print("| " + " | ".join([name, *cells]) + " |")
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nGeometric mean of the ratios over {len(ratios)} programs: {mean:.2f} (below 1: Dolmen is faster).")


def arguments():
    parser = argparse.ArgumentParser(description="Times the benchmarks on Dolmen and V8 side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--dolmen", help="the dolmen command")
    parser.add_argument("--node", help="node, version 26 or later for exceptions of WebAssembly 3.0")
    parser.add_argument("--dolmen-option", action="append", default=[], help="passed to `dolmen run`; repeatable")
    parser.add_argument("--variant", choices=["raw", "opt"], default="opt")
    parser.add_argument("--size", choices=["tiny", "small", "full"], default="full")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if not options.dolmen and not options.node:
        parser.error("name at least one of --dolmen and --node")
    if options.processes < 1 or options.calls < 1:
        parser.error("--processes and --calls must be at least 1")
    return options


def main():
    options = arguments()
    engines = []
    if options.dolmen:
        engines.append(Dolmen(options.dolmen, options.dolmen_option))
    if options.node:
        engines.append(V8(options.node))
    rows, failures = [], []
    load = os.getloadavg()[0]
    for name, folder, entry in benchmarks(options.names):
        wasm = os.path.join(folder, options.variant, name + ".wasm")
        expected = entry["checksum"][options.size]
        found = measure(engines, wasm, entry["n"][options.size], expected, options)
        failures += [f"{name}: {engine.name} {why}" for engine, why in found.items() if isinstance(why, str)]
        rows.append((name, found))
        print(f"{name} done", file=sys.stderr)
    if not rows:
        sys.exit("no such program")
    print(f"{', '.join(engine.title for engine in engines)}; {machine()}, load average {load:.1f} before; "
          f"binaries {options.variant}, size {options.size}, milliseconds, medians of {options.processes} processes with 1 + {options.calls} calls each.\n")
    print_table(engines, rows)
    for failure in failures:
        print(failure, file=sys.stderr)
    if options.json:
        times = {name: {engine.name: found[engine] for engine in engines} for name, found in rows}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(times, file, indent=1)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
