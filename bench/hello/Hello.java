/** As hello.wat. */
final class Hello {
    public static void main(String[] args) {
        System.out.println("hello, world");
    }

    private Hello() {}
}
