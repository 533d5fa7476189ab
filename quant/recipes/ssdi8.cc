// SSDi8 as published: rotation, static int8 activations, and int8 through the SSD stages with the
// decay carried by X (methods_mamba 2.8.2 to 2.8.4).
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {
namespace {

std::vector<RecipeOption> CommonOptions() {
  return {ChunkSizeOption(0), MeanCorrectionOption("0.15"), HadamardOption(), StateOption()};
}

std::vector<Pass> Plan(const RecipeOptions& o, Pass weights) {
  CalibrateOptions sites;
  sites.rules = Ssdi8Sites();
  sites.full_score = true;
  return {SetChunkSize(o.Int("chunk_size")),
          Rotate({o.String("hadamard"), true}),
          Calibrate(sites),
          StoreEmbeddingsF16(),
          std::move(weights),
          QuantizeVectorsInt8({"mixer.A_log", "mixer.D"}),
          UseInt8Ssd(/*gate_q7=*/true),
          SetStateFormat(o.String("state")),
          MeanCorrectionPass(o)};
}

}  // namespace

std::vector<RecipeOption> Ssdi8W8a8Options() {
  return CommonOptions();
}

std::vector<RecipeOption> Ssdi8W4a8Options() {
  std::vector<RecipeOption> options = CommonOptions();
  options.push_back(GroupOption());
  return options;
}

std::vector<Pass> PlanSsdi8W8a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt8(/*per_row=*/false));
}

std::vector<Pass> PlanSsdi8W4a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt4Rtn(o.Int("group"), Int4Step::kAbsMax));
}

}  // namespace octet
