#include "eval/machine_load.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdlib>

namespace octet {
namespace {

rusage Usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double CpuSeconds() {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  const rusage usage = Usage();
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CpuMeter::CpuMeter() : start_(CpuSeconds()) {}

double CpuMeter::Share() const {
  return available_ > 0 ? (CpuSeconds() - start_) / available_ : 0;
}

double LoadAverage() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

int64_t PeakRssBytes() {
  return static_cast<int64_t>(Usage().ru_maxrss) * 1024;
}

}  // namespace octet
