#include "kernels/s4dcodegrad.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const S4dcodegradArgs& a, const Workspace& w) {
  S4dcodegradReference(a, static_cast<float*>(w.scratch));
}

const char* WhyNot(const S4dcodegradArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const S4dcodegradArgs& a) {
  return S4dcodegradScratchValues(a) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<S4dcodegradArgs> kS4dcodegradRef = {
    "s4dcodegrad/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
