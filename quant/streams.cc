#include "quant/streams.h"

namespace octet {

int64_t TokenDataset::tokens() const {
  int64_t total = 0;
  for (const auto& d : documents) {
    total += static_cast<int64_t>(d.size());
  }
  return total;
}

ResidualStreams::ResidualStreams(const TokenDataset& data, int64_t width)
    : width_(width), begin_{0} {
  for (const auto& d : data.documents) {
    begin_.push_back(begin_.back() + static_cast<int64_t>(d.size()) * width);
  }
  entering_.resize(static_cast<size_t>(begin_.back()));
  leaving_.resize(entering_.size());
}

}  // namespace octet
