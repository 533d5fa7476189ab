// The residual streams of the calibration documents between two blocks.
#ifndef OCTET_QUANT_STREAMS_H_
#define OCTET_QUANT_STREAMS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "exec/interpreter.h"

namespace octet {

// Calibration text as tokens. Documents are independent streams.
struct TokenDataset {
  std::vector<std::vector<TokenId>> documents;
  int64_t tokens() const;
};

// For every document the rows [tokens, width] that enter the current block, and room for those that
// leave it. Different documents may be used from different threads.
class ResidualStreams {
 public:
  ResidualStreams(const TokenDataset& data, int64_t width);

  size_t documents() const { return begin_.size() - 1; }
  int64_t tokens(size_t document) const {
    return (begin_[document + 1] - begin_[document]) / width_;
  }
  int64_t width() const { return width_; }
  std::span<const float> entering(size_t document) const {
    return std::span(entering_).subspan(Begin(document), Count(document));
  }
  std::span<float> leaving(size_t document) {
    return std::span(leaving_).subspan(Begin(document), Count(document));
  }
  // What left the block enters the next one.
  void Advance() { entering_.swap(leaving_); }

 private:
  size_t Begin(size_t d) const { return static_cast<size_t>(begin_[d]); }
  size_t Count(size_t d) const { return static_cast<size_t>(begin_[d + 1] - begin_[d]); }
  int64_t width_;
  std::vector<int64_t> begin_;  // of each document, in floats, and the end
  std::vector<float> entering_, leaving_;
};

}  // namespace octet
#endif  // OCTET_QUANT_STREAMS_H_
