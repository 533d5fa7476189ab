#include "kernels/table.h"

#include "kernels/conv1d.h"
#include "kernels/encode.h"
#include "kernels/gate.h"
#include "kernels/gelu.h"
#include "kernels/gelugrad.h"
#include "kernels/glu.h"
#include "kernels/glugrad.h"
#include "kernels/hadamard.h"
#include "kernels/layernorm.h"
#include "kernels/linear.h"
#include "kernels/lineargrad.h"
#include "kernels/peak.h"
#include "kernels/quantize.h"
#include "kernels/rmsnorm.h"
#include "kernels/s4d.h"
#include "kernels/s4dcode.h"
#include "kernels/s4dcodegrad.h"
#include "kernels/s4dgrad.h"
#include "kernels/scan.h"
#include "kernels/softplus.h"
#include "kernels/ssd.h"

namespace octet {

// A declared name cannot be put in parentheses.
// NOLINTNEXTLINE(bugprone-macro-parentheses)
#define OCTET_KERNEL(Args, name) extern const Kernel<Args> name;
#include "kernel_list.inc"
#undef OCTET_KERNEL

namespace {

template <class Args>
void AddIf(KernelList<Args>* list, const Kernel<Args>* kernel) {
  list->Add(kernel);
}
template <class Args, class Other>
void AddIf(KernelList<Args>*, const Kernel<Other>*) {}

template <class Args>
KernelList<Args> Build() {
  KernelList<Args> list;
#define OCTET_KERNEL(Other, name) AddIf(&list, &(name));
#include "kernel_list.inc"
#undef OCTET_KERNEL
  return list;
}

}  // namespace

#define OCTET_OP(Args)                                  \
  template <>                                           \
  const KernelList<Args>& Kernels<Args>() {             \
    static const KernelList<Args> list = Build<Args>(); \
    return list;                                        \
  }
OCTET_OP(Conv1dArgs)
OCTET_OP(EncodeArgs)
OCTET_OP(GateArgs)
OCTET_OP(GeluArgs)
OCTET_OP(GelugradArgs)
OCTET_OP(GluArgs)
OCTET_OP(GlugradArgs)
OCTET_OP(HadamardArgs)
OCTET_OP(LayernormArgs)
OCTET_OP(LinearArgs)
OCTET_OP(LineargradArgs)
OCTET_OP(PeakArgs)
OCTET_OP(QuantizeArgs)
OCTET_OP(RmsnormArgs)
OCTET_OP(S4dArgs)
OCTET_OP(S4dcodeArgs)
OCTET_OP(S4dcodegradArgs)
OCTET_OP(S4dgradArgs)
OCTET_OP(ScanArgs)
OCTET_OP(SoftplusArgs)
OCTET_OP(SsdArgs)
#undef OCTET_OP

}  // namespace octet
