#include "arch/mamba2.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "arch/config_reader.h"
#include "base/checked.h"

namespace octet {
namespace {

// Values of config.json in one spelling; absent ones are nothing.
struct Declared {
  std::optional<int64_t> d_model, layers, vocab, heads, head_dim, state_size, groups, conv_kernel,
      expand, chunk_size;
  bool bias = false, conv_bias = true, tied = false;
  double dt_lo = 0, dt_hi = std::numeric_limits<double>::infinity(), norm_eps = 1e-5;
};

bool IsStateSpaces(const Json& config) {
  return config.Find("ssm_cfg") != nullptr || config.Find("d_model") != nullptr;
}

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

Result<Declared> ReadHuggingFace(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  Declared d;
  OCTET_ASSIGN(d.d_model, r.Size("hidden_size"));
  OCTET_ASSIGN(d.layers, r.Size("num_hidden_layers"));
  OCTET_ASSIGN(d.vocab, r.Size("vocab_size"));
  OCTET_ASSIGN(d.heads, r.Size("num_heads"));
  OCTET_ASSIGN(d.head_dim, r.Size("head_dim"));
  OCTET_ASSIGN(d.state_size, r.Size("state_size"));
  OCTET_ASSIGN(d.groups, r.Size("n_groups"));
  if (!d.groups) d.groups = 8;  // transformers' default, which a config without the key means
  OCTET_ASSIGN(d.conv_kernel, r.Size("conv_kernel"));
  OCTET_ASSIGN(d.chunk_size, r.Size("chunk_size"));
  OCTET_ASSIGN(d.bias, r.Bool("use_bias", false));
  OCTET_ASSIGN(d.conv_bias, r.Bool("use_conv_bias", true));
  OCTET_ASSIGN(d.tied, r.Bool("tie_word_embeddings", false));
  OCTET_ASSIGN(d.norm_eps, r.Number("layer_norm_epsilon", 1e-5));
  OCTET_TRY(ReadTimeStepLimit(r, "time_step_limit", &d));
  if (const Json* act = r.Find("hidden_act");
      act != nullptr && *act != Json("silu") && *act != Json("swish")) {
    return Unsupported("config.json: hidden_act " + act->Dump(-1) + " is not supported, only silu");
  }
  return d;
}

Result<Declared> ReadStateSpaces(const Json& config) {
  const ConfigReader r(config, "config.json: ");
  const Json empty = Json::MakeObject();
  const Json* ssm = config.Find("ssm_cfg");
  if (ssm != nullptr && !ssm->is_object()) return r.Bad("ssm_cfg", "an object");
  const ConfigReader s(ssm != nullptr ? *ssm : empty, "config.json: ssm_cfg.");
  OCTET_ASSIGN(const double mlp, r.Number("d_intermediate", 0));
  const Json* attention = r.Find("attn_layer_idx");
  if (mlp != 0 || (attention != nullptr && *attention != Json(Json::Array{}))) {
    return Unsupported("config.json: models with MLP or attention layers are not supported");
  }
  Declared d;
  OCTET_ASSIGN(d.d_model, r.Size("d_model"));
  OCTET_ASSIGN(d.layers, r.Size("n_layer"));
  OCTET_ASSIGN(d.head_dim, s.Size("headdim"));
  OCTET_ASSIGN(d.state_size, s.Size("d_state"));
  if (!d.state_size) d.state_size = 128;
  OCTET_ASSIGN(d.groups, s.Size("ngroups"));
  if (!d.groups) d.groups = 1;
  OCTET_ASSIGN(d.conv_kernel, s.Size("d_conv"));
  OCTET_ASSIGN(d.chunk_size, s.Size("chunk_size"));
  OCTET_ASSIGN(d.bias, s.Bool("bias", false));
  OCTET_ASSIGN(d.conv_bias, s.Bool("conv_bias", true));
  OCTET_ASSIGN(d.tied, r.Bool("tie_embeddings", true));
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

// state-spaces' one rename; everything else is named alike.
WeightMap Canonical(const WeightMap& weights) {
  WeightMap renamed;
  for (const auto& [name, weight] : weights.all()) {
    renamed.Set(name == "backbone.embedding.weight" ? "backbone.embeddings.weight" : name, weight);
  }
  return renamed;
}

Result<Weight> Matrix(const WeightMap& weights, const std::string& name, size_t rank) {
  OCTET_ASSIGN(Weight w, weights.Get(name));
  if (w.shape.size() != rank || std::ranges::any_of(w.shape, [](int64_t n) { return n < 1; })) {
    return Corrupt(fmt::format("tensor {} has shape [{}], expected {} non-empty dimensions", name,
                               fmt::join(w.shape, ", "), rank));
  }
  return w;
}

constexpr int64_t kMaxLayers = 4096;  // loading is quadratic in it

class SizeInference {
 public:
  SizeInference(const Declared& declared, const WeightMap& weights)
      : declared_(declared), weights_(weights) {}

  Result<Mamba2Config> Run() {
    Mamba2Config c;
    OCTET_ASSIGN(const Weight table, Matrix(weights_, "backbone.embeddings.weight", 2));
    c.vocab_rows = table.shape[0];
    c.d_model = table.shape[1];
    while (HasLayer(c.layers)) {
      ++c.layers;
    }
    if (c.layers > kMaxLayers) {
      return TooLarge(
          fmt::format("the tensors have {} layers; the limit is {}", c.layers, kMaxLayers));
    }
    const std::string mixer = "backbone.layers.0.mixer.";
    OCTET_ASSIGN(const Weight a_log, Matrix(weights_, mixer + "A_log", 1));
    OCTET_ASSIGN(const Weight norm, Matrix(weights_, mixer + "norm.weight", 1));
    OCTET_ASSIGN(const Weight in_proj, Matrix(weights_, mixer + "in_proj.weight", 2));
    OCTET_ASSIGN(const Weight conv, Matrix(weights_, mixer + "conv1d.weight", 3));
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
    Compare("hidden size", declared_.d_model, c.d_model);
    Compare("number of layers", declared_.layers, c.layers);
    Compare("number of heads", declared_.heads, c.heads);
    Compare("head dimension", declared_.head_dim, c.head_dim);
    Compare("convolution width", declared_.conv_kernel, c.conv_kernel);
    if (declared_.vocab && *declared_.vocab != c.vocab_rows) {
      Compare("vocabulary size", declared_.vocab, c.vocab_rows);
    }
    return c;
  }

  std::vector<std::string> TakeWarnings() { return std::move(warnings_); }

 private:
  // Whether any tensor belongs to the layer: one that lacks tensors is an error that names them.
  bool HasLayer(int64_t layer) const {
    const std::string prefix = fmt::format("backbone.layers.{}.", layer);
    const auto first = weights_.all().lower_bound(prefix);
    return first != weights_.all().end() && first->first.starts_with(prefix);
  }

  void Compare(const char* what, std::optional<int64_t> declared, int64_t actual) {
    if (declared && *declared != actual) {
      warnings_.push_back(fmt::format("config.json says {} {}, the tensors have {}; using {}", what,
                                      *declared, actual, actual));
    }
  }

  // G and N are known only as a product; the config decides, and loses where it contradicts.
  Status SplitGroups(int64_t product, Mamba2Config* c) {
    const int64_t N = declared_.state_size.value_or(0);
    const int64_t G = declared_.groups.value_or(0);
    if (N > 0 && product % N == 0) {
      c->state_size = N;
      c->groups = product / N;
    } else if (G > 0 && product % G == 0) {
      c->groups = G;
      c->state_size = product / G;
    } else {
      return Corrupt(
          fmt::format("the tensors have {} channels for B, which neither the state size nor "
                      "the number of groups of config.json divides",
                      product));
    }
    Compare("number of groups", declared_.groups, c->groups);
    Compare("state size", declared_.state_size, c->state_size);
    if (c->heads % c->groups != 0) {
      return Corrupt(fmt::format("{} heads cannot be shared by {} groups", c->heads, c->groups));
    }
    return {};
  }

  const Declared& declared_;
  const WeightMap& weights_;
  std::vector<std::string> warnings_;
};

// Keeps exactly the expected tensors; a missing, misshapen or unexpected one is an error.
class TensorCheck {
 public:
  explicit TensorCheck(const WeightMap& weights) : weights_(weights) {}

  Status Need(const std::string& name, const std::vector<int64_t>& shape) {
    OCTET_ASSIGN(Weight w, weights_.Get(name));
    if (w.shape != shape) {
      return Corrupt(fmt::format("tensor {} has shape [{}], expected [{}]", name,
                                 fmt::join(w.shape, ", "), fmt::join(shape, ", ")));
    }
    kept_.Set(name, std::move(w));
    return {};
  }

  Status Optional(const std::string& name, const std::vector<int64_t>& shape, bool required) {
    if (weights_.Find(name) == nullptr && !required) return {};
    return Need(name, shape);
  }

  void Ignore(const std::string& name) { ignored_.insert(name); }

  Result<WeightMap> Finish() {
    for (const auto& [name, weight] : weights_.all()) {
      if (kept_.Find(name) == nullptr && ignored_.count(name) == 0) {
        return Corrupt(fmt::format("tensor {} is not part of a Mamba-2 model", name));
      }
    }
    return std::move(kept_);
  }

 private:
  const WeightMap& weights_;
  WeightMap kept_;
  std::set<std::string> ignored_;
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

bool SameBytes(const Weight& a, const Weight& b) {
  return a.dtype == b.dtype && a.shape == b.shape && !a.quantized() &&
         (a.data == b.data ||
          std::memcmp(a.data, b.data, static_cast<size_t>(BytesOf(a.dtype, a.count()))) == 0);
}

// The head may be absent (tied), an alias of the embedding, or a matrix of its own.
Status CheckHead(const Declared& d, const WeightMap& weights, Mamba2Config* c, TensorCheck* check,
                 std::vector<std::string>* warnings) {
  const Weight* head = weights.Find("lm_head.weight");
  const Weight* table = weights.Find("backbone.embeddings.weight");
  c->tied = head == nullptr || SameBytes(*head, *table);
  if (head == nullptr && !d.tied) {
    warnings->push_back("there is no lm_head.weight; the head is tied to the embedding");
  }
  if (!c->tied) return check->Need("lm_head.weight", {c->vocab_rows, c->d_model});
  check->Ignore("lm_head.weight");
  return {};
}

}  // namespace

bool IsMamba2(const Json& config) {
  if (const Json* type = config.Find("model_type"); type != nullptr) return *type == Json("mamba2");
  const Json* ssm = config.Find("ssm_cfg");
  const Json* layer = ssm != nullptr ? ssm->Find("layer") : nullptr;
  return layer != nullptr && *layer == Json("Mamba2");
}

Result<Architecture> BuildMamba2(const Json& config, const WeightMap& weights) {
  OCTET_ASSIGN(const Declared d,
               IsStateSpaces(config) ? ReadStateSpaces(config) : ReadHuggingFace(config));
  if (!(static_cast<float>(d.norm_eps) > 0) || !(d.norm_eps < 1)) {
    return InvalidArgument("config.json: layer_norm_epsilon must be between 0 and 1");
  }
  if (d.chunk_size.value_or(1) > kMaxChunkSize) {
    return InvalidArgument(fmt::format("config.json: chunk_size is {}, but must be at most {}",
                                       *d.chunk_size, kMaxChunkSize));
  }
  const WeightMap named = Canonical(weights);
  SizeInference inference(d, named);
  OCTET_ASSIGN(Mamba2Config c, inference.Run());
  c.chunk_size = d.chunk_size.value_or(256);
  c.norm_eps = static_cast<float>(d.norm_eps);
  c.dt_lo = static_cast<float>(d.dt_lo);
  c.dt_hi = static_cast<float>(d.dt_hi);

  Architecture result;
  result.warnings = inference.TakeWarnings();
  TensorCheck check(named);
  OCTET_TRY(check.Need("backbone.embeddings.weight", {c.vocab_rows, c.d_model}));
  OCTET_TRY(check.Need("backbone.norm_f.weight", {c.d_model}));
  OCTET_TRY(CheckHead(d, named, &c, &check, &result.warnings));
  for (int64_t i = 0; i < c.layers; ++i) {
    OCTET_TRY(CheckLayer(c, d, named, i, &check));
  }
  OCTET_ASSIGN(result.weights, check.Finish());
  result.graph = Mamba2Graph(c, result.weights);
  return result;
}

}  // namespace octet
