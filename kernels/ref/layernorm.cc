#include "kernels/layernorm.h"

#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void NormRow(const LayernormArgs& a, const float* x, float* y) {
  const auto count = static_cast<float>(a.C);
  float sum[16] = {};
  for (int64_t c = 0; c < a.C; ++c) {
    sum[c % 16] += x[c];
  }
  const float mean = FoldLanes16(sum) / count;
  float squares[16] = {};
  for (int64_t c = 0; c < a.C; ++c) {
    const float v = x[c] - mean;
    squares[c % 16] = std::fma(v, v, squares[c % 16]);
  }
  const float variance = FoldLanes16(squares) / count;
  const float inverse = 1.0f / std::sqrt(variance + a.eps);
  for (int64_t c = 0; c < a.C; ++c) {
    y[c] = std::fma((x[c] - mean) * inverse, a.weight[c], a.bias[c]);
  }
}

void Run(const LayernormArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    NormRow(a, a.x + t * a.x_stride, a.y + t * a.C);
  }
}

const char* WhyNot(const LayernormArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const LayernormArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<LayernormArgs> kLayernormRef = {"layernorm/ref", Isa::kScalar, 0, Run,
                                                    WhyNot,          ScratchBytes};

}  // namespace octet
