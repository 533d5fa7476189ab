#include "arch/mamba2.h"

#include <limits>

#include <fmt/format.h>

#include "arch/config_reader.h"
#include "arch/tensor_check.h"

namespace octet {
namespace {

// transformers writes its default also where the tensors have one group.
constexpr int64_t kTransformersGroups = 8;

// Values of config.json in one spelling; absent ones are nothing.
struct Declared : DeclaredModel {
  std::optional<int64_t> heads, head_dim, groups, chunk_size;
  int64_t default_groups = 1, default_state_size = 128;  // what a config without the key means
  double dt_lo = 0, dt_hi = std::numeric_limits<double>::infinity();
};

Status ReadTimeStepLimit(const ConfigReader& reader, std::string_view key, Declared* d) {
  const Json* limit = reader.Find(key);
  if (limit == nullptr || limit->is_null()) return {};
  constexpr const char* kWanted = "[low, high] with 0 <= low < high";
  if (!limit->is_array() || limit->AsArray().size() != 2) return reader.Bad(key, kWanted);
  const Result<double> lo = limit->AsArray()[0].AsNumber();
  const Result<double> hi = limit->AsArray()[1].AsNumber();
  if (!lo.ok() || !hi.ok() || !(*lo >= 0) || !(static_cast<float>(*lo) < static_cast<float>(*hi))) {
    return reader.Bad(key, kWanted);
  }
  d->dt_lo = *lo;
  d->dt_hi = *hi;
  return {};
}

Result<Declared> ReadHuggingFaceConfig(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  Declared d;
  OCTET_TRY(ReadHuggingFace(r, /*tied=*/false, &d));
  OCTET_ASSIGN(d.heads, r.Size("num_heads"));
  OCTET_ASSIGN(d.head_dim, r.Size("head_dim"));
  OCTET_ASSIGN(d.groups, r.Size("n_groups"));
  d.default_groups = kTransformersGroups;
  OCTET_ASSIGN(d.chunk_size, r.Size("chunk_size"));
  OCTET_TRY(ReadTimeStepLimit(r, "time_step_limit", &d));
  return d;
}

Result<Declared> ReadStateSpacesConfig(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  OCTET_ASSIGN(const Json ssm, SsmConfig(config));
  const ConfigReader s(ssm, "config.json: ssm_cfg.");
  Declared d;
  OCTET_TRY(ReadStateSpaces(r, s, &d));
  OCTET_ASSIGN(d.head_dim, s.Size("headdim"));
  OCTET_ASSIGN(d.groups, s.Size("ngroups"));
  OCTET_ASSIGN(d.chunk_size, s.Size("chunk_size"));
  OCTET_ASSIGN(const bool rmsnorm, s.Bool("rmsnorm", true));
  OCTET_ASSIGN(const bool before, s.Bool("norm_before_gate", false));
  if (!rmsnorm || before) {
    return Unsupported(
        "config.json: only the gated norm after the gate (rmsnorm true, "
        "norm_before_gate false) is supported");
  }
  OCTET_TRY(ReadTimeStepLimit(s, "dt_limit", &d));
  return d;
}

class SizeInference {
 public:
  SizeInference(const Declared& declared, const WeightMap& weights, SizeWarnings* warnings)
      : declared_(declared), weights_(weights), warnings_(*warnings) {}

  Result<Mamba2Config> Run() {
    Mamba2Config c;
    OCTET_ASSIGN(outer_, FindOuterSizes(weights_));
    c.vocab_rows = outer_.vocab_rows;
    c.d_model = outer_.d_model;
    c.layers = outer_.layers;
    const std::string mixer = "backbone.layers.0.mixer.";
    OCTET_ASSIGN(const Weight a_log, ShapedTensor(weights_, mixer + "A_log", 1));
    OCTET_ASSIGN(const Weight norm, ShapedTensor(weights_, mixer + "norm.weight", 1));
    OCTET_ASSIGN(const Weight in_proj, ShapedTensor(weights_, mixer + "in_proj.weight", 2));
    OCTET_ASSIGN(const Weight conv, ShapedTensor(weights_, mixer + "conv1d.weight", 3));
    c.heads = a_log.shape[0];
    if (norm.shape[0] % c.heads != 0) {
      return Corrupt(
          fmt::format("tensors {0}norm.weight [{1}] and {0}A_log [{2}] disagree: the heads "
                      "do not divide the inner size",
                      mixer, norm.shape[0], c.heads));
    }
    c.head_dim = norm.shape[0] / c.heads;
    c.conv_kernel = conv.shape[2];
    const int64_t two_bc = in_proj.shape[0] - 2 * norm.shape[0] - c.heads;
    if (two_bc < 2 || two_bc % 2 != 0) {
      return Corrupt(
          fmt::format("tensor {}in_proj.weight has {} rows, which leaves no room for B and "
                      "C beside z, x (2 x {}) and dt ({})",
                      mixer, in_proj.shape[0], norm.shape[0], c.heads));
    }
    OCTET_TRY(SplitGroups(two_bc / 2, &c));
    warnings_.CompareOuter(declared_, outer_);
    warnings_.Compare("number of heads", declared_.heads, c.heads);
    warnings_.Compare("head dimension", declared_.head_dim, c.head_dim);
    warnings_.Compare("convolution width", declared_.conv_kernel, c.conv_kernel);
    return c;
  }

