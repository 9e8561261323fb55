// A tour of the language: every line that it prints is known (expected/tour.txt), and the same on Kotlin/JVM.
//
// Each section is a function that prints a heading and then what it found. Nothing depends on time, hash order,
// addresses, or the platform's way to print a class name.

package tour

// ---- classes and interfaces ------------------------------------------------------------------------------------

interface Shape {
    val name: String
    fun area(): Double
    fun describe(): String = "$name of area ${round(area())}"
}

abstract class Named(final override val name: String) : Shape

open class Rectangle(val width: Double, val height: Double, name: String = "rectangle") : Named(name) {
    override fun area() = width * height
}

class Square(side: Double) : Rectangle(side, side, "square") {
    override fun describe() = super.describe() + "!"
}

class Circle(private val radius: Double) : Named("circle") {
    override fun area() = 3.0 * radius * radius // close enough, and exact
}

/** A shape that leaves the work to another one. */
class Doubled(private val inner: Shape) : Shape by inner {
    override fun area() = 2 * inner.area()
}

fun round(x: Double): Long = (x + 0.5).toLong()

fun classes() {
    println("== classes")
    val shapes: List<Shape> = listOf(Rectangle(2.0, 3.5), Square(4.0), Circle(2.0), Doubled(Square(1.5)))
    for (shape in shapes) println(shape.describe())
    println(shapes.map { it is Rectangle })
    println(shapes.filterIsInstance<Named>().size)
    println((shapes[1] as? Circle)?.name ?: "no circle")
    println("total ${round(shapes.sumOf { it.area() })}")
    println(Counter.next() + Counter.next() + Counter.next())
}

class Counter private constructor() {
    companion object {
        private var value = 10
        fun next() = value++
    }
}

// ---- generics --------------------------------------------------------------------------------------------------

class Stack<T> : Iterable<T> {
    private class Node<T>(val value: T, val below: Node<T>?)

    private var top: Node<T>? = null
    var size = 0
        private set

    fun push(value: T) {
        top = Node(value, top)
        size++
    }

    fun pop(): T {
        val node = top ?: throw NoSuchElementException("empty stack")
        top = node.below
        size--
        return node.value
    }

    override fun iterator() = object : Iterator<T> {
        private var at = top
        override fun hasNext() = at != null
        override fun next(): T = at!!.value.also { at = at!!.below }
    }
}

sealed interface Tree<out K : Comparable<@UnsafeVariance K>> {
    data object Leaf : Tree<Nothing>
    data class Branch<K : Comparable<K>>(val left: Tree<K>, val key: K, val right: Tree<K>) : Tree<K>
}

fun <K : Comparable<K>> Tree<K>.insert(key: K): Tree<K> = when (this) {
    is Tree.Leaf -> Tree.Branch(Tree.Leaf, key, Tree.Leaf)
    is Tree.Branch -> when {
        key < this.key -> copy(left = left.insert(key))
        key > this.key -> copy(right = right.insert(key))
        else -> this
    }
}

fun <K : Comparable<K>> Tree<K>.walk(visit: (K) -> Unit) {
    if (this is Tree.Branch) {
        left.walk(visit)
        visit(key)
        right.walk(visit)
    }
}

inline fun <reified T> countOf(values: Iterable<Any?>): Int = values.count { it is T }

fun <T, R : Comparable<R>> Iterable<T>.best(score: (T) -> R): T {
    val all = iterator()
    var best = all.next()
    while (all.hasNext()) {
        val next = all.next()
        if (score(next) > score(best)) best = next
    }
    return best
}

fun generics() {
    println("== generics")
    val stack = Stack<Any>()
    for (i in 1..5) stack.push(i)
    stack.push("six")
    println(stack.joinToString())
    println("${stack.pop()} ${stack.pop()} ${stack.size}")
    var tree: Tree<String> = Tree.Leaf
    for (word in "the quick brown fox jumps over the lazy dog".split(' ')) tree = tree.insert(word)
    val words = mutableListOf<String>()
    tree.walk { words += it }
    println(words)
    println(Tree.Leaf.insert(2).insert(1))
    println("${countOf<Int>(listOf(1, "a", 2L, null, 3))} ${countOf<String?>(listOf(1, "a", null))}")
    println(words.best { it.length } + " " + words.best { it.last() })
}

