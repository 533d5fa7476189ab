// How a stream's recurrent state is stored between chunks and tokens.
#ifndef OCTET_TENSOR_STATE_FORMAT_H_
#define OCTET_TENSOR_STATE_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace octet {

// A state is a matrix [rows, N], a row for each (head, head_dim) of an Ssd or each channel of a
// SelectiveScan. The integer codes are symmetric, value = scale * code.
enum class StateCodec : uint8_t {
  kF32,
  kF16,
  kI16,       // codes to +-32767, a scale per row made anew at every store
  kI8,        // codes to +-127, the same
  kI8Static,  // codes to +-127, calibrated scales (StateScales)
};

// What a store does with the part of a value that its code cannot hold.
enum class StateRounding : uint8_t {
  kNearest,  // half to even
  // Up with the probability of the remainder, so that the mean is right. The random number depends
  // on the seed, the layer, the token's position in the stream and the element alone.
  kStochastic,
  // Keeps four bits of it beside an 8-bit code: value = scale * (code + residual / 16), residual
  // in -8..7. The next step adds to the value, so the error is fed back (methods_mamba 2.8.5).
  kFeedback,
};

struct StateFormat {
  StateCodec codec = StateCodec::kF32;
  StateRounding rounding = StateRounding::kNearest;
  uint64_t seed = 0;  // kStochastic

  bool dynamic_scales() const { return codec == StateCodec::kI16 || codec == StateCodec::kI8; }
  bool static_scales() const { return codec == StateCodec::kI8Static; }
  // Bytes of `count` codes, without scales and residuals.
  int64_t CodeBytes(int64_t count) const;
  // The largest code of an integer codec.
  float max_code() const { return codec == StateCodec::kI16 ? 32767.0f : 127.0f; }
  friend bool operator==(const StateFormat&, const StateFormat&) = default;
};

// The text form used in options, files and reports: "f32", "f16", "i16", "i8" or "i8s", then
// nothing, "+sr" (stochastic; not for f32) or "+ef" (feedback; 8 bits only). A seed other than 0
// follows as "+sr:7". Parse accepts exactly what ToText prints; kInvalidArgument otherwise, listing
// the choices.
std::string ToText(const StateFormat& format);
Result<StateFormat> ParseStateFormat(std::string_view text);
// Every text without a seed, in the order of the enums.
const std::vector<std::string>& StateFormatNames();

// Calibrated scales of a state [rows, N], 12 significant bits each (codecs/uniform.h): K entries of
// one scale, or of N. One entry is Quamba's, K = rows SSDi8's, K clusters of N scales Quamba2's
// (methods_mamba 2.4, 2.8.5, 2.5.4).
struct StateScales {
  int64_t columns = 1;            // 1 or N
  std::vector<float> values;      // [K, columns]
  std::vector<uint16_t> row_map;  // [rows] -> entry; empty: K is 1 or rows

  int64_t entries() const { return static_cast<int64_t>(values.size()) / columns; }
  // The scales of a row [columns].
  const float* Row(int64_t row) const {
    const int64_t entry = !row_map.empty() ? row_map[static_cast<size_t>(row)]
                          : entries() == 1 ? 0
                                           : row;
    return values.data() + entry * columns;
  }
  friend bool operator==(const StateScales&, const StateScales&) = default;
};

// Whether the scales fit a state [rows, N]: a legal number of them, each a legal scale, and a map
// that stays inside them. kInvalidArgument, saying what is wrong, otherwise.
Status CheckStateScales(const StateScales& scales, int64_t rows, int64_t N);

}  // namespace octet
#endif  // OCTET_TENSOR_STATE_FORMAT_H_
