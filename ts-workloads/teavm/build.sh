#!/bin/bash
# Builds tour.wasm from src/, and expected/tour.txt, which is what HotSpot prints: the compiler comes from its Maven
# packages. Wants a JDK (17 or later) and Maven.
set -e
cd "$(dirname "$0")"
TEAVM=0.12.3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>dolmen</groupId><artifactId>teavm-samples</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.teavm</groupId><artifactId>teavm-classlib</artifactId><version>$TEAVM</version></dependency>
    <dependency><groupId>org.teavm</groupId><artifactId>teavm-tooling</artifactId><version>$TEAVM</version></dependency>
  </dependencies>
</project>
POM
mvn -q -f "$work/pom.xml" dependency:build-classpath -Dmdep.outputFile="$work/classpath"

mkdir -p expected
javac -encoding UTF-8 -d "$work/classes" src/Tour.java
java -cp "$work/classes" Tour > expected/tour.txt
java -cp "$(cat "$work/classpath")" Compile.java "$work/classes" Tour .
stat -c '%n: %s B' tour.wasm
