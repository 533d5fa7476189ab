#include "kernels/lineargrad.h"

#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const LineargradArgs& a, const Workspace&) {
  LineargradReference(a);
}

const char* WhyNot(const LineargradArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const LineargradArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<LineargradArgs> kLineargradRef = {"lineargrad/ref", Isa::kScalar, 0, Run,
                                                      WhyNot,           ScratchBytes};

}  // namespace octet
