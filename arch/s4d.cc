#include "arch/s4d.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "arch/config_reader.h"
#include "arch/tensor_check.h"

namespace octet {
namespace {

// The value of a word in config.json among `choices`, the first of which is the default.
template <class Value>
Result<Value> Choose(const Json& config, std::string_view key,
                     std::span<const std::pair<const char*, Value>> choices) {
  const Json* word = config.Find(key);
  if (word == nullptr || word->is_null()) return choices.front().second;
  std::string names;
  for (const auto& [name, value] : choices) {
    if (*word == Json(name)) return value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  return InvalidArgument(
      fmt::format("config.json: {} is {}, must be one of {}", key, word->Dump(-1), names));
}

constexpr std::pair<const char*, Discretization> kDiscretizations[] = {
    {"zoh", Discretization::kZoh},
    {"bilinear", Discretization::kBilinear},
    {"none", Discretization::kNone}};
constexpr std::pair<const char*, RealPart> kRealParts[] = {{"exp", RealPart::kExp},
                                                           {"relu", RealPart::kRelu},
                                                           {"softplus", RealPart::kSoftplus},
                                                           {"sigmoid", RealPart::kSigmoid},
                                                           {"none", RealPart::kIdentity}};
constexpr std::pair<const char*, S4dNorm> kNorms[] = {
    {"post", S4dNorm::kPost}, {"pre", S4dNorm::kPre}, {"none", S4dNorm::kNone}};
constexpr std::pair<const char*, GeluForm> kGelus[] = {{"exact", GeluForm::kExact},
                                                       {"piecewise", GeluForm::kPiecewise}};

// The tensors without the prefix under which a training script nests them, and matrices for
// convolutions of width 1, which they are.
Result<WeightMap> PlainNames(const WeightMap& weights) {
  constexpr std::string_view kPrefix = "model.";
  WeightMap plain;
  for (const auto& [name, weight] : weights.all()) {
    Weight w = weight;
    const bool nested = name.starts_with(kPrefix);
    if (name.ends_with(".output_linear.0.weight") && w.shape.size() == 3 && w.shape[2] == 1) {
      w.shape.pop_back();
    }
    std::string bare = nested ? name.substr(kPrefix.size()) : name;
    if (plain.Find(bare) != nullptr) {
      return Corrupt(
          fmt::format("tensor {} is there with and without the prefix {}", bare, kPrefix));
    }
    plain.Set(std::move(bare), std::move(w));
  }
  return plain;
}

Result<S4dConfig> ReadConfig(const Json& config, bool has_norms) {
  const ConfigReader r(config, "config.json: ");
  S4dConfig c;
  OCTET_ASSIGN(c.s4d.discretization,
               Choose<Discretization>(config, "discretization", kDiscretizations));
  OCTET_ASSIGN(c.s4d.real_part, Choose<RealPart>(config, "real_transform", kRealParts));
  OCTET_ASSIGN(c.gelu, Choose<GeluForm>(config, "gelu", kGelus));
  OCTET_ASSIGN(c.norm, Choose<S4dNorm>(config, "norm", kNorms));
  if (config.Find("norm") == nullptr && !has_norms) c.norm = S4dNorm::kNone;
  OCTET_ASSIGN(const double eps, r.Number("norm_eps", 1e-5));
  OCTET_TRY(CheckEps("norm_eps", eps));
  c.norm_eps = static_cast<float>(eps);
  return c;
}

// What config.json says of the sizes and the tensors contradict; the tensors win.
Result<std::vector<std::string>> CompareSizes(const Json& config, const S4dConfig& c) {
  const ConfigReader r(config, "config.json: ");
  SizeWarnings warnings;
  const std::pair<const char*, int64_t> sizes[] = {{"d_input", c.d_input},
                                                   {"d_model", c.d_model},
                                                   {"d_output", c.d_output},
                                                   {"n_layers", c.layers},
                                                   {"n_modes", c.s4d.modes}};
  for (const auto& [key, actual] : sizes) {
    OCTET_ASSIGN(const std::optional<int64_t> declared, r.Size(key));
    warnings.Compare(key, declared, actual);
  }
  return warnings.Take();
}

Status InferSizes(const WeightMap& weights, S4dConfig* c) {
  OCTET_ASSIGN(const Weight encoder, ShapedTensor(weights, "encoder.weight", 2));
  OCTET_ASSIGN(const Weight decoder, ShapedTensor(weights, "decoder.weight", 2));
  OCTET_ASSIGN(const Weight C, ShapedTensor(weights, "s4_layers.0.kernel.C", 3));
  c->d_model = encoder.shape[0];
  c->d_input = encoder.shape[1];
  c->d_output = decoder.shape[0];
  c->s4d.modes = C.shape[1];
  constexpr int64_t kMaxLayers = 1 << 16;
  while (c->layers < kMaxLayers &&
         weights.Find(fmt::format("s4_layers.{}.kernel.C", c->layers)) != nullptr) {
    ++c->layers;
  }
  return {};
}

Status CheckLayer(const S4dConfig& c, int64_t i, TensorCheck* check) {
  const std::string layer = fmt::format("s4_layers.{}.", i);
  const std::string kernel = layer + "kernel.";
  const int64_t H = c.d_model, N = c.s4d.modes;
  OCTET_TRY(check->Need(layer + "D", {H}));
  if (c.s4d.discretization == Discretization::kNone) {
    OCTET_TRY(check->Need(kernel + "A", {H, N, 2}));
    OCTET_TRY(check->Need(kernel + "B", {H, N, 2}));
  } else {
    OCTET_TRY(check->Need(kernel + "log_dt", {H}));
    OCTET_TRY(check->Need(kernel + "log_A_real", {H, N}));
    OCTET_TRY(check->Need(kernel + "A_imag", {H, N}));
    OCTET_TRY(check->Optional(kernel + "B", {H, N, 2}, false));
  }
  OCTET_TRY(check->Need(kernel + "C", {H, N, 2}));
  OCTET_TRY(check->Need(layer + "output_linear.0.weight", {2 * H, H}));
  OCTET_TRY(check->Need(layer + "output_linear.0.bias", {2 * H}));
  if (c.norm == S4dNorm::kNone) return {};
  OCTET_TRY(check->Need(fmt::format("norms.{}.weight", i), {H}));
  return check->Need(fmt::format("norms.{}.bias", i), {H});
}

}  // namespace

bool IsS4d(const Json& config) {
  const Json* type = config.Find("model_type");
  return type != nullptr && *type == Json("s4d");
}

Result<Architecture> BuildS4d(const Json& config, const WeightMap& weights) {
  OCTET_ASSIGN(const WeightMap named, PlainNames(weights));
  OCTET_ASSIGN(S4dConfig c, ReadConfig(config, named.Find("norms.0.weight") != nullptr));
  OCTET_TRY(InferSizes(named, &c));
  TensorCheck check(named);
  OCTET_TRY(check.Need("encoder.weight", {c.d_model, c.d_input}));
  OCTET_TRY(check.Need("encoder.bias", {c.d_model}));
  for (int64_t i = 0; i < c.layers; ++i) {
    OCTET_TRY(CheckLayer(c, i, &check));
  }
  OCTET_TRY(check.Need("decoder.weight", {c.d_output, c.d_model}));
  OCTET_TRY(check.Need("decoder.bias", {c.d_output}));
  Architecture result;
  OCTET_ASSIGN(result.weights, check.Finish("S4D"));
  OCTET_ASSIGN(result.warnings, CompareSizes(config, c));
  result.graph = S4dGraph(c, result.weights);
  return result;
}

}  // namespace octet
