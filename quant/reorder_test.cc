// Contracts of ReorderHeads:
//  1. The logits of a double-precision Mamba-2, written here from methods_mamba 1.4 to 1.6, stay
//  the
//     same to 1e-10, for 1, 2 and 4 groups, with and without biases and D per channel; leaving out
//     any of the moves would not.
//  2. The Interpreter's logits stay the same to 1e-5.
//  3. x of a reordered block is x of the old one in the new order.
//  4. Bytes move and none changes, in 16-bit tensors too; a block's reordering is undone by the
//     inverse order.
//  5. What it cannot do is an error that changes nothing.
#include "quant/reorder.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Doubles = std::vector<double>;

Doubles Tensor(const WeightMap& weights, const std::string& name) {
  const Weight* w = weights.Find(name);
  if (w == nullptr) return {};
  const std::vector<float> f = ToF32(*w);
  return {f.begin(), f.end()};
}

size_t Z(int64_t i) {
  return static_cast<size_t>(i);
}

double Silu(double v) {
  return v / (1 + std::exp(-v));
}

// x / rms(x) within each of `groups` runs, times weight.
void RmsNorm(const Doubles& weight, int64_t groups, double* x) {
  const int64_t n = static_cast<int64_t>(weight.size()), run = n / groups;
  for (int64_t begin = 0; begin < n; begin += run) {
    double square = 0;
    for (int64_t i = begin; i < begin + run; ++i) {
      square += x[i] * x[i] / static_cast<double>(run);
    }
    for (int64_t i = begin; i < begin + run; ++i) {
      x[i] *= weight[Z(i)] / std::sqrt(square + 1e-5);
    }
  }
}

// weight [rows, n] x [n] (+ bias).
Doubles Multiply(const Doubles& weight, const Doubles& bias, const double* x, int64_t n) {
  Doubles y(weight.size() / Z(n));
  for (size_t r = 0; r < y.size(); ++r) {
    y[r] = bias.empty() ? 0 : bias[r];
    for (int64_t c = 0; c < n; ++c) {
      y[r] += weight[r * Z(n) + Z(c)] * x[c];
    }
  }
  return y;
}

// The mixer of one block, token by token.
class PlainMixer {
 public:
  PlainMixer(const BlockSizes& s, const WeightMap& weights, int64_t layer) : s_(s) {
    const auto get = [&](const char* name) { return Tensor(weights, LayerTensor(layer, name)); };
    in_ = get("mixer.in_proj.weight"), in_bias_ = get("mixer.in_proj.bias");
    conv_ = get("mixer.conv1d.weight"), conv_bias_ = get("mixer.conv1d.bias");
    dt_bias_ = get("mixer.dt_bias"), A_log_ = get("mixer.A_log"), D_ = get("mixer.D");
    norm_ = get("mixer.norm.weight");
    out_ = get("mixer.out_proj.weight"), out_bias_ = get("mixer.out_proj.bias");
    past_.assign(Z(s.taps), Doubles(Z(s.d_xbc()), 0.0));
    h_.assign(Z(s.d_inner() * s.state_size), 0.0);
  }

  Doubles Step(const double* u) {
    const Doubles q = Multiply(in_, in_bias_, u, s_.d_model);
    const int64_t I = s_.d_inner(), P = s_.head_dim, N = s_.state_size;
    past_.erase(past_.begin());
    past_.emplace_back(q.begin() + I, q.begin() + I + s_.d_xbc());
    Doubles xbc = conv_bias_;
    for (int64_t c = 0; c < s_.d_xbc(); ++c) {
      for (int64_t k = 0; k < s_.taps; ++k) {
        xbc[Z(c)] += conv_[Z(c * s_.taps + k)] * past_[Z(k)][Z(c)];
      }
      xbc[Z(c)] = Silu(xbc[Z(c)]);
    }
    Doubles y(Z(I), 0.0);
    for (int64_t i = 0; i < I; ++i) {
      const int64_t head = i / P, g = head * s_.groups / s_.heads;
      const double dt = std::log1p(std::exp(q[Z(I + s_.d_xbc() + head)] + dt_bias_[Z(head)]));
      const double* B = xbc.data() + I + g * N;
      const double* C = B + s_.d_bc();
      for (int64_t n = 0; n < N; ++n) {
        double& h = h_[Z(i * N + n)];
        h = std::exp(-dt * std::exp(A_log_[Z(head)])) * h + dt * xbc[Z(i)] * B[n];
        y[Z(i)] += h * C[n];
      }
      y[Z(i)] += D_[Z(s_.D_per_channel ? i : head)] * xbc[Z(i)];
      y[Z(i)] *= Silu(q[Z(i)]);
    }
    RmsNorm(norm_, s_.groups, y.data());
    return Multiply(out_, out_bias_, y.data(), I);
  }