// ---- data classes and enums ------------------------------------------------------------------------------------

data class Point(val x: Int, val y: Int) : Comparable<Point> {
    operator fun plus(other: Point) = Point(x + other.x, y + other.y)
    operator fun times(factor: Int) = Point(x * factor, y * factor)
    override fun compareTo(other: Point) = compareValuesBy(this, other, Point::x, Point::y)
}

enum class Planet(val mass: Double) {
    MERCURY(0.055), EARTH(1.0), MARS(0.107) {
        override fun motto() = "red"
    };

    open fun motto() = name.lowercase()
}

fun dataClasses() {
    println("== data classes")
    val p = Point(1, 2)
    val (x, y) = p + Point(10, 20) * 2
    println("$x $y ${p.copy(y = 7)} ${p == Point(1, 2)} ${p === p} ${p == Point(2, 1)}")
    println(listOf(Point(2, 1), Point(1, 9), p).sorted())
    println(setOf(p, Point(1, 2), Point(3, 4)).size)
    println(Planet.entries.joinToString { "${it.ordinal}:${it.motto()}" })
    println(Planet.valueOf("EARTH").mass + Planet.MARS.mass)
}

// ---- sealed classes and exhaustive when ------------------------------------------------------------------------

sealed class Expr {
    data class Number(val value: Long) : Expr()
    data class Variable(val name: String) : Expr()
    data class Sum(val left: Expr, val right: Expr) : Expr()
    data class Product(val left: Expr, val right: Expr) : Expr()
    data class Quotient(val left: Expr, val right: Expr) : Expr()
}

class UnboundVariable(val variable: String) : Exception("unbound variable $variable")

fun eval(e: Expr, env: Map<String, Long>): Long = when (e) {
    is Expr.Number -> e.value
    is Expr.Variable -> env[e.name] ?: throw UnboundVariable(e.name)
    is Expr.Sum -> eval(e.left, env) + eval(e.right, env)
    is Expr.Product -> eval(e.left, env) * eval(e.right, env)
    is Expr.Quotient -> {
        val divisor = eval(e.right, env)
        require(divisor != 0L) { "division by zero in ${show(e)}" }
        eval(e.left, env) / divisor
    }
}

fun show(e: Expr): String = when (e) {
    is Expr.Number -> e.value.toString()
    is Expr.Variable -> e.name
    is Expr.Sum -> "(${show(e.left)} + ${show(e.right)})"
    is Expr.Product -> "${show(e.left)} * ${show(e.right)}"
    is Expr.Quotient -> "${show(e.left)} / ${show(e.right)}"
}

fun derive(e: Expr, by: String): Expr = when (e) {
    is Expr.Number -> Expr.Number(0)
    is Expr.Variable -> Expr.Number(if (e.name == by) 1 else 0)
    is Expr.Sum -> simplify(Expr.Sum(derive(e.left, by), derive(e.right, by)))
    is Expr.Product -> simplify(
        Expr.Sum(simplify(Expr.Product(derive(e.left, by), e.right)), simplify(Expr.Product(e.left, derive(e.right, by)))),
    )
    is Expr.Quotient -> throw UnsupportedOperationException("derivative of a quotient")
}

fun simplify(e: Expr): Expr = when {
    e is Expr.Sum && e.left == Expr.Number(0) -> e.right
    e is Expr.Sum && e.right == Expr.Number(0) -> e.left
    e is Expr.Product && (e.left == Expr.Number(0) || e.right == Expr.Number(0)) -> Expr.Number(0)
    e is Expr.Product && e.left == Expr.Number(1) -> e.right
    e is Expr.Product && e.right == Expr.Number(1) -> e.left
    else -> e
}

fun sealedClasses() {
    println("== sealed classes")
    val x = Expr.Variable("x")
    val square = Expr.Product(x, x)
    val e = Expr.Sum(Expr.Product(Expr.Number(3), square), Expr.Sum(x, Expr.Number(7)))
    println(show(e) + " = " + eval(e, mapOf("x" to 5L)))
    println(show(derive(e, "x")) + " = " + eval(derive(e, "x"), mapOf("x" to 5L)))
    println(e.left)
    for (bad in listOf(Expr.Sum(x, Expr.Variable("y")), Expr.Quotient(x, Expr.Number(0)))) {
        val result = try {
            eval(bad, mapOf("x" to 1L)).toString()
        } catch (unbound: UnboundVariable) {
            "no ${unbound.variable}"
        } catch (illegal: IllegalArgumentException) {
            illegal.message
        }
        println(result)
    }
}

