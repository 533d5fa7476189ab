#include "kernels/s4dgrad.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const S4dgradArgs& a, const Workspace& w) {
  S4dgradReference(a, static_cast<float*>(w.scratch));
}

const char* WhyNot(const S4dgradArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const S4dgradArgs& a) {
  return S4dgradScratchValues(a) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<S4dgradArgs> kS4dgradRef = {"s4dgrad/ref", Isa::kScalar, 0,
                                                Run,           WhyNot,       ScratchBytes};

}  // namespace octet
