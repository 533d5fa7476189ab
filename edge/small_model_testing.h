// Small random S4D classifiers, their ranges and plans, for tests of what runs in integers.
#ifndef OCTET_EDGE_SMALL_MODEL_TESTING_H_
#define OCTET_EDGE_SMALL_MODEL_TESTING_H_

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "edge/lower.h"
#include "graph/s4d_block_testing.h"
#include "quant/s4d/ranges.h"

namespace octet {

inline std::vector<float> RandomFrames(int64_t T, int64_t width, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> frames(static_cast<size_t>(T * width));
  for (float& v : frames) {
    v = rng.Uniform(-1, 1);
  }
  return frames;
}

struct SmallModel {
  Graph graph;
  WeightMap weights;
  S4dRanges ranges;
  int64_t inputs = 0;
};

// With `slow` poles, states decay over ten thousand frames, else over ten to a thousand.
inline SmallModel MakeSmallModel(const S4dBlockSizes& sizes, uint64_t seed, bool slow = false) {
  SmallModel m{MakeS4dBlocks(sizes), MakeS4dBlockWeights(sizes, seed), {}, sizes.d_input};
  RandomTensors set(seed + 1, &m.weights);
  for (int64_t i = 0; slow && i < sizes.layers; ++i) {
    set(S4dTensor(i, "kernel.log_dt"), {sizes.d_model}, -9.5f, -8.5f);
  }
  ThreadPool pool(1);
  const auto sequence = [&](int64_t i) {
    return RandomFrames(100, sizes.d_input, 1000 * seed + static_cast<uint64_t>(i));
  };
  Result<S4dRanges> ranges = ObserveS4d(m.graph, m.weights, 8, sequence, &pool);
  EXPECT_TRUE(ranges.ok()) << ranges.status().message();
  m.ranges = *std::move(ranges);
  return m;
}

// Poles with real parts e^log_real: with -8.5 some are too close to the unit circle for packed
// coefficients, with -12 also for sums of 32 bits. Ranges are those of the poles before, so that
// states saturate.
inline SmallModel MakeCircleModel(const S4dBlockSizes& sizes, uint64_t seed, float log_real) {
  SmallModel m = MakeSmallModel(sizes, seed);
  RandomTensors set(seed + 1, &m.weights);
  for (int64_t i = 0; i < sizes.layers; ++i) {
    set(S4dTensor(i, "kernel.log_A_real"), {sizes.d_model, sizes.modes}, log_real, log_real + 0.5f);
  }
  return m;
}

// 8 bits for all but the state, which has `state_bits`.
inline S4dPlan EightBits(int state_bits) {
  S4dPlan plan;
  plan.A = {PoleCodec::kLogPolar, 8, 8, S4dGrain::kHead, false};
  plan.B = plan.C = plan.D = {8, S4dGrain::kHead, false};
  plan.linears = {8, S4dGrain::kTensor, false};
  plan.x.code = {state_bits, S4dGrain::kMode, true};
  plan.activations.bits = 8;
  return plan;
}

struct NamedPlan {
  std::string name;
  S4dPlan plan;
};

// Every width, rounding, grain and form that lowering tells apart, not in every combination.
inline std::vector<NamedPlan> VariousPlans() {
  std::vector<NamedPlan> plans;
  const auto add = [&](const char* name, int state_bits, auto change) {
    S4dPlan plan = EightBits(state_bits);
    change(&plan);
    plans.push_back({name, plan});
  };
  const auto dithered = [](S4dPlan* p) {
    p->x.rounding = StateRounding::kStochastic;
    p->x.seed = 7;
  };
  add("x8", 8, [](S4dPlan*) {});
  add("x8 dithered", 8, dithered);
  add("x16", 16, [](S4dPlan*) {});
  add("x16 dithered per head", 16, [&](S4dPlan* p) {
    dithered(p);
    p->x.code.grain = S4dGrain::kHead;
  });
  add("x12 per tensor", 12, [](S4dPlan* p) { p->x.code.grain = S4dGrain::kTensor; });
  add("x4 per head, y per tensor", 4, [](S4dPlan* p) {
    p->x.code.grain = S4dGrain::kHead;
    p->activations.per_tensor = true;
  });
  add("w4a6", 8, [&](S4dPlan* p) {
    dithered(p);
    p->linears.bits = 4;
    p->B.bits = p->C.bits = p->D.bits = 4;
    p->activations.bits = 6;
  });
  add("symmetric, Cartesian, by row", 16, [](S4dPlan* p) {
    p->A = {PoleCodec::kCartesian, 12, 0, S4dGrain::kHead, true};
    p->linears = {5, S4dGrain::kHead, true};
    p->activations.symmetric = true;
  });
  add("w4 by row, a4", 8, [](S4dPlan* p) {
    p->A = {PoleCodec::kCartesian, 8, 0, S4dGrain::kHead, false};
    p->linears = {4, S4dGrain::kHead, false};
    p->activations.bits = 4;
  });
  add("widths of their own", 16, [](S4dPlan* p) {
    p->widths = {{"frames", 5},        {"encoder", 3},    {"layers.0.x", 8}, {"layers.0.y_ssm", 0},
                 {"layers.0.gelu", 6}, {"layers.0.z", 4}, {"layers.0.y", 7}};
    p->piecewise_gelu = true;
  });
  add("float coefficients", 16, [](S4dPlan* p) {
    p->A = {};
    p->B = p->C = p->D = {};
  });
  return plans;
}

// 1 to 3 layers, the three of the last with norms; odd numbers of heads and modes.
inline std::vector<S4dBlockSizes> VariousSizes() {
  return {{1, 3, 2, 1, 4, false, false, false},
          {2, 5, 4, 2, 3, true, false, false},
          {3, 7, 5, 3, 7, false, true, false}};
}

// Codes of a frame, the more of them at the ends of int8 the more `extreme`.
inline std::vector<int8_t> RandomCodes(int64_t count, int extreme, Rng* rng) {
  std::vector<int8_t> codes;
  for (int64_t i = 0; i < count; ++i) {
    const float v = rng->Uniform(-128, 128) * static_cast<float>(extreme);
    codes.push_back(static_cast<int8_t>(std::clamp(v, -128.0f, 127.0f)));
  }
  return codes;
}

}  // namespace octet
#endif  // OCTET_EDGE_SMALL_MODEL_TESTING_H_
