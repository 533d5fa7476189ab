/* The processor: output, faults, and its set-up with all registers switched on, AMX tiles too. */
#include "system.h"

enum {
  FAULTS = 32,
  INVALID_INSTRUCTION = 6,
  CODE_SEGMENT = 8,
  TASK_SEGMENT = 24,
  /* States of XCR0: x87, SSE, AVX, AVX-512; tiles. Not what is for protection and tracing. */
  STATES = 0xe7,
  TILE_STATES = 0x60000
};

/* Registers of the processor, by Intel's names. */
#define IA32_STAR 0xc0000081
#define IA32_LSTAR 0xc0000082
#define IA32_FMASK 0xc0000084
#define IA32_FS_BASE 0xc0000100

/* What start.S pushes, and above it what the processor pushes. */
struct frame {
  uint64_t saved[15];
  uint64_t vector, error, rip, segment, flags, rsp;
};

struct gate {
  uint16_t low, segment;
  uint8_t stack, type;
  uint16_t middle;
  uint32_t high, zero;
} __attribute__((packed));

struct table {
  uint16_t limit;
  const void* address;
} __attribute__((packed));

struct cpuid {
  uint32_t a, b, c, d;
};

/* start.S */
extern const uint8_t fault_entries[FAULTS][16];
extern uint64_t segments[];
extern uint64_t pages_2[];
void enter_call(void);

static struct gate gates[FAULTS];
static uint32_t task[26];
static uint8_t fault_stack[16384] __attribute__((aligned(16)));
static int tiles_permitted;

static void write_port(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void print_bytes(const char* text, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    write_port(0xe9, (uint8_t)text[i]); /* to Bochs' output */
  }
}

void print(const char* text) {
  uint64_t count = 0;
  while (text[count] != 0) {
    ++count;
  }
  print_bytes(text, count);
}

void print_number(uint64_t value) {
  int shift = 60;
  while (shift > 0 && value >> shift == 0) {
    shift -= 4;
  }
  print("0x");
  for (; shift >= 0; shift -= 4) {
    print_bytes(&"0123456789abcdef"[value >> shift & 15], 1);
  }
}

/* Ends Bochs. */
void stop(void) {
  const char* const word = "Shutdown";
  for (int i = 0; word[i] != 0; ++i) {
    write_port(0x8900, (uint8_t)word[i]);
  }
  for (;;) {
    __asm__ volatile("cli\n hlt");
  }
}

void die(const char* why, uint64_t number) {
  print("\nsystem: ");
  print(why);
  print(" ");
  print_number(number);
  print("\n");
  stop();
}

void* memcpy(void* to, const void* from, size_t bytes) {
  void* const begin = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return begin;
}

void* memset(void* to, int value, size_t bytes) {
  void* const begin = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
  return begin;
}

uint64_t time_stamp(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static void write_register(uint32_t number, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static struct cpuid cpuid(uint32_t leaf, uint32_t part) {
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(part));
  return r;
}

void set_thread_pointer(uint64_t address) {
  write_register(IA32_FS_BASE, address);
}

static void switch_on(uint32_t states) {
  __asm__ volatile("xsetbv" : : "a"(states), "d"(0), "c"(0));
}

/* The program saw that there are tiles before it asked. They are off until the first instruction
 * with tiles, which faults; Linux does the same by XFD, which Bochs 3.0 has not. */
void permit_tiles(void) {
  tiles_permitted = 1;
  switch_on(STATES);
}

/* Called by start.S. The program goes on where it was if this returns. */
void handle_fault(const struct frame* frame) {
  if (frame->vector == INVALID_INSTRUCTION && tiles_permitted) {
    tiles_permitted = 0;
    switch_on(STATES | TILE_STATES);
    print("system: tiles are used\n");
    return;
  }
  uint64_t address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  print("\nsystem: at ");
  print_number(frame->rip);
  print(" with address ");
  print_number(address);
  die("fault", frame->vector);
}

/* All faults have a stack of their own: that of the program may be the reason. */
static void set_up_faults(void) {
  const uint64_t stack = (uint64_t)fault_stack + sizeof(fault_stack);
  const uint64_t address = (uint64_t)task;
  const struct table table = {sizeof(gates) - 1, gates};
  for (int i = 0; i < FAULTS; ++i) {
    const uint64_t entry = (uint64_t)fault_entries[i];
    gates[i].low = (uint16_t)entry;
    gates[i].middle = (uint16_t)(entry >> 16);
    gates[i].segment = CODE_SEGMENT;
    gates[i].stack = 1;
    gates[i].type = 0x8e; /* present, interrupt gate */
  }
  task[9] = (uint32_t)stack; /* stack 1 */
  segments[TASK_SEGMENT / 8] = (sizeof(task) - 1) | (address & 0xffffff) << 16 |
                               UINT64_C(0x89) << 40 | (address >> 24) << 56;
  __asm__ volatile("lidt %0\n ltr %w1" : : "m"(table), "r"(TASK_SEGMENT));
}

static void set_up_registers(void) {
  uint64_t cr0, cr4;
  __asm__ volatile("mov %%cr0, %0\n mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
  cr0 &= ~UINT64_C(0xc); /* no emulation of the FPU, nothing kept for another task */
  cr0 |= 0x22;           /* there is an FPU, and its errors are faults */
  cr4 |= 0x600;          /* SSE */
  cr4 |= 0x10000;        /* rdfsbase */
  cr4 |= 0x40000;        /* xgetbv, xsave */
  __asm__ volatile("mov %0, %%cr0\n mov %1, %%cr4\n fninit" : : "r"(cr0), "r"(cr4));
  const uint32_t states = cpuid(13, 0).a;
  if ((states & TILE_STATES) != TILE_STATES) die("no tiles among the states", states);
  switch_on(STATES | TILE_STATES);
}

/* The first 2 MiB, where the loader left what it hands over, are absent from now on. */
static void forbid_null_pointers(void) {
  pages_2[0] = 0;
  __asm__ volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" : : : "rax", "memory");
}

void set_up_processor(void) {
  forbid_null_pointers();
  set_up_faults();
  set_up_registers();
  write_register(IA32_STAR, (uint64_t)CODE_SEGMENT << 32);
  write_register(IA32_LSTAR, (uint64_t)enter_call);
  write_register(IA32_FMASK, 0x700); /* no steps, no interrupts, strings upwards */
}
