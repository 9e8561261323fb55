// An interpreter for a small scripting language: a larger program, and one that can be timed.
//
// Source text becomes tokens, tokens an expression tree, and the tree is evaluated over boxed values, maps and
// closures. `return` and errors of the script travel as exceptions. `main` runs a few scripts and prints what they
// print (expected/script.txt, the same on Kotlin/JVM); `run(n)` computes a checksum and takes time with n.

package script

// ---- values ----------------------------------------------------------------------------------------------------

sealed interface Value

data object Nil : Value {
    override fun toString() = "nil"
}

data class Num(val value: Long) : Value {
    override fun toString() = value.toString()
}

data class Bool(val value: Boolean) : Value {
    override fun toString() = value.toString()
}

data class Str(val value: String) : Value {
    override fun toString() = value
}

class ListValue(val items: MutableList<Value>) : Value {
    override fun toString() = items.joinToString(", ", "[", "]")
}

class MapValue(val entries: MutableMap<Value, Value> = LinkedHashMap()) : Value {
    override fun toString() = entries.entries.joinToString(", ", "{", "}") { (k, v) -> "$k: $v" }
}

interface Callable : Value {
    val arity: Int
    fun call(arguments: List<Value>): Value
}

class Native(private val name: String, override val arity: Int, private val body: (List<Value>) -> Value) : Callable {
    override fun call(arguments: List<Value>) = body(arguments)
    override fun toString() = "<native $name>"
}

class Closure(private val code: Function, private val scope: Scope) : Callable {
    override val arity get() = code.parameters.size

    override fun call(arguments: List<Value>): Value {
        val local = Scope(scope)
        for (i in arguments.indices) local.define(code.parameters[i], arguments[i])
        return try {
            code.body.evaluate(local)
        } catch (result: Return) {
            result.value
        }
    }

    override fun toString() = "<function ${code.name}>"
}

// ---- how control leaves the middle of an expression ------------------------------------------------------------

class Return(val value: Value) : Exception()

open class ScriptError(message: String) : Exception(message)

class SyntaxError(message: String, line: Int) : ScriptError("line $line: $message")

class Thrown(val value: Value) : ScriptError("uncaught $value")

class Scope(private val outer: Scope?) {
    private val variables = HashMap<String, Value>()

    fun define(name: String, value: Value) {
        variables[name] = value
    }

    operator fun get(name: String): Value {
        var scope: Scope? = this
        while (scope != null) {
            scope.variables[name]?.let { return it }
            scope = scope.outer
        }
        throw ScriptError("undefined variable $name")
    }

    operator fun set(name: String, value: Value) {
        var scope: Scope? = this
        while (scope != null) {
            if (name in scope.variables) {
                scope.variables[name] = value
                return
            }
            scope = scope.outer
        }
        throw ScriptError("undefined variable $name")
    }
}

// ---- expressions -----------------------------------------------------------------------------------------------

abstract class Expr {
    abstract fun evaluate(scope: Scope): Value

    fun number(scope: Scope): Long = when (val value = evaluate(scope)) {
        is Num -> value.value
        else -> throw ScriptError("$value is not a number")
    }

    fun isTrue(scope: Scope): Boolean = when (val value = evaluate(scope)) {
        is Bool -> value.value
        Nil -> false
        else -> true
    }
}

class Literal(private val value: Value) : Expr() {
    override fun evaluate(scope: Scope) = value
}

class Variable(val name: String) : Expr() {
    override fun evaluate(scope: Scope) = scope[name]
}

class Let(private val name: String, private val value: Expr) : Expr() {
    override fun evaluate(scope: Scope) = value.evaluate(scope).also { scope.define(name, it) }
}

class Assign(private val name: String, private val value: Expr) : Expr() {
    override fun evaluate(scope: Scope) = value.evaluate(scope).also { scope[name] = it }
}

class Block(private val body: List<Expr>) : Expr() {
    override fun evaluate(scope: Scope): Value {
        val local = Scope(scope)
        var last: Value = Nil
        for (e in body) last = e.evaluate(local)
        return last
    }
}

class If(private val condition: Expr, private val yes: Expr, private val no: Expr?) : Expr() {
    override fun evaluate(scope: Scope) = if (condition.isTrue(scope)) yes.evaluate(scope) else no?.evaluate(scope) ?: Nil
}

class While(private val condition: Expr, private val body: Expr) : Expr() {
    override fun evaluate(scope: Scope): Value {
        while (condition.isTrue(scope)) body.evaluate(scope)
        return Nil
    }
}

class ReturnExpr(private val value: Expr) : Expr() {
    override fun evaluate(scope: Scope) = throw Return(value.evaluate(scope))
}

class ThrowExpr(private val value: Expr) : Expr() {
    override fun evaluate(scope: Scope) = throw Thrown(value.evaluate(scope))
}

