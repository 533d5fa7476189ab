#include "kernels/peak.h"

#include <cstdint>
#include <cstring>

#include "kernels/kernel.h"

namespace octet {
namespace {

constexpr int kLanes = 64;

// Hides from the compiler that the loop does the same again.
template <class T>
void Touch(T* values) {
  asm volatile("" : : "r"(values) : "memory");
}

void MultiplyAdds(const PeakArgs& a) {
  float sums[kLanes] = {}, x[kLanes], y[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    x[i] = 0.25f;
    y[i] = static_cast<float>(i);
  }
  for (int64_t r = 0; r < a.rounds; ++r) {
    for (int i = 0; i < kLanes; ++i) {
      sums[i] = sums[i] * x[i] + y[i];
    }
  }
  float total = 0;
  for (const float s : sums) {
    total += s;
  }
  std::memcpy(a.sum, &total, sizeof(total));
  *a.done = 2.0 * kLanes * static_cast<double>(a.rounds);
}

void Dots(const PeakArgs& a) {
  int8_t x[kLanes], y[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    x[i] = static_cast<int8_t>(i);
    y[i] = static_cast<int8_t>(64 - i);
  }
  uint32_t total = 0;
  for (int64_t r = 0; r < a.rounds; ++r) {
    Touch(x);
    int32_t sum = 0;
    for (int i = 0; i < kLanes; ++i) {
      sum += x[i] * y[i];
    }
    total += static_cast<uint32_t>(sum);
  }
  *a.sum = total;
  *a.done = 2.0 * kLanes * static_cast<double>(a.rounds);
}

void Read(const PeakArgs& a) {
  const int64_t part = a.bytes / a.streams;
  uint32_t total = 0;
  for (int64_t r = 0; r < a.rounds; ++r) {
    for (int64_t i = 0; i < part; i += 64) {
      for (int64_t s = 0; s < a.streams; ++s) {
        uint32_t words[16];
        std::memcpy(words, a.data + s * part + i, sizeof(words));
        for (const uint32_t w : words) {
          total += w;
        }
      }
    }
  }
  *a.sum = total;
  *a.done = static_cast<double>(part * a.streams) * static_cast<double>(a.rounds);
}

void Run(const PeakArgs& a, const Workspace&) {
  switch (a.unit) {
    case PeakUnit::kF32:
      MultiplyAdds(a);
      break;
    case PeakUnit::kI8:
      Dots(a);
      break;
    case PeakUnit::kRead:
      Read(a);
      break;
  }
}

const char* WhyNot(const PeakArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const PeakArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<PeakArgs> kPeakRef = {"peak/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
