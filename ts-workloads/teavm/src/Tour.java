// A tour of Java: every line that it prints is known (expected/tour.txt), and the same on HotSpot.
//
// Each section is a method that prints a heading and then what it found. Nothing depends on time, hash order or
// addresses. A division by zero is not here: TeaVM leaves it to WebAssembly, where it is a trap and no exception.

import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.PriorityQueue;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.IntBinaryOperator;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

public class Tour {
    // ---- classes, interfaces, records, enums -----------------------------------------------------------------------

    interface Shape {
        double area();

        default String describe() {
            return getClass() == Square.class ? "square of area " + area() : "shape of area " + area();
        }
    }

    record Rectangle(double width, double height) implements Shape {
        public double area() {
            return width * height;
        }
    }

    static class Square implements Shape {
        final double side;

        Square(double side) {
            this.side = side;
        }

        public double area() {
            return side * side;
        }
    }

    static final class Big extends Square {
        static int made = 0;

        Big() {
            super(10);
            made++;
        }

        @Override
        public double area() {
            return super.area() + 0.5;
        }
    }

    enum Operation implements IntBinaryOperator {
        ADD("+") {
            public int applyAsInt(int a, int b) {
                return a + b;
            }
        },
        MULTIPLY("*") {
            public int applyAsInt(int a, int b) {
                return a * b;
            }
        };

        final String sign;

        Operation(String sign) {
            this.sign = sign;
        }
    }

    static void classes() {
        System.out.println("== classes");
        Shape[] shapes = { new Rectangle(2, 3.5), new Square(3), new Big(), () -> 7 };
        for (Shape shape : shapes) {
            String kind = shape instanceof Square square ? "side " + square.side : "no side";
            System.out.println(shape.describe() + ", " + kind);
        }
        System.out.println(new Rectangle(1, 2).equals(new Rectangle(1, 2)) + " " + new Big().equals(new Big()));
        System.out.println("made " + Big.made);
        for (Operation operation : Operation.values()) {
            System.out.println(operation + " 6 " + operation.sign + " 7 = " + operation.applyAsInt(6, 7));
        }
        System.out.println(Operation.valueOf("ADD").ordinal());
    }

    // ---- generics and collections ----------------------------------------------------------------------------------

    static final class Chain<T> implements Iterable<T> {
        private record Link<T>(T value, Link<T> next) {}

        private Link<T> first;

        void push(T value) {
            first = new Link<>(value, first);
        }

        public Iterator<T> iterator() {
            return new Iterator<>() {
                private Link<T> at = first;

                public boolean hasNext() {
                    return at != null;
                }

                public T next() {
                    if (at == null) {
                        throw new NoSuchElementException("the end");
                    }
                    T value = at.value();
                    at = at.next();
                    return value;
                }
            };
        }
    }

    static void collections() {
        System.out.println("== collections");
        Chain<String> chain = new Chain<>();
        for (String word : "three two one".split(" ")) {
            chain.push(word);
        }
        StringBuilder text = new StringBuilder();
        for (String word : chain) {
            text.append(word).append(';');
        }
        System.out.println(text.reverse());

        Map<String, Integer> counts = new HashMap<>();
        for (String word : "to be or not to be that is the question whether to".split(" ")) {
            counts.merge(word, 1, (a, b) -> a + b);
        }
        System.out.println(new TreeMap<>(counts));
        TreeMap<Integer, String> tree = new TreeMap<>();
        int x = 1;
        for (int i = 0; i < 1000; i++) {
            x = x * 1103515245 + 12345;
            tree.put(x >>> 20, Integer.toString(i));
        }
        System.out.println(tree.size() + " " + tree.firstEntry() + " " + tree.ceilingKey(2000) + " " + tree.headMap(50));

        PriorityQueue<int[]> queue = new PriorityQueue<>(Comparator.comparingInt(pair -> pair[1]));
        for (int i = 0; i < 10; i++) {
            queue.add(new int[] { i, i * 7 % 10 });
        }
        StringBuilder order = new StringBuilder();
        while (!queue.isEmpty()) {
            order.append(queue.remove()[0]);
        }
        System.out.println(order);

        ArrayDeque<Integer> deque = new ArrayDeque<>();
        for (int i = 0; i < 40; i++) {
            deque.addLast(i);
            if (i % 3 == 2) {
                deque.addFirst(deque.removeLast() + deque.removeFirst());
            }
        }
        System.out.println(deque);

        List<String> names = new ArrayList<>(List.of("Ada", "grace", "Barbara", "edsger", "Tony"));
        names.sort(Comparator.comparing((String name) -> name.length()).thenComparing(String::compareToIgnoreCase));
        System.out.println(names + " " + names.indexOf("Tony") + " " + names.contains("Alan"));
        Map<Boolean, List<String>> parts = new LinkedHashMap<>();
        for (String name : names) {
            parts.computeIfAbsent(Character.isUpperCase(name.charAt(0)), key -> new ArrayList<>()).add(name);
        }
        System.out.println(parts);
    }

    // ---- lambdas and streams ---------------------------------------------------------------------------------------

    static Supplier<Integer> counter(int start) {
        int[] value = { start };
        return () -> value[0]++;
    }

    static void lambdas() {
        System.out.println("== lambdas");
        Function<Integer, Function<Integer, Integer>> add = a -> b -> a + b;
        System.out.println(add.apply(20).apply(22));
        Supplier<Integer> one = counter(5), other = counter(100);
        System.out.println(one.get() + one.get() + other.get() + one.get());
        System.out.println(IntStream.range(0, 1000).map(i -> i * i).filter(i -> i % 3 == 1).limit(100).sum());
        System.out.println(List.of("b", "a", "c").stream().map(s -> s + s).sorted().collect(Collectors.toList()));
        Runnable[] tasks = new Runnable[3];
        List<String> log = new ArrayList<>();
        for (int i = 0; i < tasks.length; i++) {
            int number = i;
            tasks[i] = () -> log.add("task " + number);
        }
        for (Runnable task : tasks) {
            task.run();
        }
        System.out.println(log);
    }

