#include "kernels/s4dcode.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const S4dcodeArgs& a, const Workspace& w) {
  S4dcodeReference(a, static_cast<float*>(w.scratch));
}

const char* WhyNot(const S4dcodeArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const S4dcodeArgs& a) {
  return S4dcodeScratchValues(a) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<S4dcodeArgs> kS4dcodeRef = {"s4dcode/ref", Isa::kScalar, 0,
                                                Run,           WhyNot,       ScratchBytes};

}  // namespace octet