 private:
  BlockSizes s_;
  Doubles in_, in_bias_, conv_, conv_bias_, dt_bias_, A_log_, D_, norm_, out_, out_bias_, h_;
  std::vector<Doubles> past_;
};

// Logits of all tokens.
Doubles PlainLogits(const BlockSizes& s, const WeightMap& weights,
                    const std::vector<TokenId>& tokens) {
  const Doubles table = Tensor(weights, "backbone.embeddings.weight");
  const Doubles head = s.tied ? table : Tensor(weights, "lm_head.weight");
  std::vector<PlainMixer> mixers;
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    mixers.emplace_back(s, weights, layer);
  }
  Doubles logits;
  for (const TokenId token : tokens) {
    Doubles r(table.begin() + token * s.d_model, table.begin() + (token + 1) * s.d_model);
    for (int64_t layer = 0; layer < s.layers; ++layer) {
      Doubles u = r;
      RmsNorm(Tensor(weights, LayerTensor(layer, "norm.weight")), 1, u.data());
      const Doubles o = mixers[Z(layer)].Step(u.data());
      for (size_t i = 0; i < r.size(); ++i) {
        r[i] += o[i];
      }
    }
    RmsNorm(Tensor(weights, "backbone.norm_f.weight"), 1, r.data());
    const Doubles row = Multiply(head, {}, r.data(), s.d_model);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

template <class T>
double LargestDifference(const std::vector<T>& a, const std::vector<T>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

void Shuffle(Rng* rng, std::span<int64_t> v) {
  for (size_t i = v.size(); i > 1; --i) {
    std::swap(v[i - 1], v[rng->Below(i)]);
  }
}

HeadOrder Identity(const BlockSizes& s) {
  HeadOrder order;
  for (int64_t h = 0; h < s.heads; ++h) {
    order.heads.push_back(h);
    for (int64_t p = 0; p < s.head_dim; ++p) {
      order.channels.push_back(p);
    }
  }
  return order;
}

HeadOrder RandomOrder(const BlockSizes& s, uint64_t seed) {
  Rng rng(seed);
  HeadOrder order = Identity(s);
  for (int64_t g = 0; g < s.groups; ++g) {
    const auto run = Z(s.heads / s.groups);
    Shuffle(&rng, {order.heads.data() + Z(g) * run, run});
  }
  for (int64_t h = 0; h < s.heads; ++h) {
    Shuffle(&rng, {order.channels.data() + h * s.head_dim, Z(s.head_dim)});
  }
  return order;
}

HeadOrder Inverse(const HeadOrder& order, int64_t P) {
  HeadOrder inverse = order;
  for (size_t i = 0; i < order.heads.size(); ++i) {
    const auto old = order.heads[i];
    inverse.heads[Z(old)] = static_cast<int64_t>(i);
    for (int64_t j = 0; j < P; ++j) {
      inverse.channels[Z(old * P + order.channels[i * Z(P) + Z(j)])] = j;
    }
  }
  return inverse;
}

BlockSizes Sizes(int64_t groups, bool variant) {
  BlockSizes s;
  s.heads = 8;
  s.head_dim = 5;
  s.groups = groups;
  s.biases = variant;
  s.D_per_channel = variant;
  s.tied = !variant;
  return s;
}

const std::vector<TokenId> kTokens = {1, 7, 3, 3, 10, 0, 5, 2, 9, 4, 8, 6, 1, 1, 2, 7, 0, 3, 9, 10};

std::vector<float> FloatLogits(const Graph& graph, const WeightMap& weights) {
  const Interpreter interpreter(graph, weights, kReferenceOnly);
  State state(graph);
  std::vector<float> logits;
  EXPECT_TRUE(interpreter.Run(kTokens, &state, nullptr, &logits).ok());
  return logits;
}

TEST(ReorderHeadsTest, KeepsTheFunction) {
  for (const int64_t groups : {1, 2, 4}) {
    for (const bool variant : {false, true}) {
      SCOPED_TRACE(testing::Message() << groups << " groups, variant " << variant);
      const BlockSizes s = Sizes(groups, variant);
      const Graph graph = MakeBlocks(s);
      const WeightMap before = MakeBlockWeights(s, 3);
      WeightMap after = before;
      for (int layer = 0; layer < graph.layers; ++layer) {
        const HeadOrder order = RandomOrder(s, 5 + static_cast<uint64_t>(layer));
        const Status status = ReorderHeads(graph, layer, order, &after);
        ASSERT_TRUE(status.ok()) << status.message();
      }
      const Doubles want = PlainLogits(s, before, kTokens);
      EXPECT_LT(LargestDifference(PlainLogits(s, after, kTokens), want), 1e-10);
      EXPECT_LT(LargestDifference(FloatLogits(graph, after), FloatLogits(graph, before)), 1e-5);
      // Every one of the moved tensors matters, so that none can have been left out.
      for (const auto& [name, w] : before.all()) {
        if (after.Find(name)->data == w.data) continue;
        WeightMap without = after;
        without.Set(name, w);
        EXPECT_GT(LargestDifference(PlainLogits(s, without, kTokens), want), 1e-6) << name;
      }
      int moved = 0;
      for (const auto& [name, w] : before.all()) {
        moved += after.Find(name)->data == w.data ? 0 : 1;
      }
      EXPECT_EQ(moved, graph.layers * (variant ? 9 : 8));
    }
  }
}

// Keeps the values of one site.
class SiteTap : public Tap {
 public:
  explicit SiteTap(std::string site) : site_(std::move(site)) {}
  void At(std::string_view site, int64_t, float* v, int64_t rows, int64_t cols) override {
    if (site == site_) values.assign(v, v + rows * cols);
  }
  bool WantsInnerSites() const override { return false; }
  std::vector<float> values;

 private:
  std::string site_;
};

TEST(ReorderHeadsTest, PutsChannelsWhereTheOrderSays) {
  const BlockSizes s = Sizes(2, true);
  const Graph graph = MakeBlocks(s);
  const WeightMap before = MakeBlockWeights(s, 3);
  WeightMap after = before;
  const HeadOrder order = RandomOrder(s, 6);
  ASSERT_TRUE(ReorderHeads(graph, 0, order, &after).ok());
  const auto x = [&](const WeightMap& weights) {
    SiteTap tap("layers.0.x");
    const Interpreter interpreter(graph, weights, kReferenceOnly);
    State state(graph);
    std::vector<float> logits;
    EXPECT_TRUE(interpreter.Run(kTokens, &state, &tap, &logits).ok());
    return tap.values;
  };
  const std::vector<float> was = x(before), is = x(after);
  ASSERT_EQ(is.size(), kTokens.size() * Z(s.d_inner()));
  for (size_t t = 0; t < kTokens.size(); ++t) {
    for (int64_t i = 0; i < s.d_inner(); ++i) {
      const int64_t old = order.heads[Z(i / s.head_dim)] * s.head_dim + order.channels[Z(i)];
      EXPECT_EQ(is[t * Z(s.d_inner()) + Z(i)], was[t * Z(s.d_inner()) + Z(old)]);
    }
  }
}

std::vector<std::byte> Bytes(const Weight& w) {
  return {w.data, w.data + BytesOf(w.dtype, w.count())};
}

TEST(ReorderHeadsTest, MovesBytesAndIsUndoneByTheInverse) {
  const BlockSizes s = Sizes(2, true);
  const Graph graph = MakeBlocks(s);
  WeightMap weights = MakeBlockWeights(s, 3);
  for (const char* name : {"mixer.in_proj.weight", "mixer.out_proj.weight", "mixer.D"}) {
    const Weight w = *weights.Find(LayerTensor(1, name));
    std::vector<std::byte> bf16(Z(w.count()) * 2);
    for (size_t i = 0; i < bf16.size(); ++i) {
      bf16[i] = static_cast<std::byte>(i * 37 + i / 256);
    }
    weights.Set(LayerTensor(1, name), MakeWeight(DType::kBF16, std::move(bf16), w.shape));
  }
  const WeightMap before = weights;
  const HeadOrder order = RandomOrder(s, 8);
  ASSERT_TRUE(ReorderHeads(graph, 1, order, &weights).ok());
  for (const auto& [name, w] : before.all()) {
    const Weight& now = *weights.Find(name);
    EXPECT_EQ(now.dtype, w.dtype);
    EXPECT_EQ(now.shape, w.shape);
    if (name.find("layers.1.mixer") == std::string::npos || name.ends_with("out_proj.bias")) {
      EXPECT_EQ(now.data, w.data) << name;
    } else {
      EXPECT_NE(Bytes(now), Bytes(w)) << name;
    }
  }
  ASSERT_TRUE(ReorderHeads(graph, 1, Inverse(order, s.head_dim), &weights).ok());
  for (const auto& [name, w] : before.all()) {
    EXPECT_EQ(Bytes(*weights.Find(name)), Bytes(w)) << name;
  }
}

TEST(ReorderHeadsTest, ErrorsChangeNothing) {
  const BlockSizes s = Sizes(2, true);
  const Graph graph = MakeBlocks(s);
  const HeadOrder order = RandomOrder(s, 9);
  const auto expect = [&](const Graph& g, const HeadOrder& o, WeightMap weights, Code code,
                          const char* text) {
    const WeightMap before = weights;
    const Status status = ReorderHeads(g, 0, o, &weights);
    EXPECT_EQ(status.code(), code) << text;
    EXPECT_THAT(status.message(), HasSubstr(text));
    for (const auto& [name, w] : before.all()) {
      EXPECT_EQ(weights.Find(name)->data, w.data) << name;
    }
  };
  const WeightMap weights = MakeBlockWeights(s, 3);
  HeadOrder bad = order;
  std::swap(bad.heads[0], bad.heads[7]);  // between groups
  expect(graph, bad, weights, Code::kInvalidArgument, "permutation");
  bad = order;
  bad.heads[0] = bad.heads[1];
  expect(graph, bad, weights, Code::kInvalidArgument, "permutation");
  bad = order;
  bad.channels[3] = 5;
  expect(graph, bad, weights, Code::kInvalidArgument, "permutation");
  bad = order;
  bad.channels.pop_back();
  expect(graph, bad, weights, Code::kInvalidArgument, "permutation");

  WeightMap changed = weights;
  changed.Erase(LayerTensor(0, "mixer.out_proj.weight"));
  expect(graph, order, changed, Code::kNotFound, "mixer.out_proj.weight");
  changed.Set(LayerTensor(0, "mixer.out_proj.weight"),
              MakeWeight(DType::kI8, std::vector<std::byte>(8 * 40), {8, 40}));
  expect(graph, order, changed, Code::kInvalidArgument, "quantized already");
  changed.Set(LayerTensor(0, "mixer.out_proj.weight"),
              MakeWeight(std::vector<float>(8 * 39), {8, 39}));
  expect(graph, order, changed, Code::kInvalidArgument, "shape");
  changed = weights;
  changed.Set(LayerTensor(0, "mixer.A_log"), MakeWeight(std::vector<float>(7), {7}));
  expect(graph, order, changed, Code::kInvalidArgument, "mixer.A_log");

  Graph calibrated = graph;
  calibrated.encodings["layers.0.x"] = {DType::kI8, ScaleSource::kStatic, {1.0f, 2.0f}};
  expect(calibrated, order, weights, Code::kInvalidArgument, "layers.0.x");
  Graph rotated = graph;
  InsertHadamard(&rotated, rotated.FindSite("layers.0.out"), "block");
  expect(rotated, order, weights, Code::kUnsupported, "before rotation");
  const MambaBlockSizes mamba;
  expect(MakeMambaBlocks(mamba), order, MakeMambaBlockWeights(mamba, 3), Code::kUnsupported,
         "no Mamba-2 block");
}

}  // namespace
}  // namespace octet
