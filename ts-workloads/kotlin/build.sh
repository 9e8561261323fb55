#!/bin/bash
# Builds wasm/raw and wasm/opt from src/: the compiler comes from its Maven packages, no Gradle.
#
#   raw  what the compiler writes, names included
#   opt  after wasm-opt with the options that Kotlin's build plugin gives it
#
# With the argument `large`: wasm/raw/large.wasm alone, a program of 5 MB that large.py writes, to measure compile time.
#
# Exceptions are those of WebAssembly 3.0 (try_table, exnref), not the legacy instructions. Wants a JDK (17 or
# later), Maven, and Node with the npm package binaryen:
#
#   BINARYEN=/path/to/node_modules/binaryen/bin ./build.sh
set -e
cd "$(dirname "$0")"
KOTLIN=2.4.10
NODE=${NODE:-node}
BIN=${BINARYEN:-node_modules/binaryen/bin}
FEATURES="--disable-custom-descriptors --enable-mutable-globals --enable-sign-ext
  --enable-nontrapping-float-to-int --enable-bulk-memory --enable-reference-types
  --enable-multivalue --enable-gc --enable-exception-handling --enable-tail-call
  --enable-extended-const"
OPTIMISE="--closed-world --inline-functions-with-loops --traps-never-happen --fast-math --type-ssa
  -O3 -O3 --gufa -O3 --type-merging -O3 -Oz"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>dolmen</groupId><artifactId>kotlin-samples</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.jetbrains.kotlin</groupId><artifactId>kotlin-compiler-embeddable</artifactId><version>$KOTLIN</version>
  </dependency></dependencies>
</project>
POM
mvn -q -f "$work/pom.xml" dependency:build-classpath -Dmdep.outputFile="$work/classpath"
mvn -q dependency:copy -Dartifact=org.jetbrains.kotlin:kotlin-stdlib-wasm-wasi:$KOTLIN:klib \
  -DoutputDirectory="$work" -Dmdep.stripVersion=true
stdlib=$work/kotlin-stdlib-wasm-wasi.klib

kotlin_wasm() {
  java -cp "$(cat "$work/classpath")" org.jetbrains.kotlin.cli.js.KotlinWasmCompiler \
    -Xwasm-target=wasm-wasi -libraries "$stdlib" "$@"
}

mkdir -p wasm/raw wasm/opt
build() {
  local name=$1
  shift
  kotlin_wasm -Xir-produce-klib-file -ir-output-dir "$work" -ir-output-name "$name" "$@"
  kotlin_wasm -Xir-produce-js -Xir-dce -Xwasm-use-new-exception-proposal -Xinclude="$work/$name.klib" \
    -ir-output-dir "$work/out" -ir-output-name "$name"
  cp "$work/out/$name.wasm" "wasm/raw/$name.wasm"
  if [ "$name" = large ]; then return; fi
  "$NODE" "$BIN/wasm-opt" $FEATURES -g $OPTIMISE "wasm/raw/$name.wasm" -o "wasm/opt/$name.wasm"
  printf '%-8s raw %7d B   opt %7d B\n' "$name" "$(stat -c %s "wasm/raw/$name.wasm")" "$(stat -c %s "wasm/opt/$name.wasm")"
}
if [ "$1" = large ]; then
  # A module of 5 MB to measure compile time with; not kept.
  python3 large.py 285 > "$work/large.kt"
  build large "$work/large.kt"
  exit
fi
build tour src/tour.kt
build script src/script/script.kt src/script/export.kt
