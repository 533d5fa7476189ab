/* Counts the instructions of init, step and read of model m, and the stack that they use.
 *
 * Under qemu's -icount shift=8 an instruction takes 256 ns of the time that SysTick sees, which
 * ticks at CLOCK Hz, four times or more in an instruction: counts are exact. A loop of a known
 * number of instructions checks that. */
#include <stdint.h>
#include <stdio.h>

#include "model_m.h"

#define SYSTICK ((volatile uint32_t*)0xe000e010u) /* control, reload, value, which counts down */
enum { FRAMES = 200, LOOPS = 1000, PAINT = 0x5aa5c33c };

extern uint32_t stack_begin[];

static m_context context;
static int8_t frame[M_IN];
static int32_t logits[M_OUT];

static void nothing(void) {}
static void loop(void) {
  uint32_t i = LOOPS;
  __asm volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(i) : : "cc");
}
static void init(void) {
  m_init(&context);
}
static void step(void) {
  m_step(&context, frame);
}
static void read(void) {
  m_read(&context, logits);
}

__attribute__((noinline)) static uint32_t ticks_of(void (*volatile f)(void)) {
  uint32_t before;
  SYSTICK[2] = 0; /* reloads */
  before = SYSTICK[2];
  f();
  return (before - SYSTICK[2]) & 0xffffffu;
}

static uint32_t instructions_of(void (*f)(void)) {
  const uint32_t ticks = ticks_of(f) - ticks_of(nothing);
  return (uint32_t)(((uint64_t)ticks * 1000000000u / CLOCK + 128) / 256);
}

/* Bytes below the stack of the caller that `f` writes to. */
__attribute__((noinline)) static uint32_t stack_of(void (*volatile f)(void)) {
  uint32_t* top;
  uint32_t* p;
  __asm volatile("mov %0, sp" : "=r"(top));
  for (p = stack_begin; p < top; ++p) {
    *(volatile uint32_t*)p = PAINT;
  }
  f();
  for (p = stack_begin; *(volatile uint32_t*)p == PAINT;) {
    ++p;
  }
  return (uint32_t)((uint8_t*)top - (uint8_t*)p);
}

int main(void) {
  uint32_t random = 1, least = UINT32_MAX, most = 0, i, t;
  SYSTICK[1] = 0xffffffu;
  SYSTICK[0] = 5; /* on, no interrupt, at the processor's clock */
  /* Besides the loop, the constant is loaded. */
  if (instructions_of(loop) - 2 * LOOPS > 2) {
    printf("%lu instructions in a loop of %d\n", (unsigned long)instructions_of(loop), 2 * LOOPS);
    return 1;
  }
  printf("init %lu\n", (unsigned long)instructions_of(init));
  for (t = 0; t < FRAMES; ++t) {
    uint32_t count;
    for (i = 0; i < M_IN; ++i) {
      random = random * 1664525u + 1013904223u;
      frame[i] = (int8_t)((random >> 24) ^ 128u);
    }
    count = instructions_of(step);
    least = count < least ? count : least;
    most = count > most ? count : most;
  }
  printf("step %lu to %lu\n", (unsigned long)least, (unsigned long)most);
  printf("read %lu\n", (unsigned long)instructions_of(read));
  printf("stack of init %lu, step %lu, read %lu\n", (unsigned long)stack_of(init),
         (unsigned long)stack_of(step), (unsigned long)stack_of(read));
  return 0;
}
