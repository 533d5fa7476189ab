// The recurrent state's storage formats, in scalar form (StateView in kernels/ssd.h).
#ifndef OCTET_KERNELS_SSD_STATE_H_
#define OCTET_KERNELS_SSD_STATE_H_

#include <cmath>
#include <cstdint>

#include "kernels/ssd.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet {

// Reads row `row` = head * P + p, the N values h[head, p, :], as fp32. Exact for every format.
inline void LoadStateRow(const StateView& h, int64_t row, int64_t N, float* values) {
  if (h.dtype == DType::kF32) {
    const float* data = static_cast<const float*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      values[n] = data[n];
    }
  } else if (h.dtype == DType::kF16) {
    const uint16_t* data = static_cast<const uint16_t*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      values[n] = F16ToF32(data[n]);
    }
  } else {
    const int8_t* codes = static_cast<const int8_t*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      values[n] = static_cast<float>(codes[n]) * h.scales[row];
    }
  }
}

// Rounds `values` [N] to the format and writes them to row `row`; kI8 chooses the row's scale anew.
inline void StoreStateRow(const StateView& h, int64_t row, int64_t N, const float* values) {
  if (h.dtype == DType::kF32) {
    float* data = static_cast<float*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      data[n] = values[n];
    }
  } else if (h.dtype == DType::kF16) {
    uint16_t* data = static_cast<uint16_t*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      data[n] = F32ToF16(values[n]);
    }
  } else {
    float absmax = 0.0f;
    for (int64_t n = 0; n < N; ++n) {
      absmax = std::fmax(absmax, std::fabs(values[n]));
    }
    h.scales[row] = ScaleForAbsMax(absmax);
    const float inverse = 1.0f / h.scales[row];
    int8_t* codes = static_cast<int8_t*>(h.data) + row * N;
    for (int64_t n = 0; n < N; ++n) {
      codes[n] = QuantizeI8(values[n], inverse);
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_SSD_STATE_H_
