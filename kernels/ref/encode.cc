#include "kernels/encode.h"

#include "kernels/kernel.h"

namespace octet {
namespace {

void Run(const EncodeArgs& a, const Workspace&) {
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; ++c) {
      const int64_t s = c * a.n_scales / a.C;
      const int zero = a.zeros == nullptr ? 0 : a.zeros[s];
      const int code = EncodeValue(a.codec, a.x[t * a.x_stride + c], a.scales[s], zero);
      if (a.codes != nullptr) StoreCode(a.codec, code, a.codes, t * a.C + c);
      if (a.y != nullptr) {
        a.y[t * a.y_stride + c] = DecodeValue(a.codec, code, a.scales[s], zero);
      }
    }
  }
}

const char* WhyNot(const EncodeArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const EncodeArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<EncodeArgs> kEncodeRef = {"encode/ref", Isa::kScalar, 0,
                                              Run,          WhyNot,       ScratchBytes};

}  // namespace octet
