/* Starts a program on a Cortex-M of qemu: vectors, vector registers, semihosting, exit status. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_end[];
void initialise_monitor_handles(void); /* of newlib's librdimon: printf and exit to the host */
int main(void);

static void start(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  volatile uint32_t* const cpacr = (volatile uint32_t*)0xe000ed88u;
  *cpacr |= 0xfu << 20; /* coprocessors 10 and 11 to all */
  __asm volatile("dsb\n isb" ::: "memory");
#endif
  initialise_monitor_handles();
  exit(main());
}

/* Any fault ends the program with exit status 1: SYS_EXIT, ADP_Stopped_RunTimeErrorUnknown. */
static void fault(void) {
  __asm volatile(
      "movs r0, #0x18\n"
      "ldr r1, =0x20023\n"
      "bkpt 0xab");
}

/* Stack, reset, NMI and the faults. Nothing enables interrupts. */
__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    stack_end,          (const void*)start, (const void*)fault, (const void*)fault,
    (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault};
