#include "exec/quantized_format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/file.h"
#include "kernels/hadamard_shape.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr std::string_view kEncodingPrefix = "encodings.";
constexpr std::string_view kScaleSuffix = ".scale";
constexpr std::string_view kZeroSuffix = ".zero";
constexpr std::string_view kRowMapSuffix = ".rows";

Weight Bytes(const std::vector<uint8_t>& values, std::vector<int64_t> shape) {
  std::vector<std::byte> bytes(values.size());
  std::memcpy(bytes.data(), values.data(), values.size());
  return MakeWeight(DType::kU8, std::move(bytes), std::move(shape));
}

// Positive, finite, at most 12 significant bits: what makes integer and simulated runs agree.
bool GoodScale(float s) {
  return std::isfinite(s) && s > 0 && RoundScale(s) == s;
}

Result<std::vector<float>> ReadScales(const std::string& name, const Weight& w) {
  if (w.dtype != DType::kF32) return Corrupt(fmt::format("tensor {} is not F32", name));
  std::vector<float> scales = ToF32(w);
  if (scales.empty() || !std::ranges::all_of(scales, GoodScale)) {
    return Corrupt(
        fmt::format("tensor {} holds scales that are not positive numbers of 12 "
                    "significant bits",
                    name));
  }
  return scales;
}

// The row map of static scales: entries of 16 bits, stored as I32.
Result<std::vector<uint16_t>> ReadRowMap(const std::string& name, const Weight& w) {
  if (w.dtype != DType::kI32) return Corrupt(fmt::format("tensor {} is not I32", name));
  std::vector<uint16_t> map(static_cast<size_t>(w.count()));
  for (size_t i = 0; i < map.size(); ++i) {
    int32_t entry;
    std::memcpy(&entry, w.data + i * sizeof(entry), sizeof(entry));
    if (entry < 0 || entry > 0xffff) {
      return Corrupt(fmt::format("tensor {} holds {}, which is no row of scales", name, entry));
    }
    map[i] = static_cast<uint16_t>(entry);
  }
  return map;
}

Weight StoredRowMap(const std::vector<uint16_t>& map) {
  std::vector<std::byte> bytes(map.size() * sizeof(int32_t));
  for (size_t i = 0; i < map.size(); ++i) {
    const int32_t entry = map[i];
    std::memcpy(bytes.data() + i * sizeof(entry), &entry, sizeof(entry));
  }
  return MakeWeight(DType::kI32, std::move(bytes), {std::ssize(map)});
}

// Turns the stored bytes of a 4-bit tensor into a kI4 weight of the described shape.
Status AttachInt4(const std::string& name, const Json& description, const WeightMap& stored,
                  Weight* w) {
  constexpr int64_t kLimit = int64_t{1} << 31;  // far above any matrix, and safe to add to
  const auto in_range = [&](const Json* v, int64_t low) {
    return v != nullptr && v->is_int() && v->AsInt() >= low && v->AsInt() < kLimit;
  };
  const Json* columns = description.Find("columns");
  const Json* group = description.Find("group");
  if (!in_range(columns, 1) || !in_range(group, 32) || group->AsInt() % 32 != 0 ||
      w->dtype != DType::kU8 || w->shape.size() != 2 ||
      w->shape[1] != BytesOf(DType::kI4, columns->AsInt())) {
    return Corrupt(
        fmt::format("tensor {} does not have the shape that its int4 description gives", name));
  }
  const int64_t groups = CeilDiv(columns->AsInt(), group->AsInt());
  const Weight* multipliers = stored.Find(name + "_group_scale");
  if (multipliers == nullptr || multipliers->dtype != DType::kU8 ||
      multipliers->shape != std::vector<int64_t>{w->shape[0], groups}) {
    return Corrupt(fmt::format("tensor {}_group_scale is missing or not U8 [{}, {}]", name,
                               w->shape[0], groups));
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(multipliers->data);
  std::vector<uint8_t> values(bytes, bytes + multipliers->count());
  if (!std::ranges::all_of(values, [](uint8_t v) { return v >= 1 && v <= 127; }) || groups > 64) {
    return Corrupt(
        fmt::format("tensor {}_group_scale has a multiplier outside 1..127 or more than "
                    "64 groups",
                    name));
  }
  w->dtype = DType::kI4;
  w->shape[1] = columns->AsInt();
  w->group = group->AsInt();
  w->group_scale = std::make_shared<const std::vector<uint8_t>>(std::move(values));
  return {};
}

Status AttachScale(const std::string& name, const WeightMap& stored, Weight* w) {
  const Weight* scale = stored.Find(name + "_scale");
  if (scale == nullptr) return Corrupt(fmt::format("tensor {}_scale is missing", name));
  OCTET_ASSIGN(std::vector<float> scales, ReadScales(name + "_scale", *scale));
  if (scales.size() != 1 && static_cast<int64_t>(scales.size()) != w->rows()) {
    return Corrupt(
        fmt::format("tensor {}_scale has {} scales for {} rows", name, scales.size(), w->rows()));
  }
  if (w->dtype == DType::kI8) {
    const auto bytes = static_cast<size_t>(w->data_bytes());
    if (bytes > 0 && std::memchr(w->data, 0x80, bytes) != nullptr) {
      return Corrupt(fmt::format("tensor {} holds the code -128, which is not used", name));
    }
    // They are read again one by one, or, as an embedding's, a few rows of them.
    if (w->mapped) ForgetPages({w->data, bytes});
  }
  w->row_scale = std::make_shared<const std::vector<float>>(std::move(scales));
  return {};
}

}  // namespace