class TryExpr(private val body: Expr, private val name: String, private val handler: Expr) : Expr() {
    override fun evaluate(scope: Scope): Value {
        val caught = try {
            return body.evaluate(scope)
        } catch (e: Thrown) {
            e.value
        } catch (e: ScriptError) {
            Str(e.message!!)
        }
        val local = Scope(scope)
        local.define(name, caught)
        return handler.evaluate(local)
    }
}

class Function(val name: String, val parameters: List<String>, val body: Expr) : Expr() {
    override fun evaluate(scope: Scope): Value = Closure(this, scope).also { if (name != "") scope.define(name, it) }
}

class Call(private val callee: Expr, private val arguments: List<Expr>) : Expr() {
    override fun evaluate(scope: Scope): Value {
        val f = callee.evaluate(scope) as? Callable ?: throw ScriptError("${callee.evaluate(scope)} is not a function")
        if (f.arity != arguments.size) throw ScriptError("$f wants ${f.arity} arguments, not ${arguments.size}")
        return f.call(arguments.map { it.evaluate(scope) })
    }
}

class Logic(private val isAnd: Boolean, private val left: Expr, private val right: Expr) : Expr() {
    override fun evaluate(scope: Scope) = Bool(if (isAnd) left.isTrue(scope) && right.isTrue(scope) else left.isTrue(scope) || right.isTrue(scope))
}

enum class Operator(val text: String, val level: Int, val apply: (Value, Value) -> Value) {
    EQUAL("==", 1, { a, b -> Bool(a == b) }),
    DIFFERENT("!=", 1, { a, b -> Bool(a != b) }),
    LESS("<", 2, { a, b -> Bool(order(a, b) < 0) }),
    AT_MOST("<=", 2, { a, b -> Bool(order(a, b) <= 0) }),
    GREATER(">", 2, { a, b -> Bool(order(a, b) > 0) }),
    AT_LEAST(">=", 2, { a, b -> Bool(order(a, b) >= 0) }),
    PLUS("+", 3, { a, b -> if (a is Num && b is Num) Num(a.value + b.value) else Str("$a$b") }),
    MINUS("-", 3, { a, b -> Num(long(a) - long(b)) }),
    TIMES("*", 4, { a, b -> Num(long(a) * long(b)) }),
    DIVIDE("/", 4, { a, b -> Num(long(a) / nonZero(b)) }),
    MODULO("%", 4, { a, b -> Num(long(a) % nonZero(b)) }),
}

class Binary(private val operator: Operator, private val left: Expr, private val right: Expr) : Expr() {
    override fun evaluate(scope: Scope) = operator.apply(left.evaluate(scope), right.evaluate(scope))
}

class Index(val target: Expr, val key: Expr) : Expr() {
    override fun evaluate(scope: Scope): Value = when (val t = target.evaluate(scope)) {
        is ListValue -> key.number(scope).let { t.items.getOrNull(it.toInt()) ?: throw ScriptError("no item $it in a list of ${t.items.size}") }
        is MapValue -> t.entries[key.evaluate(scope)] ?: Nil
        is Str -> Str(t.value[key.number(scope).toInt()].toString())
        else -> throw ScriptError("$t has no items")
    }
}

class SetIndex(private val place: Index, private val value: Expr) : Expr() {
    override fun evaluate(scope: Scope): Value {
        val result = value.evaluate(scope)
        when (val t = place.target.evaluate(scope)) {
            is ListValue -> t.items[place.key.number(scope).toInt()] = result
            is MapValue -> t.entries[place.key.evaluate(scope)] = result
            else -> throw ScriptError("$t has no items")
        }
        return result
    }
}

class ListExpr(private val items: List<Expr>) : Expr() {
    override fun evaluate(scope: Scope) = ListValue(items.mapTo(ArrayList()) { it.evaluate(scope) })
}

class MapExpr(private val entries: List<Pair<Expr, Expr>>) : Expr() {
    override fun evaluate(scope: Scope) = MapValue().also { for ((k, v) in entries) it.entries[k.evaluate(scope)] = v.evaluate(scope) }
}

fun long(value: Value): Long = (value as? Num ?: throw ScriptError("$value is not a number")).value

fun nonZero(value: Value): Long = long(value).also { if (it == 0L) throw ScriptError("division by zero") }

fun order(a: Value, b: Value): Int = if (a is Str && b is Str) a.value.compareTo(b.value) else long(a).compareTo(long(b))

// ---- from text to expressions ----------------------------------------------------------------------------------

enum class Kind { NAME, NUMBER, TEXT, SYMBOL, END }

data class Token(val kind: Kind, val text: String, val line: Int)

