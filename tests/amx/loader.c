/* The archive, and the start of the program in it. */
#include "system.h"

enum { ELF_SHARED = 3, PROGRAM_LOAD = 1, PROGRAM_INTERPRETER = 3, MULTIBOOT = 0x2badb002 };

/* What Linux tells a program at its start; names and numbers are those of its elf.h. */
enum {
  AT_NULL = 0,
  AT_PHDR = 3,
  AT_PHENT = 4,
  AT_PHNUM = 5,
  AT_PAGESZ = 6,
  AT_BASE = 7,
  AT_ENTRY = 9,
  AT_SECURE = 23,
  AT_RANDOM = 25,
  AT_EXECFN = 31
};

struct elf_header {
  uint8_t magic[16];
  uint16_t type, machine;
  uint32_t version;
  uint64_t entry, program_headers, section_headers;
  uint32_t flags;
  uint16_t bytes, program_header_bytes, program_header_count;
};

struct program_header {
  uint32_t type, flags;
  uint64_t offset, address, physical_address, bytes, memory_bytes, alignment;
};

/* Of an image in memory. */
struct image {
  uint64_t base, entry, headers, header_count;
  const char* interpreter; /* null if it has none */
};

static const uint8_t* archive;

/* 8 hexadecimal digits. */
static uint64_t number_at(const uint8_t* digits) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value = value * 16 + (digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
  }
  return value;
}

static int same(const char* a, const char* b) {
  while (*a != 0 && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

/* The archive is cpio's "newc": headers of 110 characters, a name, data; both end at multiples of 4
 * bytes. */
int find_file(const char* path, struct file* file) {
  uint64_t at = 0;
  for (uint64_t number = 1;; ++number) {
    const uint8_t* const header = archive + at;
    const char* const name = (const char*)header + 110;
    const uint64_t data = (at + 110 + number_at(header + 94) + 3) & ~UINT64_C(3);
    const uint64_t bytes = number_at(header + 54);
    if (header[0] != '0' || header[1] != '7') die("no header in the archive at", at);
    if (same(name, "TRAILER!!!")) return 0;
    if (path[0] == '/' && same(path + 1, name)) {
      file->data = archive + data;
      file->bytes = bytes;
      file->number = number;
      return 1;
    }
    at = (data + bytes + 3) & ~UINT64_C(3);
  }
}

static struct image load(const char* path) {
  struct file file;
  if (!find_file(path, &file)) die(path, 0);
  const struct elf_header* const elf = (const void*)file.data;
  const struct program_header* const headers = (const void*)(file.data + elf->program_headers);
  uint64_t end = 0;
  if (elf->type != ELF_SHARED) die("not position independent, ELF type", elf->type);
  for (int i = 0; i < elf->program_header_count; ++i) {
    const uint64_t end_of_part = headers[i].address + headers[i].memory_bytes;
    if (headers[i].type == PROGRAM_LOAD && end_of_part > end) end = end_of_part;
  }
  struct image image = {allocate(end), 0, 0, elf->program_header_count, NULL};
  image.entry = image.base + elf->entry;
  image.headers = image.base + elf->program_headers;
  for (int i = 0; i < elf->program_header_count; ++i) {
    const uint8_t* const from = file.data + headers[i].offset;
    if (headers[i].type == PROGRAM_INTERPRETER) image.interpreter = (const char*)from;
    if (headers[i].type == PROGRAM_LOAD) {
      memcpy((uint8_t*)(image.base + headers[i].address), from, headers[i].bytes);
    }
  }
  return image;
}

/* As Linux does: the program and its interpreter, ld.so, which loads the libraries. */
static void start_program(void) {
  static const char path[] = "/program";
  static const uint8_t random[16] = "of the canaries";
  const struct image program = load(path);
  if (program.interpreter == NULL) die("the program is static", 0);
  const struct image interpreter = load(program.interpreter);
  /* One argument, no environment, then pairs of which the first says what the second is. */
  const uint64_t stack[] = {
      1,         (uint64_t)path,
      0,         0,
      AT_PHDR,   program.headers,
      AT_PHENT,  sizeof(struct program_header),
      AT_PHNUM,  program.header_count,
      AT_PAGESZ, PAGE,
      AT_BASE,   interpreter.base,
      AT_ENTRY,  program.entry,
      AT_SECURE, 0,
      AT_RANDOM, (uint64_t)random,
      AT_EXECFN, (uint64_t)path,
      AT_NULL,   0,
  };
  _Static_assert(sizeof(stack) % 16 == 0, "the stack begins at a multiple of 16");
  uint64_t* const begin = (uint64_t*)(HEAP_BEGIN - sizeof(stack));
  memcpy(begin, stack, sizeof(stack));
  print("system: starts the program\n");
  /* rdx is a function to call at the end: none. */
  __asm__ volatile("mov %0, %%rsp\n xor %%edx, %%edx\n xor %%ebp, %%ebp\n jmp *%1"
                   :
                   : "r"(begin), "r"(interpreter.entry)
                   : "rdx", "memory");
}

/* Called by start.S with what a multiboot loader hands over. */
void start_system(uint32_t magic, const uint32_t* information) {
  if (magic != MULTIBOOT) die("not from a multiboot loader", magic);
  const uint32_t* const module = (const uint32_t*)(uint64_t)information[6];
  archive = (const uint8_t*)(uint64_t)module[0];
  if (module[1] > STACK_BEGIN) die("the archive is too large, it ends at", module[1]);
  set_up_processor();
  start_program();
}
