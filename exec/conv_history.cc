#include "exec/conv_history.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/codecs/uniform.h"

namespace octet {

std::shared_ptr<const ConvHistory::Codes> ConvHistory::CodesOf(const Graph& graph,
                                                               const Node& conv) {
  const Node* n = &graph.nodes[static_cast<size_t>(conv.in[0])];
  const Encoding* e = graph.FindEncoding(n->site);
  int64_t first = 0;  // channel of `n` that is channel 0 of the input
  while (n->op == Op::kSplit && (e == nullptr || !e->quantized())) {
    first += n->offset;
    n = &graph.nodes[static_cast<size_t>(n->in[0])];
    e = graph.FindEncoding(n->site);
  }
  if (e == nullptr || !e->quantized() || e->source != ScaleSource::kStatic) return nullptr;
  auto codes = std::make_shared<Codes>();
  codes->codec = e->codec;
  for (int64_t c = first; c < first + conv.width; ++c) {
    const auto at = static_cast<size_t>(c * std::ssize(e->scales) / n->width);
    codes->scales.push_back(e->scales[at]);
    codes->zeros.push_back(e->zeros.empty() ? 0 : e->zeros[at]);
  }
  return codes;
}

ConvHistory::ConvHistory(const Graph& graph, const Node& conv, HistoryStorage storage)
    : rows_(conv.taps - 1), channels_(conv.width) {
  if (storage == HistoryStorage::kCodes) codes_ = CodesOf(graph, conv);
  data_.resize(static_cast<size_t>(rows_ * RowBytes()));
  const std::vector<float> zeros(static_cast<size_t>(channels_));
  for (int64_t row = 0; row < rows_; ++row) {
    Store(row, zeros.data());
  }
}

int64_t ConvHistory::RowBytes() const {
  const int64_t bytes = codes_ == nullptr ? int64_t{sizeof(float)} : CodeBytes(codes_->codec);
  return channels_ * bytes;
}

void ConvHistory::Load(int64_t row, float* values) const {
  const std::byte* from = At(row);
  if (codes_ == nullptr) {
    std::memcpy(values, from, static_cast<size_t>(RowBytes()));
    return;
  }
  const float* scales = codes_->scales.data();
  if (codes_->codec == Codec::kUniform) {
    const auto* codes = reinterpret_cast<const int8_t*>(from);
    for (int64_t c = 0; c < channels_; ++c) {
      values[c] = scales[c] * static_cast<float>(codes[c]);
    }
    return;
  }
  for (int64_t c = 0; c < channels_; ++c) {
    const int code = LoadCode(codes_->codec, from, c);
    values[c] = DecodeValue(codes_->codec, code, scales[c], codes_->zeros[static_cast<size_t>(c)]);
  }
}

const float* ConvHistory::Values(int64_t row) const {
  return codes_ == nullptr ? reinterpret_cast<const float*>(At(row)) : nullptr;
}

bool ConvHistory::IsSound() const {
  if (codes_ == nullptr) {
    return std::ranges::all_of(std::span(reinterpret_cast<const float*>(data_.data()),
                                         static_cast<size_t>(rows_ * channels_)),
                               [](float x) { return std::isfinite(x); });
  }
  for (int64_t i = 0; i < rows_ * channels_; ++i) {
    const int code = LoadCode(codes_->codec, data_.data(), i);
    if (code < MinCode(codes_->codec) || code > MaxCode(codes_->codec)) return false;
  }
  return true;
}

void ConvHistory::Store(int64_t row, const float* values) {
  std::byte* to = At(row);
  if (codes_ == nullptr) {
    std::memcpy(to, values, static_cast<size_t>(RowBytes()));
    return;
  }
  const float* scales = codes_->scales.data();
  if (codes_->codec == Codec::kUniform) {
    auto* codes = reinterpret_cast<int8_t*>(to);
    for (int64_t c = 0; c < channels_; ++c) {
      codes[c] = QuantizeI8(values[c], 1.0f / scales[c]);
    }
    return;
  }
  for (int64_t c = 0; c < channels_; ++c) {
    const int zero = codes_->zeros[static_cast<size_t>(c)];
    StoreCode(codes_->codec, EncodeValue(codes_->codec, values[c], scales[c], zero), to, c);
  }
}

void ConvHistory::Push(const float* x, int64_t x_stride, int64_t T) {
  if (rows_ == 0) return;
  oldest_ = (oldest_ + T) % rows_;
  for (int64_t row = std::max<int64_t>(rows_ - T, 0); row < rows_; ++row) {
    Store(row, x + (T - rows_ + row) * x_stride);
  }
}

bool operator==(const ConvHistory& a, const ConvHistory& b) {
  const bool same_codes = a.codes_ == b.codes_ ||
                          (a.codes_ != nullptr && b.codes_ != nullptr && *a.codes_ == *b.codes_);
  if (!same_codes || a.rows_ != b.rows_ || a.channels_ != b.channels_) return false;
  for (int64_t row = 0; row < a.rows_; ++row) {
    if (!std::ranges::equal(a.row(row), b.row(row))) return false;
  }
  return true;
}

}  // namespace octet
