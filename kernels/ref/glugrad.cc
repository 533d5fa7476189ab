#include "kernels/glugrad.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const GlugradArgs& a, const Workspace&) {
  GlugradReference(a);
}

const char* WhyNot(const GlugradArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const GlugradArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<GlugradArgs> kGlugradRef = {"glugrad/ref", Isa::kScalar, 0,
                                                Run,           WhyNot,       ScratchBytes};

}  // namespace octet
