#include "arch/mamba1.h"

#include <fmt/format.h>

#include "arch/config_reader.h"
#include "arch/tensor_check.h"

namespace octet {
namespace {

// Values of config.json in one spelling; absent ones are nothing.
struct Declared : DeclaredModel {
  std::optional<int64_t> d_inner, dt_rank;
  double mixer_eps = 1e-6;
};

// A size, or "auto", which means ceil(hidden size / 16): what the tensors have anyway.
Result<std::optional<int64_t>> Rank(const ConfigReader& reader, std::string_view key) {
  const Json* value = reader.Find(key);
  if (value != nullptr && *value == Json("auto")) return std::optional<int64_t>();
  return reader.Size(key);
}

Result<Declared> ReadHuggingFaceConfig(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  Declared d;
  OCTET_TRY(ReadHuggingFace(r, /*tied=*/true, &d));
  OCTET_ASSIGN(d.d_inner, r.Size("intermediate_size"));
  OCTET_ASSIGN(d.dt_rank, Rank(r, "time_step_rank"));
  if (IsFalconMamba(config)) {
    OCTET_ASSIGN(d.mixer_eps, r.Number("mixer_rms_eps", 1e-6));
    OCTET_TRY(CheckEps("mixer_rms_eps", d.mixer_eps));
  }
  return d;
}

Result<Declared> ReadStateSpacesConfig(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  OCTET_ASSIGN(const Json ssm, SsmConfig(config));
  const ConfigReader s(ssm, "config.json: ssm_cfg.");
  Declared d;
  OCTET_TRY(ReadStateSpaces(r, s, &d));
  OCTET_ASSIGN(d.dt_rank, Rank(s, "dt_rank"));
  return d;
}

Result<Mamba1Config> InferSizes(const Declared& d, const OuterSizes& outer,
                                const WeightMap& weights, SizeWarnings* warnings) {
  Mamba1Config c;
  c.d_model = outer.d_model;
  c.layers = outer.layers;
  c.vocab_rows = outer.vocab_rows;
  const std::string mixer = "backbone.layers.0.mixer.";
  OCTET_ASSIGN(const Weight a_log, ShapedTensor(weights, mixer + "A_log", 2));
  OCTET_ASSIGN(const Weight dt_proj, ShapedTensor(weights, mixer + "dt_proj.weight", 2));
  OCTET_ASSIGN(const Weight conv, ShapedTensor(weights, mixer + "conv1d.weight", 3));
  c.d_inner = a_log.shape[0];
  c.state_size = a_log.shape[1];
  c.dt_rank = dt_proj.shape[1];
  c.conv_kernel = conv.shape[2];
  warnings->CompareOuter(d, outer);
  warnings->Compare("inner size", d.d_inner, c.d_inner);
  warnings->Compare("state size", d.state_size, c.state_size);
  warnings->Compare("rank of dt", d.dt_rank, c.dt_rank);
  warnings->Compare("convolution width", d.conv_kernel, c.conv_kernel);
  return c;
}

Status CheckLayer(const Mamba1Config& c, const Declared& d, int64_t layer, TensorCheck* check) {
  const std::string block = fmt::format("backbone.layers.{}.", layer);
  const std::string mixer = block + "mixer.";
  OCTET_TRY(check->Need(block + "norm.weight", {c.d_model}));
  OCTET_TRY(check->Need(mixer + "in_proj.weight", {2 * c.d_inner, c.d_model}));
  OCTET_TRY(check->Optional(mixer + "in_proj.bias", {2 * c.d_inner}, d.bias));
  OCTET_TRY(check->Need(mixer + "conv1d.weight", {c.d_inner, 1, c.conv_kernel}));
  OCTET_TRY(check->Optional(mixer + "conv1d.bias", {c.d_inner}, d.conv_bias));
  OCTET_TRY(check->Need(mixer + "x_proj.weight", {c.d_x_proj(), c.d_inner}));
  OCTET_TRY(check->Need(mixer + "dt_proj.weight", {c.d_inner, c.dt_rank}));
  OCTET_TRY(check->Need(mixer + "dt_proj.bias", {c.d_inner}));
  OCTET_TRY(check->Need(mixer + "A_log", {c.d_inner, c.state_size}));
  OCTET_TRY(check->Need(mixer + "D", {c.d_inner}));
  OCTET_TRY(check->Need(mixer + "out_proj.weight", {c.d_model, c.d_inner}));
  return check->Optional(mixer + "out_proj.bias", {c.d_model}, d.bias);
}

}  // namespace

bool IsMamba1(const Json& config) {
  if (const Json* type = config.Find("model_type"); type != nullptr) return *type == Json("mamba");
  if (!IsStateSpaces(config)) return false;
  const Json* ssm = config.Find("ssm_cfg");
  const Json* layer = ssm != nullptr ? ssm->Find("layer") : nullptr;
  return layer == nullptr || *layer == Json("Mamba1");
}

bool IsFalconMamba(const Json& config) {
  const Json* type = config.Find("model_type");
  return type != nullptr && *type == Json("falcon_mamba");
}

Result<Architecture> BuildMamba1(const Json& config, const WeightMap& weights) {
  // Converted checkpoints keep state-spaces' keys beside Hugging Face's; model_type decides.
  const bool hugging_face = config.Find("model_type") != nullptr;
  OCTET_ASSIGN(const Declared d,
               hugging_face ? ReadHuggingFaceConfig(config) : ReadStateSpacesConfig(config));
  const WeightMap named = CanonicalNames(weights);
  SizeWarnings warnings;
  OCTET_ASSIGN(const OuterSizes outer, FindOuterSizes(named));
  OCTET_ASSIGN(Mamba1Config c, InferSizes(d, outer, named, &warnings));
  c.norm_eps = static_cast<float>(d.norm_eps);
  c.mixer_norms = IsFalconMamba(config);
  c.mixer_eps = static_cast<float>(d.mixer_eps);

  TensorCheck check(named);
  OCTET_ASSIGN(c.tied, check.NeedOuter(outer, d, &warnings));
  for (int64_t i = 0; i < c.layers; ++i) {
    OCTET_TRY(CheckLayer(c, d, i, &check));
  }
  Architecture result;
  OCTET_ASSIGN(result.weights, check.Finish("Mamba"));
  result.warnings = warnings.Take();
  result.graph = Mamba1Graph(c, result.weights);
  return result;
}

}  // namespace octet
