#include "kernels/conv1d.h"

#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void Run(const Conv1dArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; ++c) {
      float sum = a.bias == nullptr ? 0.0f : a.bias[c];
      for (int64_t j = 0; j < a.K; ++j) {
        const int64_t s = t - a.K + 1 + j;
        const float x = s < 0 ? a.history[a.K - 1 + s][c] : a.x[s * a.x_stride + c];
        sum = std::fma(a.taps[j * a.C + c], x, sum);
      }
      a.y[t * a.C + c] = SiluF(sum);
    }
  }
}

const char* WhyNot(const Conv1dArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const Conv1dArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<Conv1dArgs> kConv1dRef = {"conv1d/ref", Isa::kScalar, 0,
                                              Run,          WhyNot,       ScratchBytes};

}  // namespace octet
