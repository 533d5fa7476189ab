// Typed kernel lists; which kernels a step may run is decided once, when a program is lowered.
#ifndef OCTET_KERNELS_TABLE_H_
#define OCTET_KERNELS_TABLE_H_

#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernel.h"

namespace octet {

// A set of Isa values.
using IsaMask = uint32_t;
constexpr IsaMask MaskOf(Isa isa) {
  return IsaMask{1} << static_cast<int>(isa);
}
inline constexpr IsaMask kAllIsas = ~IsaMask{0};
inline constexpr IsaMask kReferenceOnly = MaskOf(Isa::kScalar);

template <class Args>
class KernelList {
 public:
  void Add(const Kernel<Args>* k) { kernels_.push_back(k); }
  std::span<const Kernel<Args>* const> all() const { return kernels_; }

  // The best kernel of `mask` that accepts `args`. Every op has a reference kernel that accepts
  // every valid problem, so with kScalar in the mask the result always exists.
  const Kernel<Args>& Pick(const Args& args, IsaMask mask) const {
    const Kernel<Args>* best = nullptr;
    for (const Kernel<Args>* k : kernels_) {
      if ((mask & MaskOf(k->isa)) == 0 || k->why_not(args) != nullptr) continue;
      if (best == nullptr || k->rank > best->rank) best = k;
    }
    assert(best != nullptr);
    return *best;  // NOLINT(clang-analyzer-core.uninitialized.UndefReturn): see above
  }

 private:
  std::vector<const Kernel<Args>*> kernels_;
};

// All kernels of one op, from the files in kernels/<isa>/ (kernel_list.inc, written by CMake).
template <class Args>
const KernelList<Args>& Kernels();

}  // namespace octet
#endif  // OCTET_KERNELS_TABLE_H_
