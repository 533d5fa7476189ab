#include "kernels/glu.h"

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void Run(const GluArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    for (int64_t c = 0; c < a.C; ++c) {
      a.y[t * a.C + c] = x[c] * SigmoidF(x[a.C + c]);
    }
  }
}

const char* WhyNot(const GluArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const GluArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<GluArgs> kGluRef = {"glu/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