std::vector<std::pair<std::string, Weight>> StoredTensors(const Graph& graph,
                                                          const WeightMap& weights) {
  std::map<std::string, Weight> stored;
  for (const auto& [name, w] : weights.all()) {
    stored[name] = w;
    if (w.row_scale != nullptr) {
      stored[name + "_scale"] =
          MakeWeight(*w.row_scale, {static_cast<int64_t>(w.row_scale->size())});
    }
    if (w.group_scale != nullptr) {
      const int64_t groups = static_cast<int64_t>(w.group_scale->size()) / w.rows();
      stored[name + "_group_scale"] = Bytes(*w.group_scale, {w.rows(), groups});
    }
  }
  for (const auto& [site, e] : graph.encodings) {
    if (e.quantized() && e.source == ScaleSource::kStatic) {
      const auto count = static_cast<int64_t>(e.scales.size());
      stored[fmt::format("{}{}{}", kEncodingPrefix, site, kScaleSuffix)] =
          MakeWeight(e.scales, {count});
      if (e.zeros.empty()) continue;
      stored[fmt::format("{}{}{}", kEncodingPrefix, site, kZeroSuffix)] = Bytes(e.zeros, {count});
    }
  }
  for (int layer = 0; graph.state_scales != nullptr && layer < graph.layers; ++layer) {
    const StateScales& s = (*graph.state_scales)[static_cast<size_t>(layer)];
    const std::string name = fmt::format("{}{}", kEncodingPrefix, StateSite(layer));
    std::vector<int64_t> shape = {s.entries()};
    if (s.columns > 1) shape.push_back(s.columns);
    stored[fmt::format("{}{}", name, kScaleSuffix)] = MakeWeight(s.values, std::move(shape));
    if (s.row_map.empty()) continue;
    stored[fmt::format("{}{}", name, kRowMapSuffix)] = StoredRowMap(s.row_map);
  }
  return {stored.begin(), stored.end()};
}

namespace {

// [site of the node that reads the fork, number of that input].
Json ReaderOf(const Graph& graph, const Node& fork) {
  const ValueId v = graph.FindSite(fork.site);
  for (const Node& n : graph.nodes) {
    const auto it = std::ranges::find(n.in, v);
    if (it != n.in.end()) return Json(Json::Array{Json(n.site), Json(it - n.in.begin())});
  }
  return {};
}

}  // namespace

Json DescribeQuantization(const Graph& graph, const WeightMap& weights) {
  Json hadamard = Json::MakeObject(), ssd = Json::MakeObject(), int4 = Json::MakeObject();
  Json per_token = Json::MakeArray(), per_chunk = Json::MakeArray();
  Json codecs = Json::MakeObject(), forks = Json::MakeObject();
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kHadamard) hadamard.Set(n.site, n.hadamard);
    if (IsFork(graph, n)) forks.Set(n.site, ReaderOf(graph, n));
    if (n.op != Op::kSsd) continue;
    if (n.ssd.int8) ssd.Set(n.site, n.ssd.gate_q7 ? "gate_q7" : "float");
  }
  for (const auto& [site, e] : graph.encodings) {
    if (e.quantized() && e.source == ScaleSource::kPerToken) per_token.Append(site);
    if (e.quantized() && e.source == ScaleSource::kPerChunk) per_chunk.Append(site);
    if (e.quantized() && e.codec != Codec::kUniform) codecs.Set(site, CodecName(e.codec));
  }
  for (const auto& [name, w] : weights.all()) {
    if (w.dtype != DType::kI4) continue;
    Json shape = Json::MakeObject();
    shape.Set("columns", w.columns());
    shape.Set("group", w.group);
    int4.Set(name, shape);
  }
  Json d = Json::MakeObject();
  d.Set("chunk_size", ChunkSize(graph));
  d.Set("state", ToText(graph.state));
  d.Set("hadamard", hadamard);
  d.Set("forks", forks);
  d.Set("int8_ssd", ssd);
  d.Set("per_token", per_token);
  d.Set("per_chunk", per_chunk);
  d.Set("codecs", codecs);
  d.Set("int4", int4);
  return d;
}

