#include "kernels/quantize.h"

#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

float TokenScale(const float* x, int64_t n) {
  float absmax = 0.0f;
  for (int64_t c = 0; c < n; ++c) {
    const float v = std::fabs(x[c]);
    if (v > absmax) absmax = v;
  }
  return ScaleForAbsMax(absmax);
}

void Run(const QuantizeArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    int8_t* codes = a.codes + t * a.C;
    float token_scale = 1.0f;
    if (a.scales == nullptr) token_scale = a.token_scales[t] = TokenScale(x, a.C);
    for (int64_t c = 0; c < a.C; ++c) {
      const float scale = a.scales == nullptr ? token_scale : a.scales[c * a.n_scales / a.C];
      codes[c] = QuantizeI8(x[c], 1.0f / scale);
      if (a.decoded != nullptr)
        a.decoded[t * a.x_stride + c] = scale * static_cast<float>(codes[c]);
    }
  }
}

const char* WhyNot(const QuantizeArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const QuantizeArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<QuantizeArgs> kQuantizeRef = {"quantize/ref", Isa::kScalar, 0, Run,
                                                  WhyNot,         ScratchBytes};

}  // namespace octet
