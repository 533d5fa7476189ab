// A small random S4D classifier with calibrated ranges, for tests of what chooses widths.
#ifndef OCTET_QUANT_S4D_SMALL_CLASSIFIER_TESTING_H_
#define OCTET_QUANT_S4D_SMALL_CLASSIFIER_TESTING_H_

#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "graph/s4d_block_testing.h"
#include "quant/s4d/mean_kl.h"
#include "quant/s4d/ranges.h"

namespace octet {

inline std::vector<float> RandomSequence(int64_t i) {
  Rng rng(static_cast<uint64_t>(i));
  std::vector<float> frames(60);
  for (float& v : frames) {
    v = rng.Uniform(-1, 1);
  }
  return frames;
}

struct SmallClassifier {
  explicit SmallClassifier(const S4dBlockSizes& sizes = {1, 8, 5, 2, 6, false, false, false})
      : graph(MakeS4dBlocks(sizes)), weights(MakeS4dBlockWeights(sizes, 5)) {
    ThreadPool pool(1);
    Result<S4dRanges> seen = ObserveS4d(graph, weights, 10, RandomSequence, &pool);
    EXPECT_TRUE(seen.ok()) << seen.status().message();
    ranges = *std::move(seen);
  }

  S4dMeanKl MeanKl(ThreadPool* pool) const {
    Result<S4dMeanKl> kl = S4dMeanKl::Create(graph, weights, ranges, 10, RandomSequence, pool);
    EXPECT_TRUE(kl.ok()) << kl.status().message();
    return *std::move(kl);
  }

  Graph graph;
  WeightMap weights;
  S4dRanges ranges;
};

// Everything in `bits`; A polar, the state rounded once with a scale per mode.
inline S4dPlan UniformPlan(int bits) {
  S4dPlan plan;
  plan.A = {PoleCodec::kLogPolar, bits, bits, S4dGrain::kHead, false};
  plan.B = plan.C = plan.D = {bits, S4dGrain::kHead, false};
  plan.linears = {bits, S4dGrain::kHead, false};
  plan.x.code = {bits, S4dGrain::kMode, true};
  plan.activations.bits = bits;
  return plan;
}

}  // namespace octet
#endif  // OCTET_QUANT_S4D_SMALL_CLASSIFIER_TESTING_H_
