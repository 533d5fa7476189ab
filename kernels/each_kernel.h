// For tests: runs a problem through every kernel of the table on every instruction set available,
// so that a new kernel is tested without a new test.
#ifndef OCTET_KERNELS_EACH_KERNEL_H_
#define OCTET_KERNELS_EACH_KERNEL_H_

#include <cstring>
#include <functional>
#include <string>

#include "base/buffer.h"
#include "kernels/isa.h"
#include "kernels/kernel.h"
#include "kernels/table.h"

namespace octet {

// Calls run(name, kernel_call) for each (ISA, kernel) pair that accepts `args`; `name` is for
// messages ("linear/hwy on avx2"), and `kernel_call()` runs the kernel once with scratch that
// starts as NaNs. Returns how many pairs there were. The restriction is lifted again at the end.
template <class Args>
int ForEachKernel(const Args& args,
                  const std::function<void(const std::string& name,
                                           const std::function<void()>& kernel_call)>& run) {
  int count = 0;
  for (const std::string& isa : AvailableIsas()) {
    if (!ForceIsa(isa).ok()) return -1;
    for (const Kernel<Args>* k : Kernels<Args>().all()) {
      if ((AllowedIsas() & MaskOf(k->isa)) == 0 || k->why_not(args) != nullptr) continue;
      ++count;
      Buffer scratch(k->scratch_bytes(args));
      if (scratch.bytes() > 0) {
        std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch.bytes()));
      }
      run(std::string(k->name) + " on " + isa, [&] { k->run(args, {scratch.data()}); });
    }
  }
  return ForceIsa("").ok() ? count : -1;
}

}  // namespace octet
#endif  // OCTET_KERNELS_EACH_KERNEL_H_
