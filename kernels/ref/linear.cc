#include "kernels/linear.h"

#include <algorithm>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/panels.h"
#include "tensor/codecs/rows.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

// Row `n` of W as fp32, exactly.
void DecodeRow(const WeightView& w, int64_t n, int64_t K, float* out) {
  const float scale = w.row_scale == nullptr ? 1.0f : w.row_scale[n * w.row_scale_stride];
  switch (w.dtype) {
    case DType::kI4: {
      const auto* codes = static_cast<const uint8_t*>(w.data) + n * BytesOf(w.dtype, K);
      const int64_t groups = (K + w.group - 1) / w.group;
      return DecodeRowI4(codes, w.group_scale + n * groups, w.group, scale, K, out);
    }
    case DType::kI8:
      return DecodeRowI8(static_cast<const int8_t*>(w.data) + n * K, scale, K, out);
    case DType::kBF16:
      for (int64_t k = 0; k < K; ++k) {
        out[k] = BF16ToF32(static_cast<const uint16_t*>(w.data)[n * K + k]);
      }
      return;
    case DType::kF16:
      for (int64_t k = 0; k < K; ++k) {
        out[k] = F16ToF32(static_cast<const uint16_t*>(w.data)[n * K + k]);
      }
      return;
    default:
      std::copy_n(static_cast<const float*>(w.data) + n * K, K, out);
  }
}

void RunFloat(const LinearArgs& a, float* row) {
  const auto* x = static_cast<const float*>(a.x);
  for (int64_t n = a.n_begin; n < a.n_end; ++n) {
    DecodeRow(a.w, n, a.K, row);
    for (int64_t t = 0; t < a.M; ++t) {
      double sum = 0;
      for (int64_t k = 0; k < a.K; ++k) {
        sum += static_cast<double>(x[t * a.K + k]) * static_cast<double>(row[k]);
      }
      // The bias is added in fp32, as in the integer form, so that simulated and integer runs
      // agree.
      const auto y = static_cast<float>(sum);
      a.y[t * a.y_stride + n] = a.bias == nullptr ? y : y + a.bias[n];
    }
  }
}

int32_t DotI8(const int8_t* x, const int8_t* w, int64_t n) {
  int32_t sum = 0;
  for (int64_t k = 0; k < n; ++k) {
    sum += int32_t{x[k]} * int32_t{w[k]};
  }
  return sum;
}

int32_t DotI4(const int8_t* x, const uint8_t* row, const uint8_t* multipliers, int64_t group,
              int64_t n) {
  int32_t sum = 0;
  for (int64_t begin = 0; begin < n; begin += group) {
    const int64_t end = begin + group < n ? begin + group : n;
    int32_t part = 0;
    for (int64_t k = begin; k < end; ++k) {
      const int code = (k % 2 == 0 ? row[k / 2] & 15 : row[k / 2] >> 4) - 8;
      part += int32_t{x[k]} * code;
    }
    sum += part * int32_t{multipliers[begin / group]};
  }
  return sum;
}

// The sum of one output whose codes are in panels.
int32_t DotPanels(const LinearArgs& a, const PanelShape& shape, const int8_t* x, int64_t n) {
  const auto* panels = static_cast<const uint8_t*>(a.w.data);
  int32_t sum = 0;
  int32_t part = 0;
  for (int64_t k = 0; k < a.K; ++k) {
    part += int32_t{x[k]} * CodeInPanels(shape, panels, n, k);
    if (a.w.dtype != DType::kI4 || (k + 1 < a.K && (k + 1) % a.w.group != 0)) continue;
    const int64_t group = n / kPanelRows * shape.groups + k / a.w.group;
    sum += part * int32_t{a.w.group_scale[group * kPanelRows + n % kPanelRows]};
    part = 0;
  }
  return sum + part;
}

void RunPanels(const LinearArgs& a) {
  const PanelShape shape = PanelShape::Of(a.w.dtype, a.N, a.K, a.w.group);
  for (int64_t t = 0; t < a.M; ++t) {
    const int8_t* x = static_cast<const int8_t*>(a.x) + t * a.K;
    for (int64_t n = a.n_begin; n < a.n_end; ++n) {
      const float y = DequantizeAcc(DotPanels(a, shape, x, n), a.x_scale[t * a.x_scale_stride],
                                    a.w.row_scale[n * a.w.row_scale_stride]);
      a.y[t * a.y_stride + n] = a.bias == nullptr ? y : y + a.bias[n];
    }
  }
}

void RunInteger(const LinearArgs& a) {
  if (a.w.layout == WeightLayout::kPanels) return RunPanels(a);
  const auto* x = static_cast<const int8_t*>(a.x);
  const int64_t row_bytes = BytesOf(a.w.dtype, a.K);
  const int64_t groups = a.w.dtype == DType::kI4 ? (a.K + a.w.group - 1) / a.w.group : 0;
  for (int64_t n = a.n_begin; n < a.n_end; ++n) {
    const auto* row = static_cast<const uint8_t*>(a.w.data) + n * row_bytes;
    for (int64_t t = 0; t < a.M; ++t) {
      const int8_t* codes = x + t * a.K;
      const int32_t acc = a.w.dtype == DType::kI8
                              ? DotI8(codes, reinterpret_cast<const int8_t*>(row), a.K)
                              : DotI4(codes, row, a.w.group_scale + n * groups, a.w.group, a.K);
      const float y = DequantizeAcc(acc, a.x_scale[t * a.x_scale_stride],
                                    a.w.row_scale[n * a.w.row_scale_stride]);
      a.y[t * a.y_stride + n] = a.bias == nullptr ? y : y + a.bias[n];
    }
  }
}

void Run(const LinearArgs& a, const Workspace& w) {
  if (a.x_dtype == DType::kF32) {
    RunFloat(a, static_cast<float*>(w.scratch));
  } else {
    RunInteger(a);
  }
}

const char* WhyNot(const LinearArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const LinearArgs& a) {
  return a.x_dtype == DType::kF32 ? a.K * static_cast<int64_t>(sizeof(float)) : 0;
}

}  // namespace

extern const Kernel<LinearArgs> kLinearRef = {"linear/ref", Isa::kScalar, 0,
                                              Run,          WhyNot,       ScratchBytes};

}  // namespace octet