    // ---- exceptions ------------------------------------------------------------------------------------------------

    static class Refused extends Exception {
        final int code;

        Refused(int code, Throwable cause) {
            super("refused with " + code, cause);
            this.code = code;
        }
    }

    record Resource(String name, List<String> log) implements AutoCloseable {
        public void close() {
            log.add("closed " + name);
        }
    }

    static int check(int value, List<String> log) throws Refused {
        try (Resource resource = new Resource("r" + value, log)) {
            if (value % 3 == 0) {
                throw new IllegalStateException("not " + value);
            }
            log.add("used " + resource.name());
            return value;
        } catch (IllegalStateException e) {
            throw new Refused(value, e);
        } finally {
            log.add("after " + value);
        }
    }

    static String thrown(Runnable action) {
        try {
            action.run();
            return "nothing";
        } catch (RuntimeException e) {
            return e.getClass().getName();
        }
    }

    static void exceptions() {
        System.out.println("== exceptions");
        List<String> log = new ArrayList<>();
        int sum = 0;
        for (int i = 1; i <= 4; i++) {
            try {
                sum += check(i, log);
            } catch (Refused e) {
                log.add(e.getMessage() + " because " + e.getCause().getMessage());
                sum += 100 * e.code;
            }
        }
        System.out.println(sum + " " + log);
        Object text = "text";
        String none = log.isEmpty() ? "some" : null;
        System.out.println(thrown(() -> none.length()));
        System.out.println(thrown(() -> System.out.println((Integer) text)));
        System.out.println(thrown(() -> Integer.parseInt("seven")));
        int caught = 0;
        for (int i = 0; i < 3000; i++) {
            try {
                deep(20, i);
            } catch (IllegalArgumentException e) {
                caught++;
            }
        }
        System.out.println(caught);
    }

    static int deep(int depth, int i) {
        if (depth > 0) {
            return deep(depth - 1, i) + 1;
        }
        if (i % 2 == 0) {
            throw new IllegalArgumentException();
        }
        return 0;
    }

    // ---- strings and numbers ---------------------------------------------------------------------------------------

    static void strings() {
        System.out.println("== strings");
        String text = "The quick brown fox";
        System.out.println(text.toUpperCase() + text.substring(4, 9) + text.indexOf("brown") + text.hashCode());
        System.out.println(text.replace("quick", "slow").chars().filter(c -> c == 'o').count() + " " + text.lastIndexOf('o'));
        System.out.println(String.join("/", "a", "b", "c") + " " + "a,b,,c".split(",").length + " " + "  trim ".trim() + "|");
        switch (text.charAt(4)) {
            case 'q' -> System.out.println("q");
            default -> System.out.println("other");
        }
        System.out.println("ß→é𝄞".length() + " " + "ß→é𝄞".codePointCount(0, 5));
        System.out.println(text.equals("The " + "quick brown fox") + " " + "b".compareTo("a"));
    }

    static void numbers() {
        System.out.println("== numbers");
        int overflow = Integer.MAX_VALUE;
        overflow += 2;
        long wide = Long.MIN_VALUE;
        System.out.println(overflow + " " + (wide - 1) + " " + (byte) 300 + " " + (char) 66 + " " + (short) 70000);
        System.out.println((int) 1e20 + " " + (long) Double.NaN + " " + (int) -2.9 + " " + 7 % -3 + " " + -7 / 2 + " " + -7 % 3);
        System.out.println((-16 >> 2) + " " + (-16 >>> 28) + " " + (1L << 40) + " " + (1 << 33));
        System.out.println(Integer.toHexString(0xcafe) + " " + Integer.bitCount(255) + " " + Long.numberOfTrailingZeros(64)
            + " " + Integer.rotateLeft(0x80000001, 4) + " " + Integer.parseInt("-123"));
        System.out.println(0.1 + 0.2 + " " + 1.0 / 0 + " " + Math.sqrt(2) + " " + (float) 1 / 3 + " " + Math.floorMod(-7, 3));
        System.out.println(BigInteger.ONE.shiftLeft(100).subtract(BigInteger.TWO).multiply(BigInteger.valueOf(12345)));
        Integer small = 100, same = 100;
        Object boxed = 3.5;
        System.out.println((small == same) + " " + small.equals(100) + " " + boxed + " " + (boxed instanceof Double));
        int hash = 17;
        for (int i = 0; i < 1000; i++) {
            hash = Integer.rotateLeft((hash ^ i) * 0xcc9e2d51, 15);
        }
        System.out.println(hash);
        int[][] table = new int[5][7];
        for (int[] row : table) {
            Arrays.fill(row, 3);
        }
        table[2][3] = 9;
        System.out.println(Arrays.stream(table).mapToInt(row -> Arrays.stream(row).sum()).sum() + " " + Arrays.toString(table[2]));
        outer:
        for (int i = 2; ; i++) {
            for (int j = 2; j * j <= i; j++) {
                if (i % j == 0) {
                    continue outer;
                }
            }
            if (i > 100) {
                System.out.println(i);
                break;
            }
        }
    }

    public static void main(String[] arguments) {
        classes();
        collections();
        lambdas();
        exceptions();
        strings();
        numbers();
    }
}
