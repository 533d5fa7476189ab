// A recurrent state that owns its memory, for the tests of kernels.
#ifndef OCTET_KERNELS_STATE_TESTING_H_
#define OCTET_KERNELS_STATE_TESTING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/floats_testing.h"
#include "kernels/ssd_state.h"

namespace octet::testing {

// [rows, N] in any format, zeros at first. Static scales cover `absmax`; with `columns` N there are
// two entries of slightly different scales, which rows use in turn.
class StateMemory {
 public:
  StateMemory(const StateFormat& format, int64_t rows, int64_t N, float absmax, int64_t columns = 1)
      : format_(format), rows_(rows), N_(N) {
    codes_.resize(static_cast<size_t>(format.CodeBytes(rows * N)));
    if (format.dynamic_scales()) scales_.assign(static_cast<size_t>(rows), 1.0f);
    if (format.rounding == StateRounding::kFeedback) {
      residuals_.assign(static_cast<size_t>(rows * ResidualBytes(N)), 0x88);
    }
    if (!format.static_scales()) return;
    fixed_.columns = columns;
    fixed_.values = {ScaleForAbsMax(absmax)};
    if (columns == 1) return;
    for (int64_t i = 1; i < 2 * columns; ++i) {
      fixed_.values.push_back(RoundScale(ScaleForAbsMax(absmax) * (1 + 0.01f * (i % 7))));
    }
    for (int64_t row = 0; row < rows; ++row) {
      fixed_.row_map.push_back(static_cast<uint16_t>(row % 2));
    }
  }

  StateView View() {
    StateView h;
    h.format = format_;
    h.data = codes_.data();
    h.scales = scales_.data();
    if (!residuals_.empty()) h.residuals = residuals_.data();
    if (format_.static_scales()) h.fixed = &fixed_;
    h.noise_key = NoiseKey(format_.seed, 0);
    return h;
  }
  std::vector<float> Values() const {
    StateMemory copy = *this;
    std::vector<float> values(static_cast<size_t>(rows_ * N_));
    for (int64_t row = 0; row < rows_; ++row) {
      LoadStateRow(copy.View(), row, N_, values.data() + row * N_);
    }
    return values;
  }
  // Takes over the contents; views of this object stay valid.
  void CopyFrom(const StateMemory& other) {
    std::copy(other.codes_.begin(), other.codes_.end(), codes_.begin());
    std::copy(other.scales_.begin(), other.scales_.end(), scales_.begin());
    std::copy(other.residuals_.begin(), other.residuals_.end(), residuals_.begin());
  }
  const std::vector<std::byte>& codes() const { return codes_; }
  const std::vector<float>& scales() const { return scales_; }
  const std::vector<uint8_t>& residuals() const { return residuals_; }
  friend bool operator==(const StateMemory& a, const StateMemory& b) {
    return a.codes_ == b.codes_ && a.scales_ == b.scales_ && a.residuals_ == b.residuals_;
  }

 private:
  StateFormat format_;
  int64_t rows_, N_;
  std::vector<std::byte> codes_;
  std::vector<float> scales_;
  std::vector<uint8_t> residuals_;
  StateScales fixed_;
};

// What a kernel with a recurrent state leaves, bit for bit.
struct Output {
  Output(const std::vector<float>& values, const StateMemory& state)
      : y(Bits(values)),
        codes(state.codes()),
        scales(Bits(state.scales())),
        residuals(state.residuals()) {}
  std::vector<uint32_t> y;
  std::vector<std::byte> codes;
  std::vector<uint32_t> scales;
  std::vector<uint8_t> residuals;
  friend bool operator==(const Output&, const Output&) = default;
};

}  // namespace octet::testing
#endif  // OCTET_KERNELS_STATE_TESTING_H_
