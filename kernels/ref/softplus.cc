#include "kernels/softplus.h"

#include <algorithm>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void Run(const SoftplusArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; ++c) {
      a.y[t * a.C + c] = std::clamp(SoftplusF(a.x[t * a.x_stride + c] + a.bias[c]), a.lo, a.hi);
    }
  }
}

const char* WhyNot(const SoftplusArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const SoftplusArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<SoftplusArgs> kSoftplusRef = {"softplus/ref", Isa::kScalar, 0, Run,
                                                  WhyNot,         ScratchBytes};

}  // namespace octet
