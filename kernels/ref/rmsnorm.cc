#include "kernels/rmsnorm.h"

#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void NormGroup(const float* x, const float* gate, const float* weight, int64_t n, float eps,
               float* y) {
  float lanes[16] = {};
  for (int64_t c = 0; c < n; ++c) {
    const float v = gate == nullptr ? x[c] : x[c] * SiluF(gate[c]);
    y[c] = v;
    lanes[c % 16] = std::fma(v, v, lanes[c % 16]);
  }
  const float mean = FoldLanes16(lanes) / static_cast<float>(n);
  const float inverse = 1.0f / std::sqrt(mean + eps);
  for (int64_t c = 0; c < n; ++c) {
    const float normed = y[c] * inverse;
    y[c] = weight == nullptr ? normed : normed * weight[c];
  }
}

void Run(const RmsnormArgs& a, const Workspace&) {
  const int64_t n = a.C / a.groups;
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; c += n) {
      NormGroup(a.x + t * a.x_stride + c,
                a.gate == nullptr ? nullptr : a.gate + t * a.gate_stride + c,
                a.weight == nullptr ? nullptr : a.weight + c, n, a.eps, a.y + t * a.C + c);
    }
  }
}

const char* WhyNot(const RmsnormArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const RmsnormArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<RmsnormArgs> kRmsnormRef = {"rmsnorm/ref", Isa::kScalar, 0,
                                                Run,           WhyNot,       ScratchBytes};

}  // namespace octet
