#include "kernels/gate.h"

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"

namespace octet {
namespace {

void Run(const GateArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; ++c) {
      a.out[t * a.C + c] = a.y[t * a.y_stride + c] * SiluF(a.z[t * a.z_stride + c]);
    }
  }
}

const char* WhyNot(const GateArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const GateArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<GateArgs> kGateRef = {"gate/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
