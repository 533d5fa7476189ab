#include "kernels/gelu.h"

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void Run(const GeluArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; ++c) {
      const float x = a.x[t * a.x_stride + c];
      a.y[t * a.C + c] = a.form == GeluForm::kExact ? GeluF(x) : PiecewiseGeluF(x);
    }
  }
}

const char* WhyNot(const GeluArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const GeluArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<GeluArgs> kGeluRef = {"gelu/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
