// What a machine can do at most, measured: the roofs of a roofline (Williams et al. 2009).
#ifndef OCTET_EVAL_ROOF_H_
#define OCTET_EVAL_ROOF_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "eval/spread.h"
#include "kernels/peak.h"

namespace octet {

// Of one instruction set and number of threads; all threads together.
struct Roof {
  std::string isa;
  int threads = 1;
  Spread read_bytes_per_s;  // memory beyond the caches
  int64_t streams = 0;      // parts that each thread reads side by side for that
  Spread f32_ops_per_s;     // fp32 multiply-adds, two operations each
  Spread i8_ops_per_s;      // dot products of int8 codes (kernels/peak.h), likewise
};

// Memory to read in turn, several times what the last-level cache holds: 64 MiB to 512 MiB.
int64_t RoofBufferBytes();

// Takes samples of one instruction set and number of threads; some 0.1 s each.
class RoofMeter {
 public:
  // `memory`, on a 64-byte boundary, is what is read; it outlives the meter.
  RoofMeter(std::span<const std::byte> memory, std::shared_ptr<ThreadPool> pool);
  // On the instruction set in force (kernels/isa.h), which must be the same in all calls.
  void Sample();
  // Medians of the samples; at least one.
  Roof Get() const;

 private:
  double Rate(PeakUnit unit, int64_t streams);

  std::span<const std::byte> memory_;
  std::shared_ptr<ThreadPool> pool_;
  std::string isa_;
  std::map<PeakUnit, int64_t> rounds_;  // of a task, found by the first sample
  std::vector<double> f32_, i8_;
  std::map<int64_t, std::vector<double>> read_;  // by streams
};

}  // namespace octet
#endif  // OCTET_EVAL_ROOF_H_
