#include "arch/outer_graph.h"

namespace octet {

std::string OptionalTensor(const WeightMap& weights, const std::string& name) {
  return weights.Find(name) != nullptr ? name : std::string();
}

Graph FinishModel(ValueId u, float norm_eps, bool tied, int64_t vocab_rows, GraphBuilder* g) {
  g->SetLayer(-1);
  const ValueId norm = g->RmsNorm("final_norm", u, "backbone.norm_f.weight", norm_eps);
  return g->Finish(
      g->Linear("logits", norm, tied ? kEmbeddingTable : "lm_head.weight", "", vocab_rows));
}

}  // namespace octet
