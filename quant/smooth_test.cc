// Contracts of smoothing:
//  1. Factors are the formula's, for several alpha; 1 for dead channels and columns of zeros. With
//     alpha 1/2 the channels of input and weight have equal maxima after folding.
//  2. Folding keeps the float function: in_proj of both families, out_proj of Mamba-2, 16-bit
//     weights; and it flattens the input's outliers.
//  3. Where no norm feeds the Linear alone it is refused, and nothing changes.
#include "quant/smooth.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

TEST(SmoothFactorsTest, AreTheFormula) {
  const Weight w = MakeWeight({1, -4, 0, 9, 0.5f,  //
                               -2, 3, 0, 1, 0.25f},
                              {2, 5});
  const Floats x = {8, 1, 7, 0, 2};
  for (const double alpha : {0.0, 0.25, 0.5, 0.8, 1.0}) {
    const Result<Floats> f = SmoothFactors(x, w, alpha);
    ASSERT_TRUE(f.ok()) << f.status().message();
    const double peaks[] = {2, 4, 0, 9, 0.5};
    for (const size_t j : {0, 1, 4}) {
      const double want =
          std::exp(alpha * std::log(static_cast<double>(x[j])) - (1 - alpha) * std::log(peaks[j]));
      EXPECT_NEAR((*f)[j], want, 1e-6 * want) << alpha << " " << j;
    }
    EXPECT_EQ((*f)[2], 1.0f) << "a column of zeros";
    EXPECT_EQ((*f)[3], 1.0f) << "a dead channel";
  }
  const Floats f = *SmoothFactors(x, w, 0.5);
  EXPECT_NEAR(8 / f[0], 2 * f[0], 1e-5) << "the two share the difficulty equally";
}

TEST(SmoothFactorsTest, Errors) {
  const Weight w = MakeWeight({1, 2, 3, 4}, {2, 2});
  const float infinity = std::numeric_limits<float>::infinity();
  const auto code = [](const Floats& x, const Weight& weight, double alpha) {
    return SmoothFactors(x, weight, alpha).status().code();
  };
  EXPECT_EQ(code({1, 2, 3}, w, 0.5), Code::kInvalidArgument);
  for (const double alpha : {-0.1, 1.1, std::nan("")}) {
    EXPECT_EQ(code({1, 2}, w, alpha), Code::kInvalidArgument);
  }
  EXPECT_EQ(code({1, infinity}, w, 0.5), Code::kCorrupt);
  EXPECT_EQ(code({std::nanf(""), 1}, w, 0.5), Code::kCorrupt);
  EXPECT_EQ(code({1, 1}, MakeWeight({1, 2, std::nanf(""), 4}, {2, 2}), 0.5), Code::kCorrupt);
  EXPECT_EQ((*SmoothFactors(Floats{1e-38f, 1}, MakeWeight({3e38f, 1}, {1, 2}), 0.0))[0], 1.0f)
      << "a factor below the normal range";
}

// Absolute maxima of a site by channel.
class PeakTap : public Tap {
 public:
  explicit PeakTap(std::string site) : site_(std::move(site)) {}
  void At(std::string_view site, int64_t, float* v, int64_t rows, int64_t cols) override {
    if (site != site_) return;
    peaks.assign(static_cast<size_t>(cols), 0.0f);
    for (int64_t i = 0; i < rows * cols; ++i) {
      float& peak = peaks[static_cast<size_t>(i % cols)];
      peak = std::max(peak, std::fabs(v[i]));
    }
  }
  bool WantsInnerSites() const override { return false; }
  Floats peaks;

 private:
  std::string site_;
};

Floats Logits(const Graph& graph, const WeightMap& weights, Tap* tap = nullptr) {
  const std::vector<TokenId> tokens = {1, 7, 3, 3, 10, 0, 5, 2, 9, 4, 8, 6};
  const Interpreter interpreter(graph, weights, kReferenceOnly);
  State state(graph);
  Floats logits;
  EXPECT_TRUE(interpreter.Run(tokens, &state, tap, &logits).ok());
  return logits;
}

double Spread(const Floats& v) {
  const auto [low, high] = std::ranges::minmax_element(v);
  return *high / *low;
}

// Smooths the Linear "layers.0.<linear>", whose input is "layers.0.<input>".
void ExpectSameFunction(const Graph& graph, WeightMap weights, const std::string& linear,
                        const std::string& input, const std::string& norm) {
  SCOPED_TRACE(linear);
  Floats gamma = ToF32(*weights.Find(norm));
  gamma[1] *= 60;  // an outlier channel
  const auto size = static_cast<int64_t>(gamma.size());
  weights.Set(norm, MakeWeight(gamma, {size}));
  const ValueId node = graph.FindSite("layers.0." + linear);
  PeakTap before("layers.0." + input), after("layers.0." + input);
  const Floats want = Logits(graph, weights, &before);
  const std::string& name = graph.nodes[static_cast<size_t>(node)].weights[0];
  const WeightMap old = weights;
  const Floats factors = *SmoothFactors(before.peaks, *weights.Find(name), 0.5);
  ASSERT_TRUE(FoldSmoothing(graph, node, factors, &weights).ok());
  const Floats got = Logits(graph, weights, &after);
  double error = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
    largest = std::max(largest, std::fabs(static_cast<double>(want[i])));
  }
  EXPECT_LT(error, 3e-6 * largest);
  EXPECT_LT(Spread(after.peaks), 0.5 * Spread(before.peaks));
  for (const auto& [key, w] : old.all()) {
    EXPECT_EQ(weights.Find(key)->data != w.data, key == name || key == norm) << key;
  }
}

