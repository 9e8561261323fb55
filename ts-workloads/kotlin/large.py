"""Writes a large Kotlin program: N units of classes, interfaces, closures, collections and exceptions.

Compile time depends on what a program is made of. This one is made of what Kotlin programs are: data classes with
their generated members, hierarchies called through interfaces, `when` over types, lambdas over collections, strings,
nullable values, and checks that throw. Units differ in their numbers and in what they call of one another; the result
of `run` covers all of them, so nothing can be left out.

    python3 large.py UNITS > large.kt
"""

import random
import sys

UNIT = """
interface Shape{i} {{ val id: Int; fun area(scale: Int): Long; fun label(): String = "shape{i}:" + id }}
data class Box{i}(override val id: Int, val width: Int, val height: Int, val tag: String?) : Shape{i} {{
    override fun area(scale: Int): Long = width.toLong() * height * scale + (tag?.length ?: {a})
}}
data class Disc{i}(override val id: Int, val radius: Double) : Shape{i} {{
    override fun area(scale: Int): Long = (radius * radius * {b} * scale).toLong()
    override fun label() = "disc{i}:" + radius.toInt()
}}
class Group{i}(override val id: Int, private val parts: List<Shape{i}>) : Shape{i} {{
    override fun area(scale: Int): Long {{
        var sum = 0L
        for (part in parts) sum += part.area(scale + {c}) xor id.toLong()
        return sum
    }}
}}
sealed class Term{i} {{
    class Number(val value: Int) : Term{i}()
    class Sum(val left: Term{i}, val right: Term{i}) : Term{i}()
    class Product(val left: Term{i}, val right: Term{i}) : Term{i}()
    class Negated(val term: Term{i}) : Term{i}()
    object Unknown : Term{i}()
}}
class Failure{i}(val code: Int) : Exception("failure {i}")
enum class Mode{i} {{ FAST, SMALL, EXACT{c} }}
class Unit{i} {{
    private val cache = HashMap<String, Int>()
    private val shapes = ArrayList<Shape{i}>()
    fun fill(n: Int) {{
        for (k in 0 until n) {{
            val shape = when ((k * {a} + {b}) % 4) {{
                0 -> Box{i}(k, k + {a}, k * 2 + 1, null)
                1 -> Box{i}(k, {b}, k, "tag$k")
                2 -> Disc{i}(k, k * 0.5 + {c})
                else -> Group{i}(k, shapes.takeLast(3))
            }}
            shapes.add(shape)
            cache.put(shape.label(), k)
        }}
    }}
    fun term(depth: Int): Term{i} = when {{
        depth == 0 -> Term{i}.Number({c})
        depth % 3 == 0 -> Term{i}.Product(term(depth - 1), Term{i}.Number(depth))
        depth % 3 == 1 -> Term{i}.Sum(term(depth - 1), Term{i}.Negated(Term{i}.Number(depth)))
        depth > 40 -> Term{i}.Unknown
        else -> Term{i}.Negated(term(depth - 1))
    }}
    fun evaluate(term: Term{i}): Int = when (term) {{
        is Term{i}.Number -> term.value
        is Term{i}.Sum -> evaluate(term.left) + evaluate(term.right)
        is Term{i}.Product -> evaluate(term.left) * evaluate(term.right)
        is Term{i}.Negated -> -evaluate(term.term)
        Term{i}.Unknown -> throw Failure{i}({a})
    }}
    fun mode(n: Int): Mode{i} = Mode{i}.entries[n % 3]
    fun words(text: String): Map<String, Int> {{
        val counts = LinkedHashMap<String, Int>()
        text.split(' ').filter {{ it.isNotEmpty() }}.map {{ it.lowercase() }}.forEach {{ word ->
            counts[word] = (counts[word] ?: 0) + word.length % {b}
        }}
        return counts
    }}
    fun totals(scale: Int): Long {{
        val large = shapes.filter {{ it.area(scale) > {b} }}
        val byKind = large.groupBy {{ it.id % {a} }}
        val sums = byKind.mapValues {{ (_, list) -> list.fold(0L) {{ sum, s -> sum * 31 + s.area(1) }} }}
        return sums.values.sum() + large.maxByOrNull {{ it.area(2) }}.hashCode()
    }}
    fun checked(n: Int): Int = try {{
        if (n % {a} == 1) throw Failure{i}(n)
        require(n >= 0) {{ "negative: $n" }}
        evaluate(term(n % 9))
    }} catch (failure: Failure{i}) {{
        failure.code + {c}
    }} catch (wrong: IllegalArgumentException) {{
        wrong.message!!.length
    }}
    fun mix(values: IntArray, seed: Int): Int {{
        var hash = seed
        for (k in values.indices) {{
            values[k] = values[k] * {a} + (hash ushr 3)
            hash = hash * 31 + values[k]
            if (hash and {b} == {c}) hash = hash xor values[(k * {a} and 0x7fffffff) % values.size]
        }}
        return hash
    }}
    fun run(n: Int): Int {{
        fill(n % 12 + 2)
        val text = buildString {{ for (shape in shapes) append(shape.label()).append(' ') }}
        var result = words(text).entries.sumOf {{ (word, count) -> word.length * count }}
        result += totals(n % 5 + 1).toInt() + checked(n) + mix(IntArray(17) {{ it * {c} }}, n) + mode(n).ordinal
        val pairs = shapes.zipWithNext {{ left, right -> left.area(1) compareTo right.area(1) }}
        return result * 31 + pairs.count {{ it > 0 }} + (cache["shape{i}:1"] ?: 0){call}
    }}
}}
"""


def main():
    units = int(sys.argv[1])
    numbers = random.Random(1)
    for i in range(units):
        call = f" + Unit{numbers.randrange(i)}().checked(n + {i})" if i else ""
        print(UNIT.format(i=i, a=numbers.randrange(3, 9), b=numbers.randrange(10, 99), c=numbers.randrange(1, 9), call=call))
    # Many functions of a few calls each: one of all of them would be no usual function.
    for start in range(0, units, 20):
        calls = "".join(f"    sum = sum * 17 + Unit{i}().run(n)\n" for i in range(start, min(start + 20, units)))
        print(f"fun part{start}(n: Int): Int {{\n    var sum = n\n{calls}    return sum\n}}")
    parts = "".join(f"    sum = sum * 13 + part{start}(n)\n" for start in range(0, units, 20))
    print("@OptIn(kotlin.wasm.ExperimentalWasmInterop::class)\n@WasmExport\n"
          f"fun run(n: Int): Int {{\n    var sum = 0\n{parts}    return sum\n}}\nfun main() {{ println(run(7)) }}")


main()