Result<WeightMap> AttachScales(const Json& description, const WeightMap& stored,
                               WeightMap* encodings) {
  const Json* int4 = description.Find("int4");
  WeightMap weights;
  for (const auto& [name, tensor] : stored.all()) {
    if (name.starts_with(kEncodingPrefix) &&
        (name.ends_with(kScaleSuffix) || name.ends_with(kZeroSuffix))) {
      encodings->Set(name.substr(kEncodingPrefix.size()), tensor);
      continue;
    }
    if (name.starts_with(kEncodingPrefix) && name.ends_with(kRowMapSuffix)) {
      encodings->Set(name.substr(kEncodingPrefix.size()), tensor);
      continue;
    }
    // Scales are attached below, to the tensor that they belong to.
    if (name.ends_with("_group_scale") &&
        stored.Find(name.substr(0, name.size() - std::strlen("_group_scale"))) != nullptr) {
      continue;
    }
    if (name.ends_with("_scale") &&
        stored.Find(name.substr(0, name.size() - std::strlen("_scale"))) != nullptr) {
      continue;
    }
    Weight w = tensor;
    const Json* packed = int4 != nullptr ? int4->Find(name) : nullptr;
    if (packed != nullptr) OCTET_TRY(AttachInt4(name, *packed, stored, &w));
    if (w.dtype == DType::kU8)
      return Corrupt(fmt::format("tensor {} has no int4 description", name));
    if (w.quantized()) OCTET_TRY(AttachScale(name, stored, &w));
    for (const auto& [suffix, belongs] :
         {std::pair{"_scale", w.quantized()}, {"_group_scale", w.dtype == DType::kI4}}) {
      if (!belongs && stored.Find(name + suffix) != nullptr) {
        return Corrupt(fmt::format("tensor {}{} does not belong to {} tensor", name, suffix,
                                   w.quantized() ? "an int8" : "a float"));
      }
    }
    weights.Set(name, std::move(w));
  }
  if (int4 == nullptr || !int4->is_object()) return weights;  // ApplyQuantization refuses that
  for (const auto& [name, shape] : int4->AsObject()) {
    if (weights.Find(name) == nullptr) {
      return Corrupt(fmt::format("tensor {} has an int4 description, but is missing", name));
    }
  }
  return weights;
}

Result<StateScales> ReadStateScales(const WeightMap& encodings, int layer) {
  const std::string site = StateSite(layer), name = "encodings." + site;
  const Weight* scale = encodings.Find(site + std::string(kScaleSuffix));
  if (scale == nullptr) return Corrupt(fmt::format("tensor {}.scale is missing", name));
  StateScales s;
  OCTET_ASSIGN(s.values, ReadScales(name + ".scale", *scale));
  if (scale->shape.size() > 2) return Corrupt(fmt::format("tensor {}.scale is no matrix", name));
  if (scale->shape.size() == 2) s.columns = scale->shape[1];
  const std::string rows = site + std::string(kRowMapSuffix);
  if (const Weight* map = encodings.Find(rows); map != nullptr) {
    OCTET_ASSIGN(s.row_map, ReadRowMap("encodings." + rows, *map));
    if (s.row_map.empty()) return Corrupt(fmt::format("tensor encodings.{} is empty", rows));
  }
  return s;
}

namespace {

class Applier {
 public:
  Applier(const Json& description, const WeightMap& encodings, Graph* graph)
      : d_(description), encodings_(encodings), graph_(*graph) {}

  Status Run() {
    OCTET_TRY(CheckMembers());
    OCTET_TRY(Hadamards());
    OCTET_TRY(Forks());
    OCTET_TRY(Encodings());
    OCTET_TRY(States());
    return SsdAttributes();
  }

 private:
  static Status Bad(std::string_view what) {
    return Corrupt(fmt::format("quantization_config: graph: {}", what));
  }

