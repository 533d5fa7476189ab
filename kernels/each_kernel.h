// For tests: runs a problem through every kernel of the table on every instruction set available,
// so that a new kernel is tested without a new test.
#ifndef OCTET_KERNELS_EACH_KERNEL_H_
#define OCTET_KERNELS_EACH_KERNEL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
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

// The kernel of that name, which must be in the table.
template <class Args>
const Kernel<Args>& KernelNamed(const std::string& name) {
  for (const Kernel<Args>* kernel : Kernels<Args>().all()) {
    if (name == kernel->name) return *kernel;
  }
  ADD_FAILURE() << "no kernel " << name;
  return *Kernels<Args>().all()[0];
}

// Runs it once, with scratch that starts as NaNs.
template <class Args>
void RunOnce(const Kernel<Args>& kernel, const Args& args) {
  Buffer scratch(kernel.scratch_bytes(args));
  std::fill(scratch.data(), scratch.data() + scratch.bytes(), std::byte{0xff});
  kernel.run(args, {scratch.data()});
}

}  // namespace octet
#endif  // OCTET_KERNELS_EACH_KERNEL_H_
