#include "quant/recipes/recipes.h"

namespace octet {

RecipeOption StateOption(const char* fallback) {
  std::vector<const char*> formats;
  for (const std::string& name : StateFormatNames()) {
    formats.push_back(name.c_str());
  }
  return {"state",
          fallback,
          std::move(formats),
          0,
          0,
          "storage of the recurrent state: f32, f16, i16, i8 (a scale per row, made at every "
          "store) or i8s (calibrated ones); +sr rounds stochastically, +ef feeds the error back"};
}

RecipeOption HadamardOption() {
  return {"hadamard",
          "auto",
          {"auto", "block"},
          0,
          0,
          "rotation matrices: Paley factors where they exist, or block-diagonal powers of two"};
}

RecipeOption GroupOption() {
  return {"group", int64_t{128}, {}, 32, 1024, "columns per 4-bit scale, a multiple of 32"};
}

RecipeOption WeightMethodOption(const char* fallback) {
  return {
      "weight_method",
      fallback,
      {"gptq", "rtn"},
      0,
      0,
      "4-bit codes: corrected column by column for the calibration text, or rounded to nearest"};
}

std::vector<RecipeOption> With4Bits(std::vector<RecipeOption> options) {
  options.push_back(GroupOption());
  options.push_back(WeightMethodOption("gptq"));
  return options;
}

RecipeOption ChunkSizeOption(int64_t fallback) {
  return {"chunk_size", fallback,
          {},           0,
          4096,         "SSD chunk length that the scales are made for; 0: the checkpoint's"};
}

RecipeOption MeanCorrectionOption(const char* fallback) {
  return {"mean_correction",
          fallback,
          {},
          0,
          0,
          "factor g of the mean correction in [0, 1], none, or auto: per channel from its "
          "uncertainty"};
}

RecipeOption AlphaOption() {
  return {"alpha",
          "0.99999",
          {"auto", "1", "0.99999", "0.9999", "0.9995", "0.999"},
          0,
          0,
          "percentile of the scan's input and of the state; auto: by the calibration text's "
          "perplexity"};
}

RecipeOption XScaledCodecOption() {
  return {"x_scaled_codec",
          "int8",
          {"int8", "se8s", "se9", "int16"},
          0,
          0,
          "code of the decayed inputs X inside the SSD: uniform, or with a finer step near zero"};
}

RecipeOption EndOption(const char* name) {
  if (name[0] == 'h') {
    return {
        name,
        "f16",
        {"f16", "i8", "i8a8", "i4"},
        0,
        0,
        "the head's weights; i8 and i4 with fp32 inputs, i8a8 with codes of 8 bits, a scale per "
        "token"};
  }
  return {name, "f16", {"f16", "i8", "i4"}, 0, 0, "the embedding's rows"};
}

void SetAlpha(const RecipeOptions& o, QuantPlan* plan) {
  const std::string& text = o.String("alpha");
  plan->sweep_alpha = text == "auto";
  const double alpha = plan->sweep_alpha ? 1.0 : std::stod(text);
  for (SiteRule& rule : plan->sites) {
    if (rule.observer == ObserverKind::kPercentile) rule.alpha = alpha;
  }
  if (plan->state_observer == ObserverKind::kPercentile) plan->state_alpha = alpha;
}

void AddEnds(const RecipeOptions& o, QuantPlan* plan) {
  for (const char* name : {"embedding", "head"}) {
    const std::string& format = o.String(name);
    plan->weights.push_back({.tensors = name,
                             .bits = format == "f16"  ? 16
                                     : format == "i4" ? 4
                                                      : 8,
                             .scale = WeightScale::kRow});
    if (format == "i8a8") {
      plan->sites.push_back({.sites = "final_norm", .granularity = Granularity::kToken});
    }
  }
}

WeightRule Int4Linears(const RecipeOptions& o, Int4Step step) {
  WeightRule rule{.tensors = "linears", .bits = 4, .group = o.Int("group"), .step = step};
  if (o.String("weight_method") == "gptq") rule.method = WeightMethod::kGptq;
  return rule;
}

WeightRule Int8Linears(WeightScale scale) {
  return {.tensors = "linears", .bits = 8, .scale = scale};
}

void AddInt8Vectors(const std::vector<std::string>& names, QuantPlan* plan) {
  for (const std::string& name : names) {
    plan->weights.push_back({.tensors = name, .bits = 8, .optional = true});
  }
}

SiteRule TensorSite(const std::string& site, bool optional) {
  return {.sites = site, .optional = optional};
}

std::vector<SiteRule> Ssdi8Sites(const RecipeOptions& o) {
  using enum Granularity;
  return {{.sites = "linear-inputs"},
          {.sites = "B", .granularity = kGroup},
          {.sites = "C", .granularity = kGroup},
          {.sites = "ssd.x_scaled", .codec = o.String("x_scaled_codec"), .granularity = kChannel},
          {.sites = "ssd.score", .granularity = kGroup},
          {.sites = "ssd.state", .granularity = kChannel}};
}

}  // namespace octet
