#include "io/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/checked.h"
#include "io/mmap.h"
#include "io/pickle.h"
#include "io/zip.h"

namespace octet {
namespace {

static_assert(std::endian::native == std::endian::little, "storages are little endian");

using Bytes = std::span<const std::byte>;
using Entries = std::map<std::string, Bytes, std::less<>>;

// The archive's entries without the name of its only top folder.
Result<Entries> EntriesOf(Bytes file) {
  OCTET_ASSIGN(const std::vector<ZipEntry> all, ReadZip(file));
  Entries entries;
  std::string_view top;
  for (const ZipEntry& e : all) {
    const std::string_view name = e.name;
    const size_t slash = name.find('/');
    if (slash == name.npos) return Corrupt(fmt::format("entry {:.200}: not in a folder", name));
    if (!entries.empty() && name.substr(0, slash) != top) {
      return Corrupt("the archive has more than one top folder");
    }
    top = name.substr(0, slash);
    entries.emplace(name.substr(slash + 1), e.data);
  }
  return entries;
}

std::optional<DType> DTypeOf(std::string_view storage_type) {
  struct Known {
    std::string_view name;
    DType dtype;
  };
  constexpr Known kKnown[] = {{"FloatStorage", DType::kF32},     {"HalfStorage", DType::kF16},
                              {"BFloat16Storage", DType::kBF16}, {"CharStorage", DType::kI8},
                              {"ByteStorage", DType::kU8},       {"IntStorage", DType::kI32},
                              {"LongStorage", DType::kI64}};
  for (const Known& k : kKnown) {
    if (k.name == storage_type) return k.dtype;
  }
  return std::nullopt;
}

bool Contiguous(const PickledTensor& t) {
  int64_t stride = 1;
  for (size_t d = t.shape.size(); d-- > 0;) {
    if (t.shape[d] != 1 && t.strides[d] != stride) return false;
    stride *= t.shape[d];
  }
  return true;
}

// Copies `count` elements of `t` in row-major order.
void Gather(const PickledTensor& t, int64_t count, int64_t element, const std::byte* storage,
            std::byte* out) {
  std::vector<int64_t> index(t.shape.size(), 0);
  int64_t at = t.offset;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(out + i * element, storage + at * element, static_cast<size_t>(element));
    for (size_t d = index.size(); d-- > 0;) {
      at += t.strides[d];
      if (++index[d] < t.shape[d]) break;
      at -= t.strides[d] * t.shape[d];
      index[d] = 0;
    }
  }
}

// `copied` counts the bytes that were copied so far, of at most `copy_limit`.
Result<Weight> MakeTensor(PickledTensor& t, const Entries& entries,
                          const std::shared_ptr<const void>& owner, int64_t copy_limit,
                          int64_t* copied) {
  const std::optional<DType> dtype = DTypeOf(t.storage_type);
  if (!dtype) return Unsupported(fmt::format("{} is not supported", t.storage_type));
  const auto entry = entries.find("data/" + t.storage);
  if (entry == entries.end()) {
    return Corrupt(fmt::format("the archive has no entry data/{:.200}", t.storage));
  }
  const int64_t element = BytesOf(*dtype, 1);
  const std::optional<int64_t> needed = CheckedMul(t.storage_count, element);
  if (!needed || *needed > static_cast<int64_t>(entry->second.size())) {
    return Corrupt(fmt::format("entry data/{:.200} has {} bytes, too few for {} elements",
                               t.storage, entry->second.size(), t.storage_count));
  }
  const int64_t count = *CheckedCount(t.shape);  // at most storage_count unless strides repeat
  const std::optional<int64_t> bytes = CheckedMul(count, element);
  Weight w;
  w.dtype = *dtype;
  w.owner = owner;
  w.data = entry->second.data();
  const bool aligned = reinterpret_cast<uintptr_t>(w.data) % static_cast<uintptr_t>(element) == 0;
  if (count > 0 && Contiguous(t) && aligned) {
    w.data += t.offset * element;
  } else if (count > 0) {
    const auto total = bytes ? CheckedAdd(*copied, *bytes) : std::nullopt;
    if (!total || *total > copy_limit) {
      return TooLarge("the file's non-contiguous tensors are larger than the file");
    }
    *copied = *total;
    auto buffer = std::make_shared<Buffer>(*bytes);
    Gather(t, count, element, w.data, buffer->data());
    w.data = buffer->data();
    w.owner = std::move(buffer);
  }
  w.shape = std::move(t.shape);
  return w;
}

Result<Bytes> FindPickle(const Entries& entries) {
  const auto order = entries.find("byteorder");
  if (order != entries.end()) {
    const std::string_view text(reinterpret_cast<const char*>(order->second.data()),
                                order->second.size());
    if (text != "little") return Unsupported("the tensors are not little endian");
  }
  const auto pickle = entries.find("data.pkl");
  if (pickle == entries.end())
    return Corrupt("the archive has no data.pkl: torch.save did not write it");
  return pickle->second;
}

}  // namespace

Result<WeightMap> ParseTorchFile(Bytes file, const std::shared_ptr<const void>& owner) {
  const auto* text = reinterpret_cast<const char*>(file.data());
  if (file.size() >= 2 && std::string_view(text, 2) == "\x80\x02") {
    return Unsupported("written by torch before 1.6, not a zip archive; load and save it again");
  }
  OCTET_ASSIGN(const Entries entries, EntriesOf(file));
  OCTET_ASSIGN(const Bytes pickle, FindPickle(entries));
  Result<std::vector<PickledTensor>> tensors = ParsePickle(pickle);
  if (!tensors.ok()) return tensors.status();
  WeightMap weights;
  int64_t copied = 0;
  for (PickledTensor& t : *tensors) {
    Result<Weight> w = MakeTensor(t, entries, owner, static_cast<int64_t>(file.size()), &copied);
    if (!w.ok()) return w.status().Annotate(fmt::format("tensor {:.200}", t.name));
    weights.Set(std::move(t.name), *std::move(w));
  }
  return weights;
}

Result<WeightMap> ReadTorchFile(const std::string& path) {
  OCTET_ASSIGN(const std::shared_ptr<const FileMapping> mapping, FileMapping::Open(path));
  Result<WeightMap> weights = ParseTorchFile(mapping->bytes(), mapping);
  if (!weights.ok()) return weights.status().Annotate(path);
  return weights;
}

}  // namespace octet