// ---- collections -----------------------------------------------------------------------------------------------

fun collections() {
    println("== collections")
    val text = "it was the best of times it was the worst of times it was the age of wisdom"
    val counts = LinkedHashMap<String, Int>()
    for (word in text.split(' ')) counts[word] = (counts[word] ?: 0) + 1
    println(counts)
    println(counts.entries.sortedWith(compareByDescending<Map.Entry<String, Int>> { it.value }.thenBy { it.key }).take(3))
    println(text.split(' ').groupBy { it.length }.toList().sortedBy { it.first }.joinToString { (k, v) -> "$k=${v.distinct().size}" })

    val list = (1..20).toMutableList()
    list.removeAll { it % 3 == 0 }
    list.add(2, 99)
    list.subList(4, 8).reverse()
    println(list)
    println("${list.indexOf(99)} ${list.binarySearch(20, 3)} ${list.max()} ${list.sum()} ${list.average() > 16}")
    println(list.chunked(5).map { it.sum() })
    println(list.windowed(2).count { (a, b) -> a < b })
    println(list.partition { it % 2 == 0 })
    println(list.fold(1L) { product, i -> product * i % 1_000_003 })

    val big = HashMap<Int, String>()
    for (i in 0 until 5000) big[i * 7919] = "v$i"
    for (i in 0 until 5000 step 2) big.remove(i * 7919)
    println("${big.size} ${big[7919]} ${big[2 * 7919]} ${big.containsKey(3 * 7919)}")

    val deque = ArrayDeque<Int>()
    for (i in 1..6) if (i % 2 == 0) deque.addFirst(i) else deque.addLast(i)
    println("$deque ${deque.removeFirst()} ${deque.removeLast()} ${deque.size}")

    println(listOf("b", "a", "c").zip(1..3).toMap())
    println(setOf(3, 1, 2).union(setOf(2, 5)).toList() + listOf(4, 5).intersect(setOf(5, 6)))
    println(List(4) { row -> List(4) { column -> row * column } }.flatten().toSet().sorted())
    println(generateSequence(1) { it * 3 }.filter { it % 2 == 1 }.map { it + 1 }.take(6).toList())
    println(fibonacci().takeWhile { it < 100 }.joinToString(" "))
}

/** A sequence that is computed by a suspended function. */
fun fibonacci() = sequence {
    var a = 0
    var b = 1
    while (true) {
        yield(a)
        b += a.also { a = b }
    }
}

// ---- functions as values ---------------------------------------------------------------------------------------

fun compose(vararg steps: (Int) -> Int): (Int) -> Int = { start -> steps.fold(start) { value, step -> step(value) } }

inline fun firstWhere(values: IntArray, test: (Int) -> Boolean): Int {
    for (v in values) if (test(v)) return v
    return -1
}

fun findSquareAbove(limit: Int): String {
    firstWhere(IntArray(50) { it * it }) { v ->
        if (v > limit) return "found $v"
        false
    }
    return "none"
}

tailrec fun gcd(a: Long, b: Long): Long = if (b == 0L) a else gcd(b, a % b)

fun interface Visitor {
    fun visit(depth: Int): Boolean
}

fun lambdas() {
    println("== lambdas")
    println(compose({ it + 1 }, { it * it }, Int::countOneBits)(6))
    var total = 0
    val add: (Int) -> Unit = { total += it }
    (1..100).forEach(add)
    println(total)
    println("${findSquareAbove(1000)} ${findSquareAbove(10_000)}")
    println(gcd(1_234_567_890L * 42, 9_876_543_210L * 42))
    val counters = List(3) { start ->
        var n = start * 100
        { n++ }
    }
    counters[0]()
    counters[2]()
    println(counters.map { it() })
    val visitor = Visitor { it < 3 }
    println(generateSequence(0) { if (visitor.visit(it)) it + 1 else null }.last())
    val lengthOf: String.() -> Int = { length }
    println("four".lengthOf())
    val memo = HashMap<Int, Long>()
    fun ways(n: Int): Long = if (n < 2) 1 else memo.getOrPut(n) { ways(n - 1) + ways(n - 2) }
    println(ways(80))
    val late: String by lazy { "computed once".also { total = -1 } }
    println("$total ${late.length} $total ${late.length}")
}

