/* The system calls of Linux, by their numbers of x86-64, that ld.so and the tests make: no others.
 */
#include "system.h"

/* Negative results are errors of Linux. */
enum {
  NO_ENTRY = -2,
  BAD_DESCRIPTOR = -9,
  TRY_AGAIN = -11,
  INVALID = -22,
  NO_TERMINAL = -25,
  NOT_IMPLEMENTED = -38
};

enum { MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, EMPTY_PATH = 0x1000, FILES = 16 };

struct descriptor {
  int used;
  struct file file;
  uint64_t position;
};

static struct descriptor descriptors[FILES]; /* the first three stay unused: output has no file */
static uint64_t heap_end = HEAP_BEGIN;
static uint64_t maps_end = MAPS_BEGIN;

/* Memory is never given back: the tests need little. */
uint64_t allocate(uint64_t bytes) {
  const uint64_t begin = maps_end;
  maps_end += (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  if (maps_end > MAPS_END) die("no memory for bytes", bytes);
  memset((void*)begin, 0, maps_end - begin);
  return begin;
}

static int64_t set_heap_end(uint64_t end) {
  if (end >= HEAP_BEGIN && end <= MAPS_BEGIN) {
    if (end > heap_end) memset((void*)heap_end, 0, end - heap_end);
    heap_end = end;
  }
  return (int64_t)heap_end;
}

static struct descriptor* used_descriptor(uint64_t number) {
  return number < FILES && descriptors[number].used ? &descriptors[number] : NULL;
}

static uint64_t read_at(const struct file* file, void* to, uint64_t bytes, uint64_t offset) {
  const uint64_t rest = offset < file->bytes ? file->bytes - offset : 0;
  if (bytes > rest) bytes = rest;
  memcpy(to, file->data + offset, bytes);
  return bytes;
}

static int64_t open_file(const char* path) {
  struct file file;
  if (!find_file(path, &file)) return NO_ENTRY;
  for (int i = 3; i < FILES; ++i) {
    if (descriptors[i].used) continue;
    descriptors[i] = (struct descriptor){1, file, 0};
    return i;
  }
  die("too many open files", FILES);
}

static int64_t close_file(uint64_t number) {
  struct descriptor* const d = used_descriptor(number);
  if (d == NULL) return BAD_DESCRIPTOR;
  d->used = 0;
  return 0;
}

static int64_t read_file(uint64_t number, void* to, uint64_t bytes) {
  struct descriptor* const d = used_descriptor(number);
  if (d == NULL) return BAD_DESCRIPTOR;
  const uint64_t got = read_at(&d->file, to, bytes, d->position);
  d->position += got;
  return (int64_t)got;
}

static int64_t read_file_at(uint64_t number, void* to, uint64_t bytes, uint64_t offset) {
  const struct descriptor* const d = used_descriptor(number);
  return d == NULL ? BAD_DESCRIPTOR : (int64_t)read_at(&d->file, to, bytes, offset);
}

/* Changes of a mapping are not written to its file, and all memory may be written and executed. */
static int64_t map(uint64_t address, uint64_t bytes, uint64_t flags, uint64_t number,
                   uint64_t offset) {
  const struct descriptor* const d = used_descriptor(number);
  if ((flags & MAP_ANONYMOUS) == 0 && d == NULL) return BAD_DESCRIPTOR;
  if ((flags & MAP_FIXED) == 0) {
    address = allocate(bytes);
  } else if (address < MAPS_BEGIN || address + bytes > maps_end) {
    die("maps what it did not reserve, at", address);
  } else {
    memset((void*)address, 0, (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1));
  }
  if ((flags & MAP_ANONYMOUS) == 0) read_at(&d->file, (void*)address, bytes, offset);
  return (int64_t)address;
}

/* ld.so asks for device and number, to load no library twice; printf for the kind of its output. */
static int64_t file_status(uint64_t number, const char* path, uint64_t* status, uint64_t flags) {
  struct file file = {NULL, 0, 0};
  if (*path != 0 || (flags & EMPTY_PATH) == 0) {
    if (!find_file(path, &file)) return NO_ENTRY;
  } else if (number >= 3) {
    const struct descriptor* const d = used_descriptor(number);
    if (d == NULL) return BAD_DESCRIPTOR;
    file = d->file;
  }
  memset(status, 0, 144);
  status[1] = file.number;
  status[3] = file.data != NULL ? 0100755 : 0010600; /* a file, a pipe */
  status[6] = file.bytes;
  status[7] = PAGE;
  return 0;
}

static int64_t processor_state(uint64_t what, uint64_t value) {
  enum { SET_FS = 0x1002, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  if (what == SET_FS) {
    set_thread_pointer(value);
    return 0;
  }
  if (what == REQUEST_PERMISSION && value == TILE_DATA) {
    print("system: tiles are permitted\n");
    permit_tiles();
    return 0;
  }
  return INVALID;
}

/* Since the processor started: no test asks for the date. */
static int64_t read_clock(uint64_t* time) {
  const uint64_t per_second = 200000000;
  const uint64_t now = time_stamp();
  time[0] = now / per_second;
  time[1] = now % per_second * 5;
  return 0;
}

static int64_t random_bytes(uint8_t* to, uint64_t bytes) {
  static uint64_t state = 1;
  for (uint64_t i = 0; i < bytes; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    to[i] = (uint8_t)(state >> 56);
  }
  return (int64_t)bytes;
}

static int64_t stack_limit(uint64_t* limits) {
  if (limits != NULL) {
    limits[0] = HEAP_BEGIN - STACK_BEGIN;
    limits[1] = HEAP_BEGIN - STACK_BEGIN;
  }
  return 0;
}

__attribute__((noreturn)) static void leave(uint64_t status) {
  print("\nsystem: exit status ");
  print_number(status);
  print("\n");
  stop();
}

/* Called by start.S. */
int64_t system_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f) {
  switch (number) {
    case 0: /* read */
      return read_file(a, (void*)b, c);
    case 1: /* write */
      print_bytes((const char*)b, c);
      return (int64_t)c;
    case 3: /* close */
      return close_file(a);
    case 9: /* mmap */
      return map(a, b, d, e, f);
    case 10: /* mprotect */
    case 11: /* munmap */
      return 0;
    case 12: /* brk */
      return set_heap_end(a);
    case 16: /* ioctl, by which printf asks for a terminal */
      return NO_TERMINAL;
    case 17: /* pread64 */
      return read_file_at(a, (void*)b, c, d);
    case 21: /* access, of /etc/ld.so.preload */
      return NO_ENTRY;
    case 79: /* getcwd, by googletest */
      memcpy((void*)a, "/", 2);
      return 2;
    case 158: /* arch_prctl */
      return processor_state(a, b);
    case 202: /* futex: with one thread nobody waits, and nobody could wake one that did */
      return (b & 127) == 0 ? TRY_AGAIN : 0;
    case 204: /* sched_getaffinity, by which libgomp and oneDNN count processors: one */
      memset((void*)c, 0, 8);
      *(uint8_t*)c = 1;
      return 8;
    case 218: /* set_tid_address; the result is this thread */
      return 1;
    case 228: /* clock_gettime */
      return read_clock((uint64_t*)b);
    case 231: /* exit_group */
      leave(a);
    case 257: /* openat, of absolute paths */
      return open_file((const char*)b);
    case 262: /* newfstatat */
      return file_status(a, (const char*)b, (uint64_t*)c, d);
    case 273: /* set_robust_list */
      return 0;
    case 302: /* prlimit64, of the stack */
      return stack_limit((uint64_t*)d);
    case 318: /* getrandom */
      return random_bytes((uint8_t*)a, b);
    case 334: /* rseq, which the C library can do without */
      return NOT_IMPLEMENTED;
    default:
      die("unknown system call", number);
  }
}
