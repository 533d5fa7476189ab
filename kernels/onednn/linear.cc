#include "kernels/linear.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <dnnl.h>
#include <omp.h>

#include "kernels/kernel.h"
#include "tensor/codecs/rows.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

constexpr int64_t kTileRows = 128;  // rows of other types made fp32 at a time
constexpr int64_t kFewTokens = 4;

// oneDNN would start an OpenMP team inside each of our workers. The setting is per thread.
void UseOneThread() {
  static thread_local const bool done = (omp_set_num_threads(1), true);
  static_cast<void>(done);
}

// y[:, n .. n + rows) = x W^T for `rows` fp32 rows of W.
void Multiply(const LinearArgs& a, const float* w, int64_t n, int64_t rows) {
  const auto* x = static_cast<const float*>(a.x);
  // Fails only for invalid sizes, which lowering has ruled out.
  dnnl_sgemm('N', 'T', a.M, rows, a.K, 1.0f, x, a.K, w, a.K, 0.0f, a.y + n, a.y_stride);
}

// Row n of W as fp32.
void WidenRow(const LinearArgs& a, int64_t n, float* out) {
  const auto* row = static_cast<const std::byte*>(a.w.data) + n * BytesOf(a.w.dtype, a.K);
  const auto* halves = reinterpret_cast<const uint16_t*>(row);
  switch (a.w.dtype) {
    case DType::kI8:
      return DecodeRowI8(reinterpret_cast<const int8_t*>(row),
                         a.w.row_scale[n * a.w.row_scale_stride], a.K, out);
    case DType::kI4:
      return DecodeRowI4(reinterpret_cast<const uint8_t*>(row),
                         a.w.group_scale + n * ((a.K + a.w.group - 1) / a.w.group), a.w.group,
                         a.w.row_scale[n * a.w.row_scale_stride], a.K, out);
    case DType::kBF16:
      for (int64_t i = 0; i < a.K; ++i) {
        out[i] = BF16ToF32(halves[i]);
      }
      return;
    default:
      for (int64_t i = 0; i < a.K; ++i) {
        out[i] = F16ToF32(halves[i]);
      }
  }
}

void AddBias(const LinearArgs& a) {
  for (int64_t t = 0; t < a.M; ++t) {
    float* y = a.y + t * a.y_stride;
    for (int64_t n = a.n_begin; n < a.n_end; ++n) {
      y[n] += a.bias[n];
    }
  }
}

void Run(const LinearArgs& a, const Workspace& w) {
  UseOneThread();
  if (a.w.dtype == DType::kF32) {
    const auto* rows = static_cast<const float*>(a.w.data) + a.n_begin * a.K;
    Multiply(a, rows, a.n_begin, a.n_end - a.n_begin);
  } else {
    auto* tile = static_cast<float*>(w.scratch);
    for (int64_t n = a.n_begin; n < a.n_end; n += kTileRows) {
      const int64_t rows = std::min(kTileRows, a.n_end - n);
      for (int64_t r = 0; r < rows; ++r) {
        WidenRow(a, n + r, tile + r * a.K);
      }
      Multiply(a, tile, n, rows);
    }
  }
  if (a.bias != nullptr) AddBias(a);
}

const char* WhyNot(const LinearArgs& a) {
  if (a.x_dtype != DType::kF32) return "integer inputs";
  if (a.M <= kFewTokens) return "at most 4 tokens: reading the weights once is the limit";
  return nullptr;
}

int64_t ScratchBytes(const LinearArgs& a) {
  return a.w.dtype == DType::kF32 ? 0 : kTileRows * a.K * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<LinearArgs> kLinearOnednn = {"linear/onednn", Isa::kOneDnn, 20, Run,
                                                 WhyNot,          ScratchBytes};

}  // namespace octet