  Status CheckMembers() {
    static constexpr std::array kMembers = {"chunk_size", "state",    "hadamard",
                                            "forks",      "int8_ssd", "per_token",
                                            "per_chunk",  "codecs",   "int4"};
    if (!d_.is_object()) return Bad("is missing or not an object");
    for (const auto& [key, value] : d_.AsObject()) {
      if (std::ranges::find(kMembers, key) == kMembers.end()) return Bad("unknown member " + key);
    }
    for (const char* key : kMembers) {
      if (d_.Find(key) == nullptr) return Bad(fmt::format("member {} is missing", key));
    }
    const bool types = d_.Find("hadamard")->is_object() && d_.Find("int8_ssd")->is_object() &&
                       d_.Find("forks")->is_object() && d_.Find("codecs")->is_object() &&
                       d_.Find("per_token")->is_array() && d_.Find("per_chunk")->is_array() &&
                       d_.Find("int4")->is_object() && d_.Find("chunk_size")->is_int() &&
                       d_.Find("state")->is_string();
    if (!types) return Bad("a member has the wrong type");
    const int64_t chunk = d_.Find("chunk_size")->AsInt();
    if (chunk < 1 || chunk > kMaxChunkSize) {
      return Bad(fmt::format("chunk_size is not between 1 and {}", kMaxChunkSize));
    }
    const Result<StateFormat> state = ParseStateFormat(d_.Find("state")->AsString());
    if (!state.ok()) return Bad(fmt::format("state: {}", state.status().message()));
    graph_.state = *state;
    return {};
  }

  Status Hadamards() {
    for (const auto& [site, id] : d_.Find("hadamard")->AsObject()) {
      if (!site.ends_with("y_rot") || !id.is_string()) return Bad("cannot place Hadamard " + site);
      const std::string out = site.substr(0, site.size() - std::strlen("y_rot")) + "out";
      const ValueId linear = graph_.FindSite(out);
      if (linear < 0 || graph_.FindSite(site) >= 0) return Bad("cannot place Hadamard " + site);
      const ValueId input = graph_.nodes[static_cast<size_t>(linear)].in[0];
      const auto shape =
          MakeHadamardShape(graph_.nodes[static_cast<size_t>(input)].width, id.AsString());
      if (!shape.ok()) return Bad(fmt::format("Hadamard {}: {}", site, shape.status().message()));
      InsertHadamard(&graph_, linear, id.AsString());
    }
    return {};
  }

  Status Forks() {
    for (const auto& [site, from] : d_.Find("forks")->AsObject()) {
      const bool pair = from.is_array() && from.AsArray().size() == 2 &&
                        from.AsArray()[0].is_string() && from.AsArray()[1].is_int();
      if (!pair) return Bad(fmt::format("fork {} is not a reader and its input", site));
      const ValueId reader = graph_.FindSite(from.AsArray()[0].AsString());
      const int64_t input = from.AsArray()[1].AsInt();
      if (reader < 1) return Bad(fmt::format("fork {} has an unknown reader", site));
      const Node& n = graph_.nodes[static_cast<size_t>(reader)];
      if (input < 0 || input >= static_cast<int64_t>(n.in.size())) {
        return Bad(fmt::format("fork {}: {} has no input {}", site, n.site, input));
      }
      const auto index = static_cast<size_t>(input);
      if (IsFork(graph_, graph_.nodes[static_cast<size_t>(n.in[index])])) {
        return Bad(fmt::format("fork {}: input {} of {} is a fork already", site, input, n.site));
      }
      // The site's own name, behind its block's prefix, is one word.
      const std::string prefix = n.site.substr(0, n.site.rfind('.') + 1);
      const std::string name = site.starts_with(prefix) ? site.substr(prefix.size()) : "";
      if (name.empty() || name.find('.') != std::string::npos || graph_.FindSite(site) >= 0) {
        return Bad(fmt::format("fork {} has no name of its own in the block of {}", site, n.site));
      }
      ForkInput(&graph_, reader, index, name);
    }
    return {};
  }

  std::set<std::string, std::less<>> Sites() const {
    std::set<std::string, std::less<>> sites;
    for (const Node& n : graph_.nodes) {
      sites.insert(n.site);
      if (n.op != Op::kSsd) continue;
      for (const char* inner : kSsdInnerSites) {
        sites.insert(SsdInnerSite(n.layer, inner));
      }
    }
    return sites;
  }

