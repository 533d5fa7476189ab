// Runs passes by themselves, for tests.
#ifndef OCTET_QUANT_PASSES_TESTING_H_
#define OCTET_QUANT_PASSES_TESTING_H_

#include <vector>

#include "quant/passes/passes.h"

namespace octet {

inline Status RunPassesOn(const std::vector<Pass>& passes, Graph* graph, WeightMap* weights,
                          const TokenDataset& data = {}, int threads = 1) {
  ThreadPool pool(threads);
  const Progress progress;
  QuantContext context{*graph, *weights, data, pool, progress};
  return RunPasses(passes, context);
}

}  // namespace octet
#endif  // OCTET_QUANT_PASSES_TESTING_H_
