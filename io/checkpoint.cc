#include "io/checkpoint.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxIndex = 64 << 20;
constexpr size_t kMaxShown = 3;  // tensors that an error lists

using Reader = std::function<Result<WeightMap>(const std::string&)>;

Status CheckTypes(const WeightMap& weights, const std::string& path) {
  for (const auto& [name, w] : weights.all()) {
    // Maps of rows to scales are integers (exec/quantized_format.h); weights are not.
    const bool map = w.dtype == DType::kI32 && name.starts_with("encodings.");
    if ((w.dtype == DType::kI32 && !map) || w.dtype == DType::kI64) {
      return Unsupported(fmt::format("{}: tensor {:.200}: element type {} is not supported", path,
                                     name, DTypeName(w.dtype)));
    }
  }
  return {};
}

Result<WeightMap> ReadFile(const std::string& path, const Reader& read) {
  OCTET_ASSIGN(WeightMap weights, read(path));
  OCTET_TRY(CheckTypes(weights, path));
  return weights;
}

bool PlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() < 256 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

// The tensors of each shard file.
using Shards = std::map<std::string, std::vector<std::string>>;

Result<Shards> ReadIndex(const std::string& path) {
  OCTET_ASSIGN(const Json index, Json::ParseFile(path, kMaxIndex));
  const Json* map = index.Find("weight_map");
  if (map == nullptr || !map->is_object()) {
    return Corrupt(path + ": \"weight_map\" is missing or not an object");
  }
  Shards shards;
  for (const auto& [tensor, file] : map->AsObject()) {
    if (!file.is_string() || !PlainName(file.AsString())) {
      return Corrupt(
          fmt::format("{}: tensor {:.200}: its shard is not a plain file name", path, tensor));
    }
    shards[file.AsString()].push_back(tensor);
  }
  if (shards.empty()) return Corrupt(path + ": \"weight_map\" is empty");
  return shards;
}

std::string Join(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < kMaxShown; ++i) {
    out += fmt::format("{}{:.200}", i == 0 ? "" : ", ", names[i]);
  }
  if (names.size() > kMaxShown) out += fmt::format(" and {} more", names.size() - kMaxShown);
  return out;
}

Result<WeightMap> ReadShards(const std::string& folder, const std::string& index,
                             const Reader& read) {
  const std::string index_path = (fs::path(folder) / index).string();
  OCTET_ASSIGN(const Shards shards, ReadIndex(index_path));
  WeightMap all;
  for (const auto& [file, names] : shards) {
    const std::string path = (fs::path(folder) / file).string();
    const Result<WeightMap> found = ReadFile(path, read);
    if (!found.ok() && found.status().code() == Code::kNotFound) {
      return NotFound(fmt::format("{}: shard of {} is missing", path, index));
    }
    if (!found.ok()) return found.status();
    WeightMap shard = *found;
    std::vector<std::string> missing, extra;
    for (const std::string& name : names) {
      const Weight* w = shard.Find(name);
      if (w == nullptr) {
        missing.push_back(name);
        continue;
      }
      all.Set(name, *w);
      shard.Erase(name);
    }
    for (const auto& [name, w] : shard.all())
      extra.push_back(name);
    if (!missing.empty()) {
      return Corrupt(fmt::format("{}: lacks what {} places there: {}", path, index, Join(missing)));
    }
    if (!extra.empty()) {
      return Corrupt(
          fmt::format("{}: holds what {} does not place there: {}", path, index, Join(extra)));
    }
  }
  return all;
}

}  // namespace

Result<WeightMap> OpenCheckpoint(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return NotFound(folder + ": no such folder");
  const std::pair<std::string, Reader> formats[] = {{"model.safetensors", ReadSafetensors},
                                                    {"pytorch_model.bin", ReadTorchFile}};
  for (const auto& [file, read] : formats) {
    const fs::path whole = fs::path(folder) / file;
    if (fs::exists(whole, error)) return ReadFile(whole.string(), read);
    const std::string index = file + ".index.json";
    if (fs::exists(fs::path(folder) / index, error)) return ReadShards(folder, index, read);
  }
  return NotFound(folder +
                  ": holds no weights (model.safetensors or pytorch_model.bin, or their index)");
}

}  // namespace octet
