#include "quant/product.h"

#include <algorithm>

#include "base/buffer.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/table.h"

namespace octet {

void MultiplyTransposed(const float* a, int64_t m, const float* b, int64_t n, int64_t k,
                        float* out) {
  LinearArgs args = {};
  args.M = m;
  args.N = n;
  args.K = k;
  args.n_end = n;
  args.x_dtype = DType::kF32;
  args.x = a;
  args.w.data = b;
  args.y = out;
  args.y_stride = n;
  const Kernel<LinearArgs>& kernel = Kernels<LinearArgs>().Pick(args, AllowedIsas());
  Buffer scratch(kernel.scratch_bytes(args));
  kernel.run(args, {scratch.data()});
}

void Transpose(const float* from, int64_t rows, int64_t cols, int64_t stride, float* to) {
  constexpr int64_t kTile = 16;  // one cache line of either matrix
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    for (int64_t c0 = 0; c0 < cols; c0 += kTile) {
      for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
        for (int64_t c = c0; c < std::min(cols, c0 + kTile); ++c) {
          to[c * rows + r] = from[r * stride + c];
        }
      }
    }
  }
}

}  // namespace octet
