#include "io/cifar.h"

#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <span>

#include "io/mmap.h"

namespace octet {
namespace {

// https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
constexpr size_t kSide = 32;
constexpr size_t kPlane = kSide * kSide;
constexpr size_t kChannels = 3;
constexpr size_t kRecord = 1 + kChannels * kPlane;
constexpr size_t kMaxBytes = size_t{1} << 31;
constexpr int kClasses = 10;

Result<LabeledImages> Parse(std::span<const std::byte> file) {
  if (file.size() > kMaxBytes) {
    return TooLarge(fmt::format("{} bytes; at most {} are read", file.size(), kMaxBytes));
  }
  if (file.size() % kRecord != 0) {
    return Corrupt(fmt::format("{} bytes are no whole number of CIFAR-10's records of {}",
                               file.size(), kRecord));
  }
  const size_t count = file.size() / kRecord;
  LabeledImages out;
  out.count = static_cast<int64_t>(count);
  out.rows = out.cols = kSide;
  out.channels = kChannels;
  out.labels.resize(count);
  out.pixels.resize(count * kPlane * kChannels);
  const auto* record = reinterpret_cast<const uint8_t*>(file.data());
  uint8_t* pixel = out.pixels.data();
  for (size_t i = 0; i < count; ++i, record += kRecord) {
    out.labels[i] = record[0];
    for (size_t p = 0; p < kPlane; ++p) {
      for (size_t c = 0; c < kChannels; ++c)
        *pixel++ = record[1 + c * kPlane + p];
    }
  }
  OCTET_TRY(CheckLabels(out.labels, kClasses));
  return out;
}

}  // namespace

Result<LabeledImages> ReadCifar10(const std::string& file) {
  OCTET_ASSIGN(const std::shared_ptr<const FileMapping> mapping, FileMapping::Open(file));
  Result<LabeledImages> images = Parse(mapping->bytes());
  if (!images.ok()) return images.status().Annotate(file);
  return images;
}

}  // namespace octet
