/* As hello.wat: what the system needs to start a process. */
#include <stdio.h>

int main(void) {
  return puts("hello, world") < 0;
}
