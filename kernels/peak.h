// What a core can do at most: loops that do nothing else, for rooflines (Williams et al. 2009,
// Roofline). Not operations of a model.
#ifndef OCTET_KERNELS_PEAK_H_
#define OCTET_KERNELS_PEAK_H_

#include <cstddef>
#include <cstdint>

namespace octet {

enum class PeakUnit : uint8_t {
  kF32,  // fp32 multiply-adds in registers
  // Exact int32 sums of products of int8 codes by the instruction that the kernels of products have
  // for it: dot products of 8-bit numbers, or of int16 pairs where the instruction set lacks them.
  kI8,
  kRead,  // reading memory
};

// One call does `rounds` rounds of the loop of `unit`. A kernel that does a round of kF32 or kI8
// chooses how many operations that is; of kRead a round reads all of `data`.
struct PeakArgs {
  PeakUnit unit;
  int64_t rounds;
  const std::byte* data;  // kRead: [bytes] on a 64-byte boundary
  int64_t bytes;          // kRead: a multiple of 64 * streams
  int64_t streams;        // kRead: parts of `data` that are read side by side; 1 to 16
  // Out: operations done, a multiply-add being two, or bytes read.
  double* done;
  // Out: kRead: the sum, modulo 2^32, of the 32-bit words read (little-endian) in all rounds. Else
  // it depends on all results, so that none can be left out.
  uint32_t* sum;
};

}  // namespace octet
#endif  // OCTET_KERNELS_PEAK_H_