// ---- exceptions ------------------------------------------------------------------------------------------------

open class AppError(message: String, cause: Throwable? = null) : RuntimeException(message, cause)
class Retryable(val attempt: Int) : AppError("attempt $attempt failed")
class GaveUp(last: Throwable) : AppError("gave up", last)

class Resource(private val name: String, private val log: MutableList<String>) : AutoCloseable {
    init {
        log += "open $name"
    }

    fun use(n: Int): Int {
        if (n > 2) throw IllegalStateException("$name overused")
        return n * 10
    }

    override fun close() {
        log += "close $name"
    }
}

fun retry(times: Int, action: (Int) -> String): String {
    var last: Throwable? = null
    for (attempt in 1..times) {
        try {
            return action(attempt)
        } catch (e: Retryable) {
            last = e
            if (attempt == times) break
            continue
        } finally {
            print("[$attempt]")
        }
    }
    throw GaveUp(last!!)
}

/** What `finally` does to a value that is on its way out. */
fun finallyOrder(path: Int, log: StringBuilder): Int {
    try {
        log.append('a')
        try {
            if (path == 1) return 1
            if (path == 2) throw AppError("two")
            log.append('b')
        } catch (e: AppError) {
            log.append('c')
            if (path == 2) throw IllegalStateException("from catch", e)
        } finally {
            log.append('d')
        }
        return 3
    } catch (e: IllegalStateException) {
        log.append('e')
        return if (e.cause is AppError) 4 else 5
    } finally {
        log.append('f')
    }
}

fun depth(n: Int): Int {
    if (n == 0) throw AppError("bottom")
    return try {
        depth(n - 1) + 1
    } finally {
        unwound++
    }
}

var unwound = 0

fun exceptions() {
    println("== exceptions")
    println(retry(3) { if (it < 3) throw Retryable(it) else "done at $it" })
    try {
        println(retry(2) { throw Retryable(it) })
    } catch (e: GaveUp) {
        println("${e.message} because ${e.cause?.message}")
    }
    for (path in 0..2) {
        val log = StringBuilder()
        println("${finallyOrder(path, log)} $log")
    }
    val log = mutableListOf<String>()
    val outcome = runCatching {
        Resource("outer", log).use { outer -> Resource("inner", log).use { inner -> outer.use(2) + inner.use(3) } }
    }
    println("${outcome.isFailure} ${outcome.exceptionOrNull()?.message} $log")
    try {
        depth(200)
    } catch (e: RuntimeException) {
        println("${e.message} $unwound")
    }
    println(listOf<(Any?) -> Any?>(
        { (it as String).length },
        { it!! },
        { arrayListOf(1, 2)[5] },
        { "12x".toInt() },
        { emptyList<Int>().first() },
        { error("plain") },
        { mapOf(1 to 2).getValue(3) },
        { throw AppError("own") },
    ).map { broken -> kindOf { broken(if (it0++ == 0) 17 else null) } })
    val caught = (1..1000).count { n ->
        try {
            if (n % 3 == 0) throw Retryable(n)
            false
        } catch (e: Retryable) {
            e.attempt == n
        }
    }
    println(caught)
}

private var it0 = 0

fun kindOf(action: () -> Any?): String = try {
    "value ${action()}"
} catch (e: ClassCastException) {
    "cast"
} catch (e: NullPointerException) {
    "null"
} catch (e: IndexOutOfBoundsException) {
    "index"
} catch (e: NumberFormatException) {
    "number"
} catch (e: NoSuchElementException) {
    "element"
} catch (e: IllegalStateException) {
    "state"
} catch (e: Throwable) {
    "other: ${e.message}"
}

// ---- strings ---------------------------------------------------------------------------------------------------

