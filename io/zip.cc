#include "io/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

namespace octet {
namespace {

// Record layouts: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocatorSignature = 0x07064b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kCentralBytes = 46;
constexpr size_t kLocalBytes = 30;
constexpr size_t kMaxComment = 65535;
constexpr uint32_t kIn64 = 0xffffffff;  // the value is in the zip64 record
constexpr uint16_t kEncrypted = 0x41;   // bits 0 and 6 of the flags

using Bytes = std::span<const std::byte>;

template <class T>
T Load(Bytes bytes, size_t at) {
  T v = 0;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

// `n` bytes at `at`, or nothing when they do not all lie in `bytes`.
std::optional<Bytes> Slice(Bytes bytes, uint64_t at, uint64_t n) {
  if (at > bytes.size() || n > bytes.size() - at) return std::nullopt;
  return bytes.subspan(at, n);
}

struct Directory {
  uint64_t entries = 0, bytes = 0, offset = 0;
};

struct Located {
  std::string name;
  uint64_t stored = 0, offset = 0;  // bytes of data; position of the local header
};

std::optional<size_t> FindEnd(Bytes file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const size_t last = file.size() - kEndBytes;
  const size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (size_t at = last + 1; at-- > first;) {
    if (Load<uint32_t>(file, at) == kEndSignature) return at;
  }
  return std::nullopt;
}

Result<Directory> ReadEnd64(Bytes file, size_t end) {
  if (end < kLocatorBytes) return Corrupt("the zip64 locator is missing");
  const Bytes locator = file.subspan(end - kLocatorBytes, kLocatorBytes);
  if (Load<uint32_t>(locator, 0) != kLocatorSignature) {
    return Corrupt("the zip64 locator is missing");
  }
  const auto record = Slice(file, Load<uint64_t>(locator, 8), kEnd64Bytes);
  if (!record || Load<uint32_t>(*record, 0) != kEnd64Signature) {
    return Corrupt("the zip64 end record is missing");
  }
  if (Load<uint32_t>(*record, 16) != 0 || Load<uint32_t>(*record, 20) != 0) {
    return Unsupported("the archive is split over several files");
  }
  return Directory{Load<uint64_t>(*record, 32), Load<uint64_t>(*record, 40),
                   Load<uint64_t>(*record, 48)};
}

Result<Directory> ReadEnd(Bytes file) {
  const std::optional<size_t> end = FindEnd(file);
  if (!end) return Corrupt("not a zip archive, or cut short: no end record");
  const Bytes record = file.subspan(*end, kEndBytes);
  const Directory d = {Load<uint16_t>(record, 10), Load<uint32_t>(record, 12),
                       Load<uint32_t>(record, 16)};
  if (d.entries == 0xffff || d.bytes == kIn64 || d.offset == kIn64) return ReadEnd64(file, *end);
  if (Load<uint16_t>(record, 4) != 0 || Load<uint16_t>(record, 6) != 0) {
    return Unsupported("the archive is split over several files");
  }
  return d;
}

// Replaces the sizes and offset that do not fit 32 bits by those of the zip64 extra field, which
// holds only the replaced ones, in this order.
Status ReadExtra64(Bytes extra, uint64_t* size, uint64_t* stored, uint64_t* offset) {
  while (extra.size() >= 4) {
    const auto id = Load<uint16_t>(extra, 0);
    const auto field = Slice(extra, 4, Load<uint16_t>(extra, 2));
    if (!field) return Corrupt("an extra field is cut short");
    if (id == 1) {
      size_t at = 0;
      for (uint64_t* value : {size, stored, offset}) {
        if (*value != kIn64) continue;
        const auto v = Slice(*field, at, 8);
        if (!v) return Corrupt("the zip64 extra field is cut short");
        *value = Load<uint64_t>(*v, 0);
        at += 8;
      }
      return {};
    }
    extra = extra.subspan(4 + field->size());
  }
  return Corrupt("the zip64 extra field is missing");
}

// Reads the entry at the start of `directory` and removes it from there.
Result<Located> ReadCentral(Bytes* directory) {
  if (directory->size() < kCentralBytes || Load<uint32_t>(*directory, 0) != kCentralSignature) {
    return Corrupt("the directory is malformed");
  }
  const auto flags = Load<uint16_t>(*directory, 8);
  const auto method = Load<uint16_t>(*directory, 10);
  uint64_t stored = Load<uint32_t>(*directory, 20);
  uint64_t size = Load<uint32_t>(*directory, 24);
  const auto name_bytes = Load<uint16_t>(*directory, 28);
  const auto extra_bytes = Load<uint16_t>(*directory, 30);
  const auto comment_bytes = Load<uint16_t>(*directory, 32);
  uint64_t offset = Load<uint32_t>(*directory, 42);
  const auto name = Slice(*directory, kCentralBytes, name_bytes);
  const auto extra = Slice(*directory, kCentralBytes + name_bytes, extra_bytes);
  const size_t next = kCentralBytes + name_bytes + extra_bytes + comment_bytes;
  if (!name || !extra || next > directory->size()) return Corrupt("the directory is cut short");
  Located out;
  out.name.assign(reinterpret_cast<const char*>(name->data()), name->size());
  if (out.name.empty()) return Corrupt("an entry has no name");
  if ((flags & kEncrypted) != 0) {
    return Unsupported(fmt::format("entry {:.200}: encrypted", out.name));
  }
  if (method != 0) {
    return Unsupported(fmt::format("entry {:.200}: compressed (method {})", out.name, method));
  }
  if (size == kIn64 || stored == kIn64 || offset == kIn64) {
    const Status status = ReadExtra64(*extra, &size, &stored, &offset);
    if (!status.ok()) return status.Annotate(fmt::format("entry {:.200}", out.name));
  }
  if (size != stored) {
    return Corrupt(fmt::format("entry {:.200}: {} bytes stored for {}", out.name, stored, size));
  }
  out.stored = stored;
  out.offset = offset;
  *directory = directory->subspan(next);
  return out;
}

// The data of `entry`, all of which must lie in `body`, the archive before its directory.
Result<Bytes> DataOf(Bytes body, const Located& entry) {
  const auto local = Slice(body, entry.offset, kLocalBytes);
  if (!local || Load<uint32_t>(*local, 0) != kLocalSignature) {
    return Corrupt(fmt::format("entry {:.200}: no local header at {}", entry.name, entry.offset));
  }
  const uint64_t skip =
      kLocalBytes + uint64_t{Load<uint16_t>(*local, 26)} + Load<uint16_t>(*local, 28);
  const auto rest = Slice(body, entry.offset, skip);
  const auto data = rest ? Slice(body, entry.offset + skip, entry.stored) : std::nullopt;
  if (!data) {
    return Corrupt(fmt::format("entry {:.200}: its {} bytes reach beyond the archive's data",
                               entry.name, entry.stored));
  }
  return *data;
}

// Overlapping entries make a small file look like a large one.
Status CheckDisjoint(std::vector<std::pair<uint64_t, uint64_t>> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return Corrupt("two entries share bytes");
  }
  return {};
}

}  // namespace

Result<std::vector<ZipEntry>> ReadZip(Bytes file) {
  OCTET_ASSIGN(const Directory end, ReadEnd(file));
  const std::optional<Bytes> found = Slice(file, end.offset, end.bytes);
  if (!found) return Corrupt("the directory lies outside the archive");
  Bytes directory = *found;
  const Bytes body = file.first(end.offset);
  std::vector<ZipEntry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < end.entries; ++i) {
    OCTET_ASSIGN(Located entry, ReadCentral(&directory));
    OCTET_ASSIGN(const Bytes data, DataOf(body, entry));
    if (!names.insert(entry.name).second) {
      return Corrupt(fmt::format("two entries are named {:.200}", entry.name));
    }
    const auto data_end = static_cast<uint64_t>(data.data() - file.data()) + data.size();
    ranges.emplace_back(entry.offset, data_end);
    entries.push_back({std::move(entry.name), data});
  }
  if (!directory.empty())
    return Corrupt("the directory holds more entries than the end record says");
  OCTET_TRY(CheckDisjoint(std::move(ranges)));
  return entries;
}

}  // namespace octet
