#include "kernels/gelugrad.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const GelugradArgs& a, const Workspace&) {
  GelugradReference(a);
}

const char* WhyNot(const GelugradArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const GelugradArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<GelugradArgs> kGelugradRef = {"gelugrad/ref", Isa::kScalar, 0, Run,
                                                  WhyNot,         ScratchBytes};

}  // namespace octet
