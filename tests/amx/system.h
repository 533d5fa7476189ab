/* A system for one Linux program on a processor that Bochs emulates: everything in ring 0, one
 * address space, files of an archive that are only read, no threads, no signals.
 *
 * Memory, where a virtual address is the physical one:
 *   below  2 MiB  absent, so that null pointers fault
 *         16 MiB  this system, and behind it the archive, put there by mboot.c32
 *        511 MiB  the program's stack of 1 MiB
 *        512 MiB  its heap: brk
 *        768 MiB  what it maps, the program and its libraries too, up to 2032 MiB; the tables of
 * the BIOS are above
 */
#ifndef OCTET_TESTS_AMX_SYSTEM_H_
#define OCTET_TESTS_AMX_SYSTEM_H_

#include <stddef.h>
#include <stdint.h>

enum {
  PAGE = 4096,
  STACK_BEGIN = 0x1ff00000,
  HEAP_BEGIN = 0x20000000, /* the end of the stack */
  MAPS_BEGIN = 0x30000000, /* the end of the heap */
  MAPS_END = 0x7f000000
};

struct file {
  const uint8_t* data;
  uint64_t bytes;
  uint64_t number; /* differs from that of any other file */
};

/* processor.c */

void print(const char* text);
void print_bytes(const char* text, uint64_t count);
void print_number(uint64_t value); /* hexadecimal */
__attribute__((noreturn)) void stop(void);
__attribute__((noreturn)) void die(const char* why, uint64_t number);
void set_up_processor(void);
/* To count of 200 million a second: Bochs advances it by one with each instruction. */
uint64_t time_stamp(void);
void set_thread_pointer(uint64_t address);
void permit_tiles(void);

void* memcpy(void* to, const void* from, size_t bytes);
void* memset(void* to, int value, size_t bytes);

/* loader.c */

/* False if the archive has no such file. */
int find_file(const char* path, struct file* file);

/* calls.c */

/* Maps `bytes` of zeros. */
uint64_t allocate(uint64_t bytes);

#endif /* OCTET_TESTS_AMX_SYSTEM_H_ */
