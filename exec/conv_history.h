// What a causal convolution remembers between calls: its last K - 1 inputs.
#ifndef OCTET_EXEC_CONV_HISTORY_H_
#define OCTET_EXEC_CONV_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "tensor/codec.h"

namespace octet {

// How the inputs are kept.
enum class HistoryStorage : uint8_t {
  // As codes, one or two bytes each, where the values are those of a static encoding: the site of
  // the convolution's input, or else of the values that it is a window of. Nothing is lost: a
  // value of a code has that code. (Quamba keeps its int8 conv state so; methods_mamba 2.4.)
  kCodes,
  // In fp32: for runs that do not hold encoded sites to their codes, such as that of an Interpreter
  // without SimulationTap.
  kFloats,
};

// Rows [K - 1, C] of a CausalConvSilu of K taps and C channels, oldest first. A value type; copies
// share nothing but the constant scales.
class ConvHistory {
 public:
  ConvHistory() = default;  // no rows
  // The history before the first token: zeros. `conv` is a node of `graph`.
  ConvHistory(const Graph& graph, const Node& conv, HistoryStorage storage);

  int64_t rows() const { return rows_; }
  // Writes the C values of row `row`, 0 <= row < rows().
  void Load(int64_t row, float* values) const;
  // The C values of row `row`, 0 <= row < rows(), where they are kept in fp32: to be read until
  // this history changes. Else null.
  const float* Values(int64_t row) const;
  // Appends x [T, C], x_stride floats between rows, and forgets the T oldest rows. Where codes are
  // kept, a value that none stands for is rounded to one.
  void Push(const float* x, int64_t x_stride, int64_t T);
  // Memory of the rows.
  int64_t bytes() const { return static_cast<int64_t>(data_.size()); }
  // Row `row`, 0 <= row < rows(), as it is stored: `channels` codes or floats, until the next Push.
  // Whoever writes rows asks IsSound afterwards: whether every code is one of its codec, and every
  // float finite.
  std::span<std::byte> row(int64_t row) { return {At(row), static_cast<size_t>(RowBytes())}; }
  std::span<const std::byte> row(int64_t row) const {
    return {At(row), static_cast<size_t>(RowBytes())};
  }
  bool IsSound() const;

  friend bool operator==(const ConvHistory& a, const ConvHistory& b);

 private:
  struct Codes {
    Codec codec;
    std::vector<float> scales;  // by channel
    std::vector<int> zeros;     // by channel
    friend bool operator==(const Codes&, const Codes&) = default;
  };
  static std::shared_ptr<const Codes> CodesOf(const Graph& graph, const Node& conv);
  void Store(int64_t row, const float* values);
  int64_t RowBytes() const;
  int64_t Slot(int64_t row) const { return (oldest_ + row) % rows_; }
  std::byte* At(int64_t row) { return data_.data() + Slot(row) * RowBytes(); }
  const std::byte* At(int64_t row) const { return data_.data() + Slot(row) * RowBytes(); }

  int64_t rows_ = 0, channels_ = 0;
  int64_t oldest_ = 0;                  // slot of row 0; the others follow it in a ring
  std::shared_ptr<const Codes> codes_;  // null: fp32
  std::vector<std::byte> data_;         // [slots, channels]
};

}  // namespace octet
#endif  // OCTET_EXEC_CONV_HISTORY_H_
