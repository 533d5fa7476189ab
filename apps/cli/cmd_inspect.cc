#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "exec/quantized_format.h"
#include "exec/state.h"
#include "io/safetensors.h"

namespace octet::cli {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;

constexpr int kValueColumn = 26;  // of the text

using Tensors = std::vector<std::pair<std::string, Weight>>;

// In the order of the report.
constexpr const char* kClasses[] = {"embedding_and_head",
                                    "in_proj",
                                    "x_proj_and_dt_proj",
                                    "out_proj",
                                    "conv",
                                    "norms",
                                    "scales",
                                    "other"};

const char* ClassOf(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != name.npos; };
  if (name.ends_with("_scale") || name.starts_with("encodings.")) return "scales";
  if (has("embedding") || has("lm_head") || has("encoder") || has("decoder")) {
    return "embedding_and_head";
  }
  if (has("in_proj")) return "in_proj";
  if (has("out_proj") || has("output_linear")) return "out_proj";
  if (has("x_proj") || has("dt_proj")) return "x_proj_and_dt_proj";
  if (has("conv1d")) return "conv";
  if (has("norm")) return "norms";
  return "other";
}

// What is known of a path: always its tensors, of a folder also the model.
struct Subject {
  Tensors tensors;
  std::optional<Json> config;
  Graph graph;
  int64_t parameters = 0;
  std::vector<std::string> warnings;
};

bool IsModel(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) || path.ends_with(".pth") ||
         path.ends_with(".pt");
}

Result<Subject> OpenModel(const std::string& path) {
  const std::string config_path = (std::filesystem::path(path) / "config.json").string();
  std::error_code error;
  Json config;
  if (std::filesystem::is_directory(path, error)) {
    OCTET_ASSIGN(config, Json::ParseFile(config_path, kMaxConfigBytes));
  }
  Subject s;
  WeightMap weights;
  if (!config.is_object() || config.Find("quantization_config") == nullptr) {
    OCTET_ASSIGN(FloatCheckpoint model, LoadFloatCheckpoint(path));
    config = std::move(model.config);
    s.graph = std::move(model.graph);
    s.warnings = std::move(model.warnings);
    weights = std::move(model.weights);
  } else {
    OCTET_ASSIGN(const auto model, Model::Load(path, {}));
    s.graph = model->graph();
    s.warnings = model->warnings();
    weights = model->weights();
  }
  s.config = config;
  s.tensors = StoredTensors(s.graph, weights);
  for (const auto& [name, w] : weights.all()) {
    s.parameters += w.count();
  }
  return s;
}

Result<Subject> OpenFile(const std::string& path) {
  OCTET_ASSIGN(const WeightMap weights, ReadSafetensors(path));
  Subject s;
  for (const auto& [name, w] : weights.all()) {
    s.tensors.emplace_back(name, w);
    if (std::string_view(ClassOf(name)) != "scales") s.parameters += w.count();
  }
  return s;
}

const Node* FindNode(const Graph& graph, Op op) {
  for (const Node& n : graph.nodes) {
    if (n.op == op) return &n;
  }
  return nullptr;
}

Json Sizes(const Graph& graph) {
  Json j = Json::MakeObject();
  j.Set("layers", graph.layers);
  j.Set("hidden_size", StreamWidth(graph));
  if (const Node* ssd = FindNode(graph, Op::kSsd); ssd != nullptr) {
    j.Set("heads", ssd->ssd.heads);
    j.Set("head_dim", ssd->ssd.head_dim);
    j.Set("state_size", ssd->ssd.state_size);
    j.Set("groups", ssd->ssd.groups);
    j.Set("chunk_size", ssd->ssd.chunk_size);
  }
  if (const Node* scan = FindNode(graph, Op::kSelectiveScan); scan != nullptr) {
    j.Set("inner_size", scan->width);
    j.Set("state_size", scan->scan.state_size);
    j.Set("chunk_size", scan->scan.period);
  }
  if (const Node* s4d = FindNode(graph, Op::kS4d); s4d != nullptr) {
    j.Set("frame_size", graph.nodes[0].width);
    j.Set("modes", s4d->s4d.modes);
    j.Set("classes", graph.vocab_rows);
    return j;
  }
  if (const Node* conv = FindNode(graph, Op::kCausalConvSilu); conv != nullptr) {
    j.Set("conv_kernel", conv->taps);
  }
  j.Set("vocabulary", graph.vocab_rows);
  const Node& head = graph.nodes[static_cast<size_t>(graph.logits)];
  j.Set("tied_head", head.weights[0] == graph.nodes[0].weights[0]);
  return j;
}

// Recipe, options, calibration, and how many sites are encoded in which way.
Json Quantization(const Subject& s) {
  const Json* q = s.config->Find("quantization_config");
  if (q == nullptr) return {};
  Json j = Json::MakeObject();
  for (const char* key : {"recipe", "version", "options", "calibration"}) {
    if (const Json* value = q->Find(key); value != nullptr) j.Set(key, *value);
  }
  int64_t int8_ssd = 0, hadamard = 0, other_codes = 0;
  std::map<ScaleSource, int64_t> sites;
  for (const auto& [site, e] : s.graph.encodings) {
    const bool int8 = e.codec == Codec::kUniform;
    sites[e.source] += e.quantized() && int8;
    other_codes += e.quantized() && !int8;
  }
  for (const Node& n : s.graph.nodes) {
    int8_ssd += n.op == Op::kSsd && n.ssd.int8;
    hadamard += n.op == Op::kHadamard;
  }
  Json encodings = Json::MakeObject();
  encodings.Set("static_int8_sites", sites[ScaleSource::kStatic]);
  encodings.Set("static_sites_in_other_codes", other_codes);
  encodings.Set("per_token_int8_sites", sites[ScaleSource::kPerToken]);
  encodings.Set("per_chunk_int8_sites", sites[ScaleSource::kPerChunk]);
  encodings.Set("int8_ssd_layers", int8_ssd);
  encodings.Set("hadamard_transforms", hadamard);
  j.Set("encodings", std::move(encodings));
  return j;
}