fun strings() {
    println("== strings")
    val built = buildString {
        append("x=").append(42).append(", ").append(1.5).append(' ').append(true).append(' ').append(null as String?)
        insert(0, "<").append('>')
        setLength(length - 1)
        reverse()
    }
    println(built)
    println("Grüße, 世界 🌍 " + "🌍".length + " " + "ß".uppercase())
    println("naïve café".map { it.code }.sum())
    println("abc".toCharArray().apply { reverse() }.concatToString() + "def".repeat(2) + "ghi".padStart(5, '.') + "|")
    println("a,b;;c".split(',', ';') + "key=value".substringBefore('=') + " trim me ".trim() + "key=value".substringAfter("="))
    println("${"apple" < "banana"} ${"abc".compareTo("abd")} ${"Hello".equals("hELLO", ignoreCase = true)} ${"hello".hashCode()}")
    println("The year 1984, month 06".filter { it.isDigit() }.toInt() + 1)
    println("one two three".split(" ").joinToString("") { it.replaceFirstChar(Char::uppercaseChar) })
    println("%".repeat(3) + """raw \n "quoted" ${1 + 1}""")
    println("kotlin".toList().sorted().joinToString("") + " " + "mississippi".groupingBy { it }.eachCount())
    println("2026-11-21".let { Regex("""(\d+)-(\d+)-(\d+)""").matchEntire(it)!!.destructured.let { (y, m, d) -> "$d.$m.$y" } })
    println("bytes ${"é€".encodeToByteArray().map { it.toInt() and 0xff }} ${byteArrayOf(72, 105).decodeToString()}")
}

// ---- numbers and arrays ----------------------------------------------------------------------------------------

fun numbers() {
    println("== numbers")
    println("${Int.MAX_VALUE + 1} ${Long.MIN_VALUE} ${-7 / 2} ${-7 % 2} ${(-7).mod(2)} ${-7 shr 1} ${-7 ushr 28}")
    val zero = 0.0
    println("${0.1 + 0.2} ${1e6} ${1.0 / 3} ${-0.0} ${Double.NaN} ${1.0 / zero} ${100.0} ${1.5f} ${1234567.125}")
    println("${3.99.toInt()} ${(-3.99).toLong()} ${Double.NaN.toInt()} ${1e30.toInt()} ${300.toByte()} ${65.toChar()} ${70000.toShort()}")
    println("${UInt.MAX_VALUE} ${3000000000u / 7u} ${ULong.MAX_VALUE} ${(-1).toUInt() % 10u}")
    println("${0x1234.toString(2)} ${(-255).toString(16)} ${"zz".toInt(36)} ${1L.shl(40)} ${12345678.countLeadingZeroBits()}")
    val primes = sieve(100)
    println(primes.joinToString(" "))
    val matrix = Array(3) { r -> DoubleArray(3) { c -> (r * 3 + c).toDouble() } }
    println(multiply(matrix, matrix).joinToString(";") { row -> row.joinToString(",") { it.toInt().toString() } })
    val longs = LongArray(10) { 1L shl (it * 6) }
    longs.copyInto(longs, 2, 0, 5)
    println(longs.joinToString(" "))
    val shorts = ShortArray(4) { (it * 20000).toShort() }
    println(shorts.toList() + ByteArray(3) { (it * 100).toByte() }.toList() + CharArray(3) { 'x' + it }.toList())
    println(arrayOf(3, 1, 2).sortedArray().contentToString() + intArrayOf(5, 4, 6).apply { sort() }.contentToString())
    var hash = 1469598103934665603L
    for (i in 0 until 1000) hash = (hash xor (i and 0xff).toLong()) * 1099511628211L
    println(hash)
}

fun sieve(limit: Int): List<Int> {
    val composite = BooleanArray(limit + 1)
    val primes = ArrayList<Int>()
    for (i in 2..limit) {
        if (composite[i]) continue
        primes.add(i)
        for (j in i * i..limit step i) composite[j] = true
    }
    return primes
}

fun multiply(a: Array<DoubleArray>, b: Array<DoubleArray>) =
    Array(a.size) { r -> DoubleArray(b[0].size) { c -> a[r].indices.sumOf { k -> a[r][k] * b[k][c] } } }

fun main() {
    classes()
    generics()
    dataClasses()
    sealedClasses()
    collections()
    lambdas()
    exceptions()
    strings()
    numbers()
    println("== end")
}
