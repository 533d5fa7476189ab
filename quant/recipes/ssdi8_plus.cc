// SSDi8 with the improvements of methods_mamba 2.8.5: state scales that cover carried states, score
// scales from the causal half, state passing in fp32, a scale per weight row, short chunks, and a
// mean correction weighed by its uncertainty.
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {
namespace {

std::vector<RecipeOption> CommonOptions() {
  return {ChunkSizeOption(64), MeanCorrectionOption("auto"), HadamardOption(), StateOption()};
}

std::vector<Pass> Plan(const RecipeOptions& o, Pass weights) {
  CalibrateOptions sites;
  sites.rules = Ssdi8Sites();
  sites.running_state = true;
  return {SetChunkSize(o.Int("chunk_size")),
          Rotate({o.String("hadamard"), true}),
          Calibrate(sites),
          StoreEmbeddingsF16(),
          std::move(weights),
          UseInt8Ssd(/*gate_q7=*/false),
          SetStateFormat(o.String("state")),
          MeanCorrectionPass(o)};
}

}  // namespace

std::vector<RecipeOption> Ssdi8PlusW8a8Options() {
  return CommonOptions();
}

std::vector<RecipeOption> Ssdi8PlusW4a8Options() {
  std::vector<RecipeOption> options = CommonOptions();
  options.push_back(GroupOption());
  return options;
}

std::vector<Pass> PlanSsdi8PlusW8a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt8(/*per_row=*/true));
}

std::vector<Pass> PlanSsdi8PlusW4a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt4Rtn(o.Int("group")));
}

}  // namespace octet