// The operations in order; "inputs" are their places in the array.
Json Operations(const Graph& graph) {
  Json operations = Json::MakeArray();
  for (const Node& n : graph.nodes) {
    Json inputs = Json::MakeArray(), weights = Json::MakeArray();
    for (const ValueId v : n.in) {
      inputs.Append(int64_t{v});
    }
    for (const std::string& w : n.weights) {
      if (!w.empty()) weights.Append(w);
    }
    const Encoding* e = graph.FindEncoding(n.site);
    Json j = Json::MakeObject();
    j.Set("site", n.site);
    j.Set("op", OpName(n.op));
    j.Set("width", n.width);
    j.Set("inputs", std::move(inputs));
    j.Set("weights", std::move(weights));
    j.Set("codec", e != nullptr && e->quantized() ? Json(CodecName(e->codec)) : Json());
    operations.Append(std::move(j));
  }
  return operations;
}

Json Describe(const std::string& path, const Subject& s) {
  std::map<std::string_view, int64_t> by_class;
  std::map<std::string, int64_t> by_dtype;
  int64_t total = 0;
  for (const auto& [name, w] : s.tensors) {
    const int64_t bytes = w.data_bytes();
    by_class[ClassOf(name)] += bytes;
    by_dtype[DTypeName(w.dtype)] += bytes;
    total += bytes;
  }
  Json j = Json::MakeObject();
  j.Set("path", path);
  j.Set("kind", s.config ? "model" : "file");
  if (s.config) {
    const Json* type = s.config->Find("model_type");  // state-spaces configs have none
    j.Set("model_type", type != nullptr && type->is_string()
                            ? *type
                            : Json(FamilyOf(s.graph) == Family::kMamba ? "mamba" : "mamba2"));
    j.Set("config", Sizes(s.graph));
  }
  j.Set("tensors", static_cast<int64_t>(s.tensors.size()));
  j.Set("parameters", s.parameters);
  j.Set("bytes", total);
  Json classes = Json::MakeObject();
  for (const char* c : kClasses) {
    classes.Set(c, by_class[c]);
  }
  j.Set("bytes_by_class", std::move(classes));
  Json dtypes = Json::MakeObject();
  for (const auto& [name, bytes] : by_dtype) {
    dtypes.Set(name, bytes);
  }
  j.Set("bytes_by_dtype", std::move(dtypes));
  if (s.config) {
    j.Set("state", ToText(s.graph.state));
    j.Set("state_bytes_per_stream", State(s.graph).bytes());
    j.Set("quantization", Quantization(s));
  }
  Json warnings = Json::MakeArray();
  for (const std::string& w : s.warnings) {
    warnings.Append(w);
  }
  j.Set("warnings", std::move(warnings));
  return j;
}

std::string Scalar(const Json& v) {
  return v.is_string() ? v.AsString() : v.is_int() ? FormatCount(v.AsInt()) : v.Dump(-1);
}

// The same object for people: nested members indented, byte counts readable.
void AppendText(const Json& object, const std::string& indent, bool bytes, std::string* text) {
  for (const auto& [key, value] : object.AsObject()) {
    const bool sizes = bytes || key.find("bytes") != key.npos;
    if (value.is_array() || (value.is_object() && value.AsObject().empty())) continue;
    std::string name = Printable(key);
    std::ranges::replace(name, '_', ' ');
    if (value.is_object()) {
      *text += fmt::format("{}{}\n", indent, name);
      AppendText(value, indent + "  ", sizes, text);
    } else {
      const std::string shown =
          sizes && value.is_int() ? FormatBytes(value.AsInt()) : Printable(Scalar(value));
      *text += fmt::format("{:<{}} {}\n", indent + name, kValueColumn, shown);
    }
  }
}

}  // namespace

Status Run(const InspectCommand& c) {
  std::error_code error;
  const bool model = IsModel(c.path);
  if (!std::filesystem::exists(c.path, error)) {
    return NotFound(fmt::format("{}: there is no such model folder or file", c.path));
  }
  OCTET_ASSIGN(const Subject s, model ? OpenModel(c.path) : OpenFile(c.path));
  if (c.graph && !model) {
    return InvalidArgument(fmt::format("{}: --graph needs a model folder", c.path));
  }
  Json j = Describe(c.path, s);
  if (c.json) {
    if (c.graph) j.Set("graph", Operations(s.graph));
    PrintJson("inspect", std::move(j));
    return {};
  }
  std::string text;
  AppendText(j, "", false, &text);
  if (c.graph) text.append("\n").append(ToText(s.graph));
  Print(text);
  PrintWarnings(c.path, s.warnings);
  return {};
}

}  // namespace octet::cli
