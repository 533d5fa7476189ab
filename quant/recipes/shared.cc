#include <charconv>
#include <optional>

#include "quant/recipes/recipes.h"

namespace octet {

RecipeOption StateOption() {
  std::vector<const char*> formats;
  for (const std::string& name : StateFormatNames()) {
    formats.push_back(name.c_str());
  }
  return {"state",
          "f32",
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
          "factor g of the mean correction in [0, 1], or auto: per channel from its uncertainty"};
}

Pass MeanCorrectionPass(const RecipeOptions& options) {
  const std::string& text = options.String("mean_correction");
  if (text == "auto") return CorrectMeans(std::nullopt);
  double g = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, g);
  if (parsed.ec == std::errc() && parsed.ptr == end && g >= 0 && g <= 1) return CorrectMeans(g);
  return {"mean correction", [text](QuantContext&) {
            return InvalidArgument("option mean_correction is \"" + text +
                                   "\", but must be auto or a number between 0 and 1");
          }};
}

std::vector<SiteRule> Ssdi8Sites() {
  using enum SiteRule::Count;
  return {{"u_norm", ScaleAxis::kTensor, kOne},
          {"y_rot", ScaleAxis::kTensor, kOne},
          {"B", ScaleAxis::kColumn, kGroups},
          {"C", ScaleAxis::kColumn, kGroups},
          {"ssd.x_scaled", ScaleAxis::kColumn, kHeadChannels},
          {"ssd.score", ScaleAxis::kIndex, kGroups},
          {"ssd.state", ScaleAxis::kRow, kHeadChannels}};
}

}  // namespace octet