fun tokenize(source: String): List<Token> {
    val tokens = ArrayList<Token>()
    var at = 0
    var line = 1
    fun takeWhile(test: (Char) -> Boolean): String {
        val start = at
        while (at < source.length && test(source[at])) at++
        return source.substring(start, at)
    }
    while (at < source.length) {
        val c = source[at]
        when {
            c == '\n' -> { line++; at++ }
            c.isWhitespace() -> at++
            c == '#' -> takeWhile { it != '\n' }
            c.isLetter() || c == '_' -> tokens += Token(Kind.NAME, takeWhile { it.isLetterOrDigit() || it == '_' }, line)
            c.isDigit() -> tokens += Token(Kind.NUMBER, takeWhile(Char::isDigit), line)
            c == '"' -> {
                at++
                tokens += Token(Kind.TEXT, takeWhile { it != '"' }, line)
                if (at++ >= source.length) throw SyntaxError("string without end", line)
            }
            else -> {
                val two = source.substring(at, minOf(at + 2, source.length))
                val symbol = if (two in setOf("==", "!=", "<=", ">=")) two else c.toString()
                at += symbol.length
                tokens += Token(Kind.SYMBOL, symbol, line)
            }
        }
    }
    tokens += Token(Kind.END, "end of script", line)
    return tokens
}

class Parser(private val tokens: List<Token>) {
    private var at = 0
    private val token get() = tokens[at]

    private fun accept(text: String): Boolean = (token.text == text && token.kind in setOf(Kind.NAME, Kind.SYMBOL)).also { if (it) at++ }

    private fun expect(text: String) {
        if (!accept(text)) throw SyntaxError("expected $text, found ${token.text}", token.line)
    }

    private fun name(): String {
        if (token.kind != Kind.NAME) throw SyntaxError("expected a name, found ${token.text}", token.line)
        return tokens[at++].text
    }

    fun script(): List<Expr> = statements { token.kind == Kind.END }

    private fun statements(isEnd: () -> Boolean): List<Expr> {
        val body = ArrayList<Expr>()
        while (!isEnd()) {
            body += expression()
            while (accept(";")) continue
        }
        return body
    }

    private fun block(): Block {
        expect("{")
        return Block(statements { token.text == "}" || token.kind == Kind.END }).also { expect("}") }
    }

    private fun <T> list(end: String, item: () -> T): List<T> {
        val items = ArrayList<T>()
        while (!accept(end)) {
            if (items.isNotEmpty()) expect(",")
            items += item()
        }
        return items
    }

    private fun expression(): Expr {
        if (accept("let")) return Let(name().also { expect("=") }, expression())
        val left = logic()
        if (token.text == "=" && accept("=")) {
            return when (left) {
                is Variable -> Assign(left.name, expression())
                is Index -> SetIndex(left, expression())
                else -> throw SyntaxError("cannot assign to this", token.line)
            }
        }
        return left
    }

    private fun logic(): Expr {
        var left = binary(1)
        while (true) {
            left = when {
                accept("and") -> Logic(true, left, binary(1))
                accept("or") -> Logic(false, left, binary(1))
                else -> return left
            }
        }
    }

    private fun binary(level: Int): Expr {
        if (level > 4) return suffixes(primary())
        var left = binary(level + 1)
        while (true) {
            val operator = Operator.entries.find { it.level == level && token.kind == Kind.SYMBOL && it.text == token.text } ?: return left
            at++
            left = Binary(operator, left, binary(level + 1))
        }
    }

    private fun suffixes(start: Expr): Expr {
        var e = start
        while (true) {
            e = when {
                accept("(") -> Call(e, list(")", ::expression))
                accept("[") -> Index(e, expression()).also { expect("]") }
                else -> return e
            }
        }
    }

    private fun function(): Expr {
        val name = if (token.kind == Kind.NAME) name() else ""
        expect("(")
        return Function(name, list(")", ::name), block())
    }

    private fun primary(): Expr {
        val (kind, text, line) = tokens[at++]
        return when (kind) {
            Kind.NUMBER -> Literal(Num(text.toLong()))
            Kind.TEXT -> Literal(Str(text))
            Kind.END -> throw SyntaxError("unexpected $text", line)
            Kind.SYMBOL -> when (text) {
                "(" -> expression().also { expect(")") }
                "[" -> ListExpr(list("]", ::expression))
                "-" -> Binary(Operator.MINUS, Literal(Num(0)), suffixes(primary()))
                "{" -> MapExpr(list("}") { expression().also { expect(":") } to expression() })
                else -> throw SyntaxError("unexpected $text", line)
            }
            Kind.NAME -> when (text) {
                "true" -> Literal(Bool(true))
                "false" -> Literal(Bool(false))
                "nil" -> Literal(Nil)
                "if" -> If(expression(), block(), if (accept("else")) (if (token.text == "if") primary() else block()) else null)
                "while" -> While(expression(), block())
                "fn" -> function()
                "return" -> ReturnExpr(expression())
                "throw" -> ThrowExpr(expression())
                "try" -> TryExpr(block(), run { expect("catch"); name() }, block())
                else -> Variable(text)
            }
        }
    }
}