  const OuterSizes& outer() const { return outer_; }

 private:
  // The tensors give G and N only as a product; the config must say how to split it.
  Status SplitGroups(int64_t product, Mamba2Config* c) {
    const int64_t G = declared_.groups.value_or(declared_.default_groups);
    const int64_t N = declared_.state_size.value_or(declared_.default_state_size);
    const bool n_fits = product % N == 0, g_fits = product % G == 0;
    const bool n_stated = declared_.state_size.has_value(), g_stated = declared_.groups.has_value();
    const bool one_group = N == product && G == kTransformersGroups;
    if (!n_fits && !g_fits) {
      return Corrupt(
          fmt::format("the tensors have {} channels for B, which neither the state size nor "
                      "the number of groups of config.json divides",
                      product));
    }
    if (n_fits && g_fits && G != product / N && n_stated == g_stated && !one_group) {
      return Corrupt(
          fmt::format("config.json says state size {} and {} groups, but the tensors have {} "
                      "channels for B, which could be {} groups or state size {}",
                      N, G, product, product / N, product / G));
    }
    const bool by_state_size = n_fits && (n_stated || !g_stated || !g_fits);
    c->state_size = by_state_size ? N : product / G;
    c->groups = product / c->state_size;
    warnings_.Compare("number of groups", G, c->groups);
    warnings_.Compare("state size", N, c->state_size);
    if (c->heads % c->groups != 0) {
      return Corrupt(fmt::format("{} heads cannot be shared by {} groups", c->heads, c->groups));
    }
    return {};
  }

  const Declared& declared_;
  const WeightMap& weights_;
  SizeWarnings& warnings_;
  OuterSizes outer_;
};

Status CheckLayer(const Mamba2Config& c, const Declared& d, const WeightMap& weights, int64_t layer,
                  TensorCheck* check) {
  const std::string block = fmt::format("backbone.layers.{}.", layer);
  const std::string mixer = block + "mixer.";
  OCTET_TRY(check->Need(block + "norm.weight", {c.d_model}));
  OCTET_TRY(check->Need(mixer + "in_proj.weight", {c.d_in_proj(), c.d_model}));
  OCTET_TRY(check->Optional(mixer + "in_proj.bias", {c.d_in_proj()}, d.bias));
  OCTET_TRY(check->Need(mixer + "conv1d.weight", {c.d_xbc(), 1, c.conv_kernel}));
  OCTET_TRY(check->Optional(mixer + "conv1d.bias", {c.d_xbc()}, d.conv_bias));
  OCTET_TRY(check->Need(mixer + "dt_bias", {c.heads}));
  OCTET_TRY(check->Need(mixer + "A_log", {c.heads}));
  const Weight* skip = weights.Find(mixer + "D");  // [H], or [H P] when D_has_hdim
  const bool per_channel = skip != nullptr && skip->count() == c.d_inner() && c.head_dim > 1;
  OCTET_TRY(check->Need(mixer + "D", {per_channel ? c.d_inner() : c.heads}));
  OCTET_TRY(check->Need(mixer + "norm.weight", {c.d_inner()}));
  OCTET_TRY(check->Need(mixer + "out_proj.weight", {c.d_model, c.d_inner()}));
  return check->Optional(mixer + "out_proj.bias", {c.d_model}, d.bias);
}

}  // namespace

bool IsMamba2(const Json& config) {
  if (const Json* type = config.Find("model_type"); type != nullptr) return *type == Json("mamba2");
  const Json* ssm = config.Find("ssm_cfg");
  const Json* layer = ssm != nullptr ? ssm->Find("layer") : nullptr;
  return layer != nullptr && *layer == Json("Mamba2");
}

Result<Architecture> BuildMamba2(const Json& config, const WeightMap& weights) {
  OCTET_ASSIGN(const Declared d, IsStateSpaces(config) ? ReadStateSpacesConfig(config)
                                                       : ReadHuggingFaceConfig(config));
  if (d.chunk_size.value_or(1) > kMaxChunkSize) {
    return InvalidArgument(fmt::format("config.json: chunk_size is {}, but must be at most {}",
                                       *d.chunk_size, kMaxChunkSize));
  }
  const WeightMap named = CanonicalNames(weights);
  SizeWarnings warnings;
  SizeInference inference(d, named, &warnings);
  OCTET_ASSIGN(Mamba2Config c, inference.Run());
  c.chunk_size = d.chunk_size.value_or(256);
  c.norm_eps = static_cast<float>(d.norm_eps);
  c.dt_lo = static_cast<float>(d.dt_lo);
  c.dt_hi = static_cast<float>(d.dt_hi);

  TensorCheck check(named);
  OCTET_ASSIGN(c.tied, check.NeedOuter(inference.outer(), d, &warnings));
  for (int64_t i = 0; i < c.layers; ++i) {
    OCTET_TRY(CheckLayer(c, d, named, i, &check));
  }
  Architecture result;
  OCTET_ASSIGN(result.weights, check.Finish("Mamba-2"));
  result.warnings = warnings.Take();
  result.graph = Mamba2Graph(c, result.weights);
  return result;
}

}  // namespace octet
