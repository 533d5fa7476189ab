#include "quant/streams.h"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

namespace octet {

int64_t TokenDataset::tokens() const {
  int64_t total = 0;
  for (const auto& d : documents) {
    total += static_cast<int64_t>(d.size());
  }
  return total;
}

ResidualStreams::ResidualStreams(const TokenDataset& data, int64_t width, std::string file,
                                 int block)
    : width_(width), begin_{0}, file_(std::move(file)), block_(block) {
  for (const auto& d : data.documents) {
    begin_.push_back(begin_.back() + static_cast<int64_t>(d.size()) * width);
  }
}

Result<ResidualStreams> ResidualStreams::Create(const TokenDataset& data, int64_t width,
                                                const std::string& file) {
  ResidualStreams streams(data, width, file, -1);
  OCTET_ASSIGN(streams.leaving_, streams.NewRows(0));
  return streams;
}

Result<ResidualStreams> ResidualStreams::Reopen(const TokenDataset& data, int64_t width,
                                                const std::string& file, int block) {
  ResidualStreams streams(data, width, file, block);
  OCTET_ASSIGN(auto mapping, WritableMapping::Open(streams.PathOf(block), streams.bytes()));
  streams.entering_ = RowsOf(std::move(mapping));
  OCTET_ASSIGN(streams.leaving_, streams.NewRows(block + 1));
  return streams;
}

std::string ResidualStreams::PathOf(int block) const {
  return fmt::format("{}.{}", file_, block);
}

ResidualStreams::Rows ResidualStreams::RowsOf(std::shared_ptr<WritableMapping> mapping) {
  const std::span<std::byte> bytes = mapping->bytes();
  const std::span values(reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float));
  return {values, nullptr, std::move(mapping)};
}

Result<ResidualStreams::Rows> ResidualStreams::NewRows(int block) const {
  if (!file_.empty()) {
    OCTET_ASSIGN(auto mapping, WritableMapping::Create(PathOf(block), bytes()));
    return RowsOf(std::move(mapping));
  }
  auto owner = std::make_shared<std::vector<float>>(static_cast<size_t>(begin_.back()));
  const std::span values(*owner);
  return Rows{values, std::move(owner), nullptr};
}

Status ResidualStreams::Flush() const {
  return leaving_.file == nullptr ? Status() : leaving_.file->Flush();
}

Status ResidualStreams::Advance() {
  std::swap(entering_, leaving_);
  const int old = block_++;
  if (file_.empty() && old >= 0) return {};  // the memory of the old rows is used again
  leaving_ = {};
  if (old >= 0) unlink(PathOf(old).c_str());
  OCTET_ASSIGN(leaving_, NewRows(block_ + 1));
  return {};
}

}  // namespace octet
