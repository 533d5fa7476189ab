#include "arch/tensor_check.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace octet {

bool IsStateSpaces(const Json& config) {
  return config.Find("ssm_cfg") != nullptr || config.Find("d_model") != nullptr;
}

Status CheckEps(const char* key, double eps) {
  if (static_cast<float>(eps) > 0 && eps < 1) return {};
  return InvalidArgument(fmt::format("config.json: {} must be between 0 and 1", key));
}

Status ReadHuggingFace(const ConfigReader& r, bool tied, DeclaredModel* d) {
  OCTET_ASSIGN(d->d_model, r.Size("hidden_size"));
  OCTET_ASSIGN(d->layers, r.Size("num_hidden_layers"));
  OCTET_ASSIGN(d->vocab, r.Size("vocab_size"));
  OCTET_ASSIGN(d->state_size, r.Size("state_size"));
  OCTET_ASSIGN(d->conv_kernel, r.Size("conv_kernel"));
  OCTET_ASSIGN(d->bias, r.Bool("use_bias", false));
  OCTET_ASSIGN(d->conv_bias, r.Bool("use_conv_bias", true));
  OCTET_ASSIGN(d->tied, r.Bool("tie_word_embeddings", tied));
  OCTET_ASSIGN(d->norm_eps, r.Number("layer_norm_epsilon", 1e-5));
  OCTET_TRY(CheckEps("layer_norm_epsilon", d->norm_eps));
  if (const Json* act = r.Find("hidden_act");
      act != nullptr && *act != Json("silu") && *act != Json("swish")) {
    return Unsupported("config.json: hidden_act " + act->Dump(-1) + " is not supported, only silu");
  }
  return {};
}

Result<Json> SsmConfig(const Json& config) {
  const Json* ssm = config.Find("ssm_cfg");
  if (ssm == nullptr) return Json::MakeObject();
  if (!ssm->is_object()) return ConfigReader(config, "config.json: ").Bad("ssm_cfg", "an object");
  return *ssm;
}

Status ReadStateSpaces(const ConfigReader& r, const ConfigReader& ssm, DeclaredModel* d) {
  OCTET_ASSIGN(const double mlp, r.Number("d_intermediate", 0));
  const Json* attention = r.Find("attn_layer_idx");
  if (mlp != 0 || (attention != nullptr && *attention != Json(Json::Array{}))) {
    return Unsupported("config.json: models with MLP or attention layers are not supported");
  }
  OCTET_ASSIGN(d->d_model, r.Size("d_model"));
  OCTET_ASSIGN(d->layers, r.Size("n_layer"));
  OCTET_ASSIGN(d->state_size, ssm.Size("d_state"));
  OCTET_ASSIGN(d->conv_kernel, ssm.Size("d_conv"));
  OCTET_ASSIGN(d->bias, ssm.Bool("bias", false));
  OCTET_ASSIGN(d->conv_bias, ssm.Bool("conv_bias", true));
  OCTET_ASSIGN(d->tied, r.Bool("tie_embeddings", true));
  return {};
}

WeightMap CanonicalNames(const WeightMap& weights) {
  WeightMap renamed;
  for (const auto& [name, weight] : weights.all()) {
    renamed.Set(name == "backbone.embedding.weight" ? "backbone.embeddings.weight" : name, weight);
  }
  return renamed;
}

Result<Weight> ShapedTensor(const WeightMap& weights, const std::string& name, size_t rank) {
  OCTET_ASSIGN(Weight w, weights.Get(name));
  if (w.shape.size() != rank || std::ranges::any_of(w.shape, [](int64_t n) { return n < 1; })) {
    return Corrupt(fmt::format("tensor {} has shape [{}], expected {} non-empty dimensions", name,
                               fmt::join(w.shape, ", "), rank));
  }
  return w;
}

namespace {

// Whether any tensor belongs to the layer: one that lacks tensors is an error that names them.
bool HasLayer(const WeightMap& weights, int64_t layer) {
  const std::string prefix = fmt::format("backbone.layers.{}.", layer);
  const auto first = weights.all().lower_bound(prefix);
  return first != weights.all().end() && first->first.starts_with(prefix);
}

constexpr int64_t kMaxLayers = 4096;  // loading is quadratic in it

}  // namespace

Result<OuterSizes> FindOuterSizes(const WeightMap& weights) {
  OCTET_ASSIGN(const Weight table, ShapedTensor(weights, "backbone.embeddings.weight", 2));
  OuterSizes sizes;
  sizes.vocab_rows = table.shape[0];
  sizes.d_model = table.shape[1];
  while (HasLayer(weights, sizes.layers)) {
    ++sizes.layers;
  }
  if (sizes.layers > kMaxLayers) {
    return TooLarge(
        fmt::format("the tensors have {} layers; the limit is {}", sizes.layers, kMaxLayers));
  }
  return sizes;
}

void SizeWarnings::Compare(const char* what, std::optional<int64_t> declared, int64_t actual) {
  if (declared && *declared != actual) {
    Add(fmt::format("config.json says {} {}, the tensors have {}; using {}", what, *declared,
                    actual, actual));
  }
}

void SizeWarnings::CompareOuter(const DeclaredModel& declared, const OuterSizes& actual) {
  Compare("hidden size", declared.d_model, actual.d_model);
  Compare("number of layers", declared.layers, actual.layers);
  Compare("vocabulary size", declared.vocab, actual.vocab_rows);
}

Status TensorCheck::Need(const std::string& name, const std::vector<int64_t>& shape) {
  OCTET_ASSIGN(Weight w, weights_.Get(name));
  if (w.shape != shape) {
    return Corrupt(fmt::format("tensor {} has shape [{}], expected [{}]", name,
                               fmt::join(w.shape, ", "), fmt::join(shape, ", ")));
  }
  kept_.Set(name, std::move(w));
  return {};
}

Status TensorCheck::Optional(const std::string& name, const std::vector<int64_t>& shape,
                             bool required) {
  if (weights_.Find(name) == nullptr && !required) return {};
  return Need(name, shape);
}

namespace {

bool SameBytes(const Weight& a, const Weight& b) {
  return a.dtype == b.dtype && a.shape == b.shape && !a.quantized() &&
         (a.data == b.data ||
          std::memcmp(a.data, b.data, static_cast<size_t>(BytesOf(a.dtype, a.count()))) == 0);
}

}  // namespace

Result<bool> TensorCheck::NeedOuter(const OuterSizes& sizes, const DeclaredModel& declared,
                                    SizeWarnings* warnings) {
  OCTET_TRY(Need("backbone.embeddings.weight", {sizes.vocab_rows, sizes.d_model}));
  OCTET_TRY(Need("backbone.norm_f.weight", {sizes.d_model}));
  const Weight* head = weights_.Find("lm_head.weight");
  const Weight* table = weights_.Find("backbone.embeddings.weight");
  const bool tied = head == nullptr || SameBytes(*head, *table);
  if (head == nullptr && !declared.tied) {
    warnings->Add("there is no lm_head.weight; the head is tied to the embedding");
  }
  if (tied) {
    ignored_.insert("lm_head.weight");
    return true;
  }
  OCTET_TRY(Need("lm_head.weight", {sizes.vocab_rows, sizes.d_model}));
  return false;
}

Result<WeightMap> TensorCheck::Finish(const char* family) {
  for (const auto& [name, weight] : weights_.all()) {
    if (kept_.Find(name) == nullptr && ignored_.count(name) == 0) {
      return Corrupt(fmt::format("tensor {} is not part of a {} model", name, family));
    }
  }
  return std::move(kept_);
}

}  // namespace octet
