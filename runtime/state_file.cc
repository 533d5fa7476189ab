#include "runtime/state_file.h"

#include <algorithm>
#include <string_view>

#include "base/file.h"
#include "base/sha256.h"
#include "io/file_writer.h"

namespace octet {
namespace {

constexpr std::string_view kMagic = "octet state 1\n";
constexpr size_t kHashSize = 64;
constexpr size_t kHeaderSize = kMagic.size() + 2 * kHashSize;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <class T>
void Add(std::span<const T> values, Sha256* sha) {
  const int64_t size = std::ssize(values);
  sha->Update(std::as_bytes(std::span(&size, 1)));
  sha->Update(std::as_bytes(values));
}
void Add(std::string_view text, Sha256* sha) {
  Add(std::span<const char>(text), sha);
}
void Add(int64_t value, Sha256* sha) {
  sha->Update(std::as_bytes(std::span(&value, 1)));
}

// The ends of a tensor; all of a large model would take seconds to read.
void AddEnds(const Weight& w, Sha256* sha) {
  constexpr size_t kEnd = 4096;
  const std::span bytes(w.data, static_cast<size_t>(w.data_bytes()));
  Add(bytes.first(std::min(bytes.size(), kEnd)), sha);
  Add(bytes.last(std::min(bytes.size(), kEnd)), sha);
}

// Names the model that a state belongs to. The length of chunks is no part of it: a stream may go
// on with another one.
std::string Fingerprint(const Model& model) {
  Sha256 sha;
  for (const auto& [name, w] : model.weights().all()) {
    Add(name, &sha);
    Add(static_cast<int64_t>(w.dtype), &sha);
    Add(std::span<const int64_t>(w.shape), &sha);
    AddEnds(w, &sha);
    if (w.row_scale) Add(std::span<const float>(*w.row_scale), &sha);
    if (w.group_scale) Add(std::span<const uint8_t>(*w.group_scale), &sha);
  }
  Add(ToText(model.graph().state), &sha);
  if (model.graph().state_scales) {
    for (const StateScales& s : *model.graph().state_scales) {
      Add(std::span<const float>(s.values), &sha);
      Add(std::span<const uint16_t>(s.row_map), &sha);
    }
  }
  for (const auto& [site, e] : model.graph().encodings) {
    Add(site, &sha);
    Add(static_cast<int64_t>(e.dtype), &sha);
    Add(static_cast<int64_t>(e.source), &sha);
    Add(static_cast<int64_t>(e.codec), &sha);
    Add(std::span<const float>(e.scales), &sha);
    Add(std::span<const uint8_t>(e.zeros), &sha);
  }
  return sha.Hex();
}

}  // namespace

std::string SaveState(const Model& model, const State& state) {
  const std::string body = state.ToBytes();
  return std::string(kMagic) + Fingerprint(model) + Sha256Hex(Bytes(body)) + body;
}

Result<State> LoadState(const Model& model, std::span<const std::byte> bytes,
                        const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) return Corrupt(name + ": is not a saved state");
  if (text.size() < kHeaderSize) return Corrupt(name + ": the saved state is cut off");
  const std::span body = bytes.subspan(kHeaderSize);
  if (text.substr(kMagic.size(), kHashSize) != Fingerprint(model)) {
    return InvalidArgument(name + ": is a saved state of another model");
  }
  if (text.substr(kMagic.size() + kHashSize, kHashSize) != Sha256Hex(body)) {
    return Corrupt(name + ": the saved state is damaged or cut off");
  }
  State state(model.graph());
  if (const Status status = state.FromBytes(body); !status.ok()) return status.Annotate(name);
  return state;
}

Status WriteState(const Model& model, const State& state, const std::string& path) {
  OCTET_ASSIGN(FileWriter file, FileWriter::Create(path));
  OCTET_TRY(file.Write(Bytes(SaveState(model, state))));
  return file.Commit();
}

Result<State> ReadState(const Model& model, const std::string& path) {
  const auto size = static_cast<int64_t>(kHeaderSize + State(model.graph()).ToBytes().size());
  Result<std::string> bytes = ReadWholeFile(path, size);
  if (!bytes.ok() && bytes.status().code() == Code::kTooLarge) {
    return Corrupt(path + ": is not a saved state of this model: it is too long");
  }
  if (!bytes.ok()) return bytes.status();
  return LoadState(model, Bytes(*bytes), path);
}

}  // namespace octet
