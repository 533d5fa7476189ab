// A kernel as plain data: the only header, with its args, that an ISA file may include.
#ifndef OCTET_KERNELS_KERNEL_H_
#define OCTET_KERNELS_KERNEL_H_

#include <cstdint>

namespace octet {

struct Workspace {
  void* scratch;  // scratch_bytes() bytes, 64-byte aligned, contents undefined
};

// kHwy kernels are compiled for several ISAs and choose at run time (kernels/isa.h).
enum class Isa : uint8_t {
  kScalar,
  kHwy,
  kOneDnn,
  kAvx2,
  kAvxVnni,
  kAvx512Vnni,
  kAmx,
  kDotprod,
  kI8mm
};

// Kernels are single-threaded; the executor splits work along the begin/end fields of the args.
template <class Args>
struct Kernel {
  const char* name;  // "ssd/hwy", stable: used by --explain, logs and benchmark history
  Isa isa;
  int rank;  // among kernels that accept the problem, the highest wins
  void (*run)(const Args&, const Workspace&);
  const char* (*why_not)(const Args&);    // nullptr: accepted; else the reason, for the log
  int64_t (*scratch_bytes)(const Args&);  // caller allocates; depends on sizes and dtypes only
};

}  // namespace octet
#endif  // OCTET_KERNELS_KERNEL_H_