TEST(FoldSmoothingTest, KeepsTheFunction) {
  const BlockSizes s;
  const Graph mamba2 = MakeBlocks(s);
  const std::string norm = LayerTensor(0, "norm.weight");
  ExpectSameFunction(mamba2, MakeBlockWeights(s, 3), "zxbcdt", "u_norm", norm);
  ExpectSameFunction(mamba2, MakeBlockWeights(s, 3), "out", "y_norm",
                     LayerTensor(0, "mixer.norm.weight"));
  const MambaBlockSizes m;
  ExpectSameFunction(MakeMambaBlocks(m), MakeMambaBlockWeights(m, 3), "xz", "u_norm", norm);

  WeightMap half = MakeBlockWeights(s, 3);
  const Weight w = *half.Find(LayerTensor(0, "mixer.in_proj.weight"));
  std::vector<std::byte> bytes;
  for (const float v : ToF32(w)) {
    const uint16_t code = F32ToBF16(v);
    bytes.push_back(static_cast<std::byte>(code & 255));
    bytes.push_back(static_cast<std::byte>(code >> 8));
  }
  half.Set(LayerTensor(0, "mixer.in_proj.weight"), MakeWeight(DType::kBF16, bytes, w.shape));
  ExpectSameFunction(mamba2, half, "zxbcdt", "u_norm", norm);
}

TEST(FoldSmoothingTest, RefusesWhatItCannotFold) {
  const auto expect = [](const Graph& graph, const std::string& site, const WeightMap& weights,
                         const Floats& factors, Code code, const char* text) {
    WeightMap after = weights;
    const Status s = FoldSmoothing(graph, graph.FindSite(site), factors, &after);
    EXPECT_EQ(s.code(), code) << text;
    EXPECT_THAT(s.message(), HasSubstr(text));
    for (const auto& [name, w] : weights.all()) {
      EXPECT_EQ(after.Find(name)->data, w.data) << name;
    }
  };
  const MambaBlockSizes m;
  const Graph mamba = MakeMambaBlocks(m);
  const WeightMap mamba_weights = MakeMambaBlockWeights(m, 3);
  const Floats twelve(12, 2.0f), eight(8, 2.0f);
  expect(mamba, "layers.0.out", mamba_weights, twelve, Code::kUnsupported, "no norm");
  expect(mamba, "layers.0.x_dbl", mamba_weights, twelve, Code::kUnsupported, "no norm");

  const BlockSizes s;
  const Graph graph = MakeBlocks(s);
  const WeightMap weights = MakeBlockWeights(s, 3);
  expect(graph, "layers.0.y", weights, twelve, Code::kInvalidArgument, "no Linear");
  expect(graph, "layers.0.zxbcdt", weights, Floats(7, 1.0f), Code::kInvalidArgument, "7 factors");
  for (const float bad : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Floats factors = eight;
    factors[3] = bad;
    expect(graph, "layers.0.zxbcdt", weights, factors, Code::kInvalidArgument, "not positive");
  }
  Graph rotated = graph;
  InsertHadamard(&rotated, rotated.FindSite("layers.0.out"), "block");
  expect(rotated, "layers.0.out", weights, twelve, Code::kUnsupported, "no norm");
  Graph shared = graph;
  Node& add = shared.nodes[static_cast<size_t>(shared.FindSite("layers.0.residual"))];
  add.in[0] = shared.FindSite("layers.0.u_norm");
  expect(shared, "layers.0.zxbcdt", weights, eight, Code::kUnsupported, "other readers");
  Graph encoded = graph;
  encoded.encodings["layers.0.u_norm"] = {DType::kI8, ScaleSource::kStatic, {1.0f}};
  expect(encoded, "layers.0.zxbcdt", weights, eight, Code::kInvalidArgument, "encoded already");
  WeightMap changed = weights;
  const std::string in_proj = LayerTensor(0, "mixer.in_proj.weight");
  const Weight w = *weights.Find(in_proj);
  Weight codes =
      MakeWeight(DType::kI8, std::vector<std::byte>(static_cast<size_t>(w.count())), w.shape);
  codes.row_scale = std::make_shared<Floats>(Floats{1.0f});
  changed.Set(in_proj, codes);
  expect(graph, "layers.0.zxbcdt", changed, eight, Code::kInvalidArgument, "quantized already");
  changed.Erase(in_proj);
  expect(graph, "layers.0.zxbcdt", changed, eight, Code::kNotFound, in_proj.c_str());
}

}  // namespace
}  // namespace octet
