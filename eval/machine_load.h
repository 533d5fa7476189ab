// How much of the machine a measurement had.
#ifndef OCTET_EVAL_MACHINE_LOAD_H_
#define OCTET_EVAL_MACHINE_LOAD_H_

#include <cstdint>

namespace octet {

double WallSeconds();  // of a clock that only goes forward

// CPU time of this process beside what it might have had, from construction on.
class CpuMeter {
 public:
  CpuMeter();
  // Wall time in which `threads` were to run.
  void Had(double seconds, int threads) { available_ += seconds * threads; }
  // CPU time over what was Had; well below 1: others took the CPU, or the threads waited.
  double Share() const;

 private:
  double start_;
  double available_ = 0;
};

double LoadAverage();    // of the machine over the last minute; 0 where it is not known
int64_t PeakRssBytes();  // the largest memory that the process ever had

}  // namespace octet
#endif  // OCTET_EVAL_MACHINE_LOAD_H_