  Status Encodings() {
    const auto sites = Sites();
    for (const auto& [name, tensor] : encodings_.all()) {
      if (name.ends_with(kZeroSuffix) || IsOfState(name)) continue;
      const std::string site = name.substr(0, name.rfind('.'));
      if (!name.ends_with(kScaleSuffix) || sites.count(site) == 0) {
        return Bad("scales for an unknown site " + site);
      }
      OCTET_ASSIGN(std::vector<float> scales, ReadScales("encodings." + name, tensor));
      graph_.encodings[site] = {DType::kI8, ScaleSource::kStatic, std::move(scales)};
    }
    for (const auto& [member, source] :
         {std::pair{"per_token", ScaleSource::kPerToken}, {"per_chunk", ScaleSource::kPerChunk}}) {
      for (const Json& site : d_.Find(member)->AsArray()) {
        if (!site.is_string() || sites.count(site.AsString()) == 0) {
          return Bad(fmt::format("{} names an unknown site {}", member, site.Dump(-1)));
        }
        const Encoding encoding{DType::kI8, source, {}};
        if (!graph_.encodings.emplace(site.AsString(), encoding).second) {
          return Bad(fmt::format("site {} is encoded in two ways", site.AsString()));
        }
      }
    }
    OCTET_TRY(Codecs());
    return Zeros();
  }

  Status Codecs() {
    for (const auto& [site, name] : d_.Find("codecs")->AsObject()) {
      const auto it = graph_.encodings.find(site);
      if (it == graph_.encodings.end()) return Bad(fmt::format("codecs: {} is not encoded", site));
      const Result<Codec> codec = ParseCodec(name.is_string() ? name.AsString() : "");
      if (!codec.ok()) return Bad(fmt::format("codecs: {}: {}", site, codec.status().message()));
      if (*codec == Codec::kUniform) {
        return Bad(fmt::format("codecs: {} is int8, which is not listed", site));
      }
      it->second.codec = *codec;
    }
    return {};
  }

  // Verify compares their number and size with the code.
  Status Zeros() {
    for (const auto& [name, tensor] : encodings_.all()) {
      if (!name.ends_with(kZeroSuffix)) continue;
      const auto it = graph_.encodings.find(name.substr(0, name.size() - kZeroSuffix.size()));
      if (it == graph_.encodings.end() || tensor.dtype != DType::kU8 || tensor.shape.size() != 1) {
        return Corrupt(
            fmt::format("tensor encodings.{} is not U8 [scales] of a site with scales", name));
      }
      const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.data);
      it->second.zeros.assign(bytes, bytes + tensor.count());
    }
    return {};
  }

  // Whether States() reads that member of encodings_, static scales of a state or their map.
  bool IsOfState(std::string_view name) const {
    if (!graph_.state.static_scales()) return false;
    for (const std::string_view suffix : {kScaleSuffix, kRowMapSuffix}) {
      if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    }
    for (int layer = 0; layer < graph_.layers; ++layer) {
      if (name == StateSite(layer)) return true;
    }
    return false;
  }

  Status States() {
    if (!graph_.state.static_scales()) return {};
    std::vector<StateScales> scales;
    for (int layer = 0; layer < graph_.layers; ++layer) {
      OCTET_ASSIGN(StateScales own, ReadStateScales(encodings_, layer));
      scales.push_back(std::move(own));
    }
    graph_.state_scales = std::make_shared<const std::vector<StateScales>>(std::move(scales));
    return {};
  }

  Status SsdAttributes() {
    SetChunkSize(d_.Find("chunk_size")->AsInt(), &graph_);
    for (const auto& [site, passing] : d_.Find("int8_ssd")->AsObject()) {
      const ValueId v = graph_.FindSite(site);
      if (v < 0 || graph_.nodes[static_cast<size_t>(v)].op != Op::kSsd ||
          (passing != Json("gate_q7") && passing != Json("float"))) {
        return Bad("int8_ssd has a bad entry " + site);
      }
      octet::SsdAttributes& ssd = graph_.nodes[static_cast<size_t>(v)].ssd;
      ssd.int8 = true;
      ssd.gate_q7 = passing == Json("gate_q7");
    }
    const Status s = Verify(graph_);
    return s.ok() ? s : Bad(s.message());
  }

  const Json& d_;
  const WeightMap& encodings_;
  Graph& graph_;
};

}  // namespace

Status ApplyQuantization(const Json& description, const WeightMap& encodings, Graph* graph) {
  return Applier(description, encodings, graph).Run();
}

}  // namespace octet
