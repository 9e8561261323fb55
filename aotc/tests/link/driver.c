// Maps an artifact as the runtime does and calls one of its functions. Exceptions are unwound by the artifact's own
// tables, read here independently of the code that wrote them. Written for x86-64 and the System V ABI.
//
//     driver FILE TEXT_BYTES UNWIND_OFFSET ENTRY_OFFSET FUNCTION_OFFSET ARGUMENT
//
// Prints the result, or `uncaught EXCEPTION`. Exits with a status above 0, and a message, if anything is wrong.
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PAGE = 4096, SAVED = 6 };

static void *const libcalls[] = {
#include "libcalls.inc"
};

struct thread {
    void *throw;
    uint64_t exception;
};

// Callee-saved registers in the order of the tables (rbx, rbp, r12 to r15), and where execution is.
struct registers {
    uint64_t saved[SAVED], sp, pc;
};

struct header {
    uint32_t funcs, ranges, frames, text_bytes;
};

struct range {
    uint32_t frame, landing_pad;
};

struct frame {
    int32_t cfa_offset;
    uint32_t cfa_base, landing_pad_pop, saved_below_cfa[SAVED];
};

// Entry in the C convention, with a known value in each callee-saved register; afterwards stores what they hold.
void call_entry(void *entry, struct thread *thread, void *instance, void *code, uint64_t *slots, uint64_t *after);
void throw_entry(void);

static struct thread thread;
static uint64_t text_start, text_end;
static const uint32_t *range_starts;
static const struct range *ranges;
static const struct frame *frames;
static uint32_t range_count;

__asm__(".text\n"
        "call_entry:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %r9\n"
        "mov $0x1001, %ebx\nmov $0x1002, %ebp\nmov $0x1003, %r12d\n"
        "mov $0x1004, %r13d\nmov $0x1005, %r14d\nmov $0x1006, %r15d\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %rcx\n"
        "call *%rax\n"
        "pop %r9\n"
        "mov %rbx, (%r9)\nmov %rbp, 8(%r9)\nmov %r12, 16(%r9)\n"
        "mov %r13, 24(%r9)\nmov %r14, 32(%r9)\nmov %r15, 40(%r9)\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
        "ret\n"
        "throw_entry:\n" // (thread, exception): the registers as they were at the call
        "mov %rsi, 8(%rdi)\n"
        "lea 8(%rsp), %rax\nmov (%rsp), %rcx\n"
        "sub $72, %rsp\n"
        "mov %rbx, (%rsp)\nmov %rbp, 8(%rsp)\nmov %r12, 16(%rsp)\n"
        "mov %r13, 24(%rsp)\nmov %r14, 32(%rsp)\nmov %r15, 40(%rsp)\n"
        "mov %rax, 48(%rsp)\nmov %rcx, 56(%rsp)\n"
        "mov %rsp, %rdi\n"
        "call unwind\n"
        "mov (%rsp), %rbx\nmov 8(%rsp), %rbp\nmov 16(%rsp), %r12\n"
        "mov 24(%rsp), %r13\nmov 32(%rsp), %r14\nmov 40(%rsp), %r15\n"
        "mov 56(%rsp), %rax\nmov 48(%rsp), %rsp\n"
        "jmp *%rax\n");

static void fail(const char *what) {
    fprintf(stderr, "driver: %s\n", what);
    exit(1);
}

static void check_saved(const uint64_t *saved) {
    for (uint64_t i = 0; i < SAVED; i++)
        if (saved[i] != 0x1001 + i) fail("a callee-saved register was lost");
}

// Continues at the next landing pad, or ends the process if there is none.
__attribute__((used)) void unwind(struct registers *r) {
    while (r->pc >= text_start && r->pc <= text_end) {
        uint32_t at = (uint32_t)(r->pc - text_start), i = 0;
        while (i < range_count && range_starts[i] < at) i++;
        if (i == 0 || ranges[i - 1].frame == UINT32_MAX) fail("no frame for a return address");
        const struct range *range = &ranges[i - 1];
        const struct frame *frame = &frames[range->frame];
        if (range->landing_pad != UINT32_MAX) {
            r->pc = text_start + range->landing_pad;
            r->sp += frame->landing_pad_pop;
            return;
        }
        uint64_t cfa = (frame->cfa_base == 0 ? r->sp : r->saved[1]) + (uint64_t)(int64_t)frame->cfa_offset;
        for (int s = 0; s < SAVED; s++)
            if (frame->saved_below_cfa[s]) r->saved[s] = *(uint64_t *)(cfa - frame->saved_below_cfa[s]);
        r->pc = *(uint64_t *)(cfa - 8);
        r->sp = cfa;
    }
    check_saved(r->saved);
    printf("uncaught %lld\n", (long long)thread.exception);
    exit(0);
}

static uint8_t *map(const char *path, uint64_t text_bytes) {
    int fd = open(path, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) fail("cannot open the artifact");
    uint8_t *base = mmap(NULL, PAGE + (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) fail("cannot reserve memory");
    memcpy(base, libcalls, sizeof libcalls);
    uint8_t *file = mmap(base + PAGE, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
    if (file == MAP_FAILED) fail("cannot map the artifact");
    if (mprotect(base, PAGE, PROT_READ) != 0) fail("cannot protect the libcall table");
    if (text_bytes && mprotect(file + PAGE, text_bytes, PROT_READ | PROT_EXEC) != 0) fail("cannot protect the code");
    return file;
}

static void read_tables(const uint8_t *section) {
    const struct header *header = (const struct header *)section;
    const uint32_t *funcs = (const uint32_t *)(header + 1);
    range_count = header->ranges;
    range_starts = funcs + 2 * header->funcs;
    ranges = (const struct range *)(range_starts + range_count);
    frames = (const struct frame *)(ranges + range_count);
    text_end = text_start + header->text_bytes;
}

int main(int argc, char **argv) {
    if (argc != 7) fail("wrong number of arguments");
    uint64_t numbers[5];
    for (int i = 0; i < 5; i++) numbers[i] = (uint64_t)strtoll(argv[i + 2], NULL, 0);
    uint8_t *file = map(argv[1], numbers[0]);
    text_start = (uint64_t)(file + PAGE);
    read_tables(file + numbers[1]);
    thread.throw = (void *)throw_entry;
    uint64_t slots[2] = {numbers[4], 0}, after[SAVED];
    call_entry(file + PAGE + numbers[2], &thread, NULL, file + PAGE + numbers[3], slots, after);
    check_saved(after);
    printf("%lld\n", (long long)slots[0]);
    return 0;
}
