// A clock for spans below a microsecond, which reading std::chrono::steady_clock would prolong.
#ifndef OCTET_BASE_CPU_TICKS_H_
#define OCTET_BASE_CPU_TICKS_H_

#include <chrono>
#include <cstdint>

namespace octet {

// Counts at a constant rate, which depends on the machine. What comes before in the program has
// ended when it is read.
inline uint64_t Ticks() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
  return ticks;
#else
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

}  // namespace octet
#endif  // OCTET_BASE_CPU_TICKS_H_