// ---- running scripts -------------------------------------------------------------------------------------------

fun globals(print: (String) -> Unit) = Scope(null).apply {
    fun native(name: String, arity: Int, body: (List<Value>) -> Value) = define(name, Native(name, arity, body))
    native("print", 1) { (value) -> Nil.also { print(value.toString()) } }
    native("push", 2) { (list, value) -> list.also { (it as ListValue).items.add(value) } }
    native("keys", 1) { (map) -> ListValue((map as MapValue).entries.keys.toMutableList()) }
    native("sort", 1) { (list) -> ListValue((list as ListValue).items.sortedWith(::order).toMutableList()) }
    native("text", 1) { (value) -> Str(value.toString()) }
    native("len", 1) { (value) ->
        when (value) {
            is Str -> Num(value.value.length.toLong())
            is ListValue -> Num(value.items.size.toLong())
            is MapValue -> Num(value.entries.size.toLong())
            else -> throw ScriptError("$value has no length")
        }
    }
}

fun runScript(source: String, print: (String) -> Unit): Value {
    val scope = globals(print)
    var last: Value = Nil
    for (statement in Parser(tokenize(source)).script()) last = statement.evaluate(scope)
    return last
}

val DEMO = """
    # Recursion, closures, lists and maps.
    fn fib(n) { if n < 2 { return n } fib(n - 1) + fib(n - 2) }
    print("fib " + fib(17))
    fn counter() { let n = 0; fn() { n = n + 1; n } }
    let a = counter() let b = counter()
    a() a() b()
    print([a(), b()])
    fn map(f, list) {
        let out = [] let i = 0
        while i < len(list) { push(out, f(list[i])) i = i + 1 }
        out
    }
    print(map(fn(x) { x * x }, [1, 2, 3, -4]))
    let words = {}
    let text = "the cat and the dog and the bird "
    let word = "" let i = 0
    while i < len(text) {
        let c = text[i]
        if c == " " { words[word] = if words[word] == nil { 1 } else { words[word] + 1 } word = "" }
        else { word = word + c }
        i = i + 1
    }
    print(words)
    print(sort(keys(words)))
    fn find(list, wanted) {
        let i = 0
        while true { if list[i] == wanted { return i } i = i + 1 }
    }
    print(find(["x", "y", "z"], "z"))
    print(try { find([1], 2) } catch e { "caught: " + e })
    print(try { throw {"code": 7} } catch e { e["code"] + 1 })
    print(try { 1 / 0 } catch e { e })
    print(try { print(1, 2) } catch e { e })
    print(1 < 2 and not_defined == 1 or true)
"""

val BENCH = """
    fn sieve(limit) {
        let composite = {} let primes = [] let i = 2
        while i < limit {
            if composite[i] == nil {
                push(primes, i)
                let j = i * i
                while j < limit { composite[j] = true j = j + i }
            }
            i = i + 1
        }
        primes
    }
    fn tree(depth) { if depth == 0 { nil } else { {"left": tree(depth - 1), "right": tree(depth - 1), "key": depth} } }
    fn sum(t) { if t == nil { return 1 } sum(t["left"]) + sum(t["right"]) * t["key"] % 1000003 }
    fn risky(n) { if n % 7 == 3 { throw n } n }
    fn round(seed) {
        let primes = sieve(600)
        let total = len(primes) + sum(tree(8)) let i = 0
        while i < 300 { total = total + (try { risky(i + seed) } catch n { n * 2 }) i = i + 1 }
        let words = []
        i = 0
        while i < 100 { push(words, "w" + i * seed % 100) i = i + 1 }
        total + len(text(sort(words)))
    }
    fn bench(n) {
        let check = 0 let i = 1
        while i <= n { check = (check * 31 + round(i)) % 1000000007 i = i + 1 }
        check
    }
"""

/** Runs the benchmark script with `n` rounds and gives its checksum. */
fun runBench(n: Int): Long = (runScript("$BENCH bench($n)") {} as Num).value

fun main() {
    val failure = try {
        runScript(DEMO) { println(it) }
        "none"
    } catch (e: ScriptError) {
        e.message
    }
    println("error: $failure")
    for (bad in listOf("let = 3", "fn f(a b) {}", "print(\"x", "1 + ", "{ 1: 2", "nosuch")) {
        val message = try {
            runScript(bad) { println(it) }.toString()
        } catch (e: ScriptError) {
            e.message
        }
        println(message)
    }
    println("bench ${runBench(1)} ${runBench(3)}")
}
