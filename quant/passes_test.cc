// Contracts of EncodeSites, ForkSites, SortAndClusterHeads, Smooth and QuantizeWeights in a run
// over blocks, against what the Interpreter shows of the float model:
//  1. Static scales hold the range that each granularity is for: tensor, group, channel, segment,
//     cluster; percentile and codecs; a site that shares the scale of what it is a part of; the
//     head's input.
//  2. The last rule for a site counts; layers restrict a rule; "float" takes an encoding back.
//  3. Granularities that a site cannot have, and sites that no block has, are refused by name.
//  4. Scales are those of the rotated model where it is rotated.
//  5. Sorting heads and smoothing leave the float function unchanged.
//  6. GPTQ sees the inputs that blocks before, quantized already, give.
#include <algorithm>
#include <cmath>
#include <functional>

#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/program.h"
#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"
#include "kernels/isa.h"
#include "quant/gptq.h"
#include "quant/passes_testing.h"
#include "tensor/codec.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

struct Parts {
  Graph graph;
  WeightMap weights;
};

Parts Mamba2(const BlockSizes& s = {}) {
  return {MakeBlocks(s), MakeBlockWeights(s, 5)};
}
Parts Mamba1() {
  return {MakeMambaBlocks({}), MakeMambaBlockWeights({}, 5)};
}

TokenDataset Text() {
  TokenDataset data;
  Rng rng(8);
  for (const size_t length : {20, 9, 33}) {
    data.documents.emplace_back(length);
    for (TokenId& id : data.documents.back()) {
      id = static_cast<TokenId>(rng.Below(11));
    }
  }
  return data;
}

// The values of each site of the float model, by document, rows one after the other.
class Seen : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    Floats& all = now[std::string(site)];
    all.insert(all.end(), values, values + rows * cols);
  }
  bool WantsInnerSites() const override { return false; }
  std::map<std::string, Floats> now;
};

std::vector<Seen> RunFloat(const Parts& p, const TokenDataset& data) {
  const Interpreter interpreter(p.graph, p.weights, AllowedIsas());
  std::vector<Seen> seen(data.documents.size());
  for (size_t d = 0; d < seen.size(); ++d) {
    State state(p.graph);
    Floats logits;
    EXPECT_TRUE(interpreter.Run(data.documents[d], &state, &seen[d], &logits).ok());
  }
  return seen;
}

// Scales of `site` whose channel c belongs to part(c).
Floats WantScales(const std::vector<Seen>& seen, const std::string& site, size_t width,
                  const std::function<size_t(size_t)>& part, size_t parts) {
  Floats peaks(parts);
  for (const Seen& document : seen) {
    const Floats& values = document.now.at(site);
    for (size_t i = 0; i < values.size(); ++i) {
      float& peak = peaks[part(i % width)];
      peak = std::max(peak, std::fabs(values[i]));
    }
  }
  for (float& peak : peaks) {
    peak = ScaleForAbsMax(peak);
  }
  return peaks;
}

Status Encode(Parts* p, std::vector<SiteRule> rules, std::vector<Pass> before = {}) {
  before.push_back(EncodeSites(std::move(rules), {}));
  return RunPassesOn(before, &p->graph, &p->weights, Text(), 2);
}

const Encoding& At(const Parts& p, const std::string& site) {
  const Encoding* e = p.graph.FindEncoding(site);
  EXPECT_NE(e, nullptr) << site;
  static const Encoding kNone;
  return e == nullptr ? kNone : *e;
}

TEST(EncodeSitesTest, ScalesHoldTheRangeOfTheirPart) {
  Parts p = Mamba2();
  const std::vector<Seen> seen = RunFloat(p, Text());
  using enum Granularity;
  ASSERT_TRUE(Encode(&p, {{.sites = "u_norm"},
                          {.sites = "B", .granularity = kGroup},
                          {.sites = "x", .granularity = kChannel},
                          {.sites = "xBC_in", .granularity = kSegment},
                          {.sites = "final_norm"}})
                  .ok());
  ASSERT_TRUE(Verify(p.graph).ok());
  const auto whole = [](size_t) -> size_t { return 0; };
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    EXPECT_EQ(At(p, layer + "u_norm").scales, WantScales(seen, layer + "u_norm", 8, whole, 1));
    EXPECT_EQ(At(p, layer + "B").scales,
              WantScales(
                  seen, layer + "B", 10, [](size_t c) { return c / 5; }, 2));
    EXPECT_EQ(At(p, layer + "x").scales,
              WantScales(
                  seen, layer + "x", 12, [](size_t c) { return c; }, 12));
    // x, B and C of the convolution's input.
    const auto segment = [](size_t c) -> size_t { return c < 12 ? 0 : c < 22 ? 1 : 2; };
    const Floats three = WantScales(seen, layer + "xBC_in", 32, segment, 3);
    Floats want;
    for (size_t c = 0; c < 32; ++c) {
      want.push_back(three[segment(c)]);
    }
    EXPECT_EQ(At(p, layer + "xBC_in").scales, want);
  }
  EXPECT_EQ(At(p, "final_norm").scales, WantScales(seen, "final_norm", 8, whole, 1));
  EXPECT_EQ(p.graph.encodings.size(), 9u);
}

TEST(EncodeSitesTest, PercentilesAndCodecs) {
  Parts p = Mamba1();
  const std::vector<Seen> seen = RunFloat(p, Text());
  ASSERT_TRUE(
      Encode(&p,
             {{.sites = "x", .codec = "se8u", .observer = ObserverKind::kPercentile, .alpha = 0.9},
              {.sites = "z", .codec = "uint8"}})
          .ok());
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    double clip = 0;
    float low = 0, high = 0;
    for (size_t d = 0; d < seen.size(); ++d) {
      Floats v = seen[d].now.at(layer + "x");
      for (float& e : v) {
        low = std::min(low, e);
        e = std::fabs(e);
      }
      std::ranges::sort(v);
      const double at = 0.9 * static_cast<double>(v.size() - 1);
      const auto i = static_cast<size_t>(at);
      const double q = static_cast<double>(v[i]) +
                       (at - static_cast<double>(i)) * static_cast<double>(v[i + 1] - v[i]);
      clip = d == 0 ? q : clip + 0.01 * (q - clip);
    }
    const Encoding& x = At(p, layer + "x");
    EXPECT_EQ(x.codec, Codec::kSe8u);
    const CodecFit fit = FitCodec(
        Codec::kSe8u, {std::max(low, -static_cast<float>(clip)), static_cast<float>(clip)});
    ASSERT_EQ(x.scales.size(), 1u);
    EXPECT_NEAR(x.scales[0], fit.scale, 1e-3f * fit.scale);
    EXPECT_NEAR(x.zeros.at(0), fit.zero, 1);
    low = 0;
    for (const Seen& document : seen) {
      for (const float v : document.now.at(layer + "z")) {
        low = std::min(low, v);
        high = std::max(high, v);
      }
    }
    const CodecFit z = FitCodec(Codec::kAsymmetric, {low, high});
    EXPECT_EQ(At(p, layer + "z").scales, Floats{z.scale});
    EXPECT_EQ(At(p, layer + "z").zeros, std::vector<uint8_t>{static_cast<uint8_t>(z.zero)});
  }
}

TEST(EncodeSitesTest, APartSharesTheScaleOfTheWhole) {
  Parts p = Mamba1();
  ASSERT_TRUE(Encode(&p, {{.sites = "x_dbl"},
                          {.sites = "dt_low", .same_as = "x_dbl"},
                          {.sites = "z", .same_as = "x_dbl"}})
                  .ok());
  const Parts own = [] {
    Parts q = Mamba1();
    EXPECT_TRUE(Encode(&q, {{.sites = "dt_low"}, {.sites = "z"}}).ok());
    return q;
  }();
  EXPECT_EQ(At(p, "layers.1.dt_low").scales, At(p, "layers.1.x_dbl").scales);
  EXPECT_NE(At(p, "layers.1.dt_low").scales, At(own, "layers.1.dt_low").scales);
  EXPECT_EQ(At(p, "layers.1.z").scales, At(own, "layers.1.z").scales) << "z is no part of x_dbl";
  Parts q = Mamba1();
  EXPECT_THAT(Encode(&q, {{.sites = "dt_low", .same_as = "x_dbl"}}).message(),
              HasSubstr("layers.0.x_dbl has no static scale"));
}

TEST(EncodeSitesTest, TheLastRuleCounts) {
  Parts p = Mamba2();
  ASSERT_TRUE(Encode(&p, {{.sites = "linear-inputs"},
                          {.sites = "*_norm", .layers = "1", .granularity = Granularity::kToken},
                          {.sites = "u_norm", .layers = "0", .codec = "float"}})
                  .ok());
  EXPECT_EQ(p.graph.FindEncoding("layers.0.u_norm"), nullptr);
  EXPECT_EQ(At(p, "layers.0.y_norm").source, ScaleSource::kStatic);
  EXPECT_EQ(At(p, "layers.1.u_norm").source, ScaleSource::kPerToken);
  EXPECT_EQ(At(p, "layers.1.y_norm").source, ScaleSource::kPerToken);
  EXPECT_EQ(p.graph.encodings.size(), 3u);
}

TEST(EncodeSitesTest, RefusesByName) {
  const auto error = [](Parts p, const SiteRule& rule) { return Encode(&p, {rule}).message(); };
  using enum Granularity;
  EXPECT_THAT(error(Mamba2(), {.sites = "q"}), HasSubstr("no block has a site q"));
  EXPECT_THAT(error(Mamba2(), {.sites = "x", .layers = "1-9"}),
              HasSubstr("layers 1-9: the model has blocks 0 to 1"));
  EXPECT_THAT(error(Mamba2(), {.sites = "z", .same_as = "nothere"}),
              HasSubstr("no block has a site nothere"));
  EXPECT_THAT(error(Mamba1(), {.sites = "x", .granularity = kGroup}),
              HasSubstr("layers.0.x: there are no groups"));
  EXPECT_THAT(error(Mamba2(), {.sites = "x", .granularity = kChunk}), HasSubstr("layers.0.x"));
  EXPECT_THAT(error(Mamba2(), {.sites = "xBC_in", .granularity = kCluster}),
              HasSubstr("layers.0.xBC_in: only x of an Ssd has clusters"));
  EXPECT_THAT(error(Mamba1(), {.sites = "x", .granularity = kCluster}), HasSubstr("clusters"));
  EXPECT_THAT(error(Mamba2(), {.sites = "ssd.score", .granularity = kChannel}),
              HasSubstr("granularity must be group or chunk"));
  EXPECT_THAT(error(Mamba2(), {.sites = "ssd.state"}), HasSubstr("channel or chunk"));
}

TEST(EncodeSitesTest, SeesTheRotatedModel) {
  BlockSizes s;
  Parts p = Mamba2(s), rotated = Mamba2(s);
  const std::vector<Pass> rotation = {RotateResidual("auto"), RotateOutput("auto", true)};
  ASSERT_TRUE(RunPassesOn(rotation, &rotated.graph, &rotated.weights).ok());
  const std::vector<Seen> seen = RunFloat(rotated, Text());
  std::vector<Pass> passes = rotation;
  passes.push_back(EncodeSites({{.sites = "linear-inputs"}}, {}));
  ASSERT_TRUE(RunPassesOn(passes, &p.graph, &p.weights, Text(), 2).ok());
  const auto whole = [](size_t) -> size_t { return 0; };
  for (const char* site : {"layers.0.u_norm", "layers.1.u_norm"}) {
    EXPECT_EQ(At(p, site).scales, WantScales(seen, site, 8, whole, 1));
  }
  for (const char* site : {"layers.0.y_rot", "layers.1.y_rot"}) {
    EXPECT_EQ(At(p, site).scales, WantScales(seen, site, 12, whole, 1));
  }
}

double RelativeError(const Floats& got, const Floats& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i] - want[i]), 2);
    norm += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / norm);
}

Floats Logits(const Parts& p) {
  const Interpreter interpreter(p.graph, p.weights, kReferenceOnly);
  State state(p.graph);
  Floats logits;
  EXPECT_TRUE(interpreter.Run(Text().documents[2], &state, nullptr, &logits).ok());
  return logits;
}

TEST(SortAndClusterHeadsTest, ScalesPerClusterInTheNewOrder) {
  BlockSizes s;
  s.heads = 12;
  s.head_dim = 8;
  Parts p = Mamba2(s);
  const Floats want = Logits(p);
  Parts sorted = p;
  ASSERT_TRUE(RunPassesOn({SortAndClusterHeads()}, &sorted.graph, &sorted.weights, Text()).ok());
  EXPECT_LT(RelativeError(Logits(sorted), want), 2e-6);
  const std::vector<Seen> seen = RunFloat(sorted, Text());
  // Heads' channels come in ascending order of the largest mean magnitude of a document.
  for (size_t head = 0; head < 12; ++head) {
    Floats largest(8);
    for (const Seen& document : seen) {
      const Floats& x = document.now.at("layers.1.x");
      for (size_t c = 0; c < 8; ++c) {
        double sum = 0;
        for (size_t i = head * 8 + c; i < x.size(); i += 96) {
          sum += static_cast<double>(std::fabs(x[i]));
        }
        largest[c] =
            std::max(largest[c], static_cast<float>(sum * 96 / static_cast<double>(x.size())));
      }
    }
    for (size_t c = 1; c < 8; ++c) {
      EXPECT_LE(largest[c - 1], largest[c] * (1 + 1e-5f)) << head << " " << c;
    }
  }
  ASSERT_TRUE(
      Encode(&p, {{.sites = "x", .granularity = Granularity::kCluster}}, {SortAndClusterHeads()})
          .ok());
  const Floats& scales = At(p, "layers.1.x").scales;
  ASSERT_EQ(scales.size(), 96u);
  const Floats channels = WantScales(
      seen, "layers.1.x", 96, [](size_t c) { return c; }, 96);
  // At most 2 groups of 4 x 4 clusters, each the largest of its channels.
  std::map<float, float> largest;
  for (size_t c = 0; c < 96; ++c) {
    EXPECT_GE(scales[c], channels[c] * (1 - 1e-5f));
    float& most = largest[scales[c]];
    most = std::max(most, channels[c]);
  }
  EXPECT_LE(largest.size(), 32u);
  EXPECT_GT(largest.size(), 4u);
  for (const auto& [scale, most] : largest) {
    EXPECT_NEAR(most, scale, 1e-5f * scale);
  }
  Parts mamba = Mamba1();
  EXPECT_THAT(RunPassesOn({SortAndClusterHeads()}, &mamba.graph, &mamba.weights, Text()).message(),
              HasSubstr("block 0 has no heads"));
}

TEST(SmoothTest, KeepsTheFunctionAndEvensTheInputs) {
  for (Parts p : {Mamba1(), Mamba2()}) {
    Floats norm = ToF32(*p.weights.Find(LayerTensor(1, "norm.weight")));
    Floats in_proj = ToF32(*p.weights.Find(LayerTensor(1, "mixer.in_proj.weight")));
    const std::vector<int64_t> shape =
        p.weights.Find(LayerTensor(1, "mixer.in_proj.weight"))->shape;
    norm[2] *= 64;  // an outlier channel that the weight makes up for
    for (size_t i = 2; i < in_proj.size(); i += norm.size()) {
      in_proj[i] /= 64;
    }
    const auto width = static_cast<int64_t>(norm.size());
    p.weights.Set(LayerTensor(1, "norm.weight"), MakeWeight(norm, {width}));
    p.weights.Set(LayerTensor(1, "mixer.in_proj.weight"), MakeWeight(in_proj, shape));
    const Floats want = Logits(p);
    const auto peak = [&] {
      float most = 0;
      for (const Seen& document : RunFloat(p, Text())) {
        for (const float v : document.now.at("layers.1.u_norm")) {
          most = std::max(most, std::fabs(v));
        }
      }
      return most;
    };
    const float before = peak();
    ASSERT_TRUE(RunPassesOn({Smooth(0.5)}, &p.graph, &p.weights, Text()).ok());
    EXPECT_LT(RelativeError(Logits(p), want), 2e-6);
    EXPECT_LT(peak(), before / 5);
  }
}

TEST(ForkSitesTest, EveryBlockGetsTheSite) {
  Parts p = Mamba1();
  const Floats want = Logits(p);
  ASSERT_TRUE(RunPassesOn({ForkSites({{"x_scan", "y", 0}, {"x_proj_in", "x_dbl", 0}})}, &p.graph,
                          &p.weights)
                  .ok());
  EXPECT_EQ(Logits(p), want);
  for (const char* site : {"layers.0.x_scan", "layers.1.x_scan", "layers.1.x_proj_in"}) {
    EXPECT_GE(p.graph.FindSite(site), 0) << site;
  }
  const auto error = [](const ForkRule& rule) {
    Parts q = Mamba1();
    return RunPassesOn({ForkSites({rule})}, &q.graph, &q.weights).message();
  };
  EXPECT_THAT(error({"x_scan", "q", 0}), HasSubstr("no reader q"));
  EXPECT_THAT(error({"x_scan", "x_dbl", 3}), HasSubstr("input 3"));
}

// What leaves block 0 of `p`, run as deployed with its recurrent state in `format`, by document.
std::vector<Floats> Deployed(Parts p, const char* format) {
  const TokenDataset data = Text();
  ThreadPool pool(2);
  const Progress silent;
  QuantContext c{p.graph, p.weights, data, pool, silent};
  c.state = *ParseStateFormat(format);
  EXPECT_TRUE(StartStreams(c, &c.quantized_streams).ok());
  EXPECT_TRUE(RunQuantizedBlock(c, 0).ok());
  std::vector<Floats> rows;
  for (size_t d = 0; d < data.documents.size(); ++d) {
    const auto leaving = c.quantized_streams->leaving(d);
    rows.emplace_back(leaving.begin(), leaving.end());
  }
  return rows;
}

TEST(RunQuantizedBlockTest, HasTheStateThatTheModelWillHave) {
  Parts p = Mamba2();
  const std::vector<Floats> got = Deployed(p, "i8");
  EXPECT_NE(got, Deployed(p, "f32"));
  p.graph.state = *ParseStateFormat("i8");
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  const auto program = *Program::LowerBlock(p.graph, p.weights, 0, {AllowedIsas(), false});
  const Interpreter interpreter(p.graph, p.weights, AllowedIsas());
  for (size_t d = 0; d < got.size(); ++d) {
    State state(p.graph);
    Floats rows = *interpreter.Embed(Text().documents[d]);
    ASSERT_TRUE(program->RunLayer(0, &rows, &state, &workspace).ok());
    EXPECT_EQ(got[d], rows) << d;
  }
}

TEST(RunFloatBlockTest, DocumentsAreSeenInOrderSoonAfterTheyRan) {
  Parts p = Mamba2();
  TokenDataset data;
  data.documents.assign(20, {1, 2, 3});
  ThreadPool pool(2);
  const Progress silent;
  QuantContext c{p.graph, p.weights, data, pool, silent};
  ASSERT_TRUE(StartStreams(c, &c.float_streams).ok());
  std::mutex mutex;
  size_t made = 0, seen = 0, most = 0;
  const auto make = [&](size_t) -> Tap* {
    const std::lock_guard lock(mutex);
    most = std::max(most, ++made - seen);
    return nullptr;
  };
  const auto count = [&](size_t d) { EXPECT_EQ(d, seen++); };
  ASSERT_TRUE(RunFloatBlock(c, 0, make, count).ok());
  EXPECT_EQ(seen, 20u);
  EXPECT_LE(most, 4u) << "taps that are alive at once";
}

TEST(Gptq, SeesInputsBehindQuantizedBlocks) {
  const Parts before = Mamba2();
  Parts p = before;
  const WeightRule gptq{
      .tensors = "linears", .bits = 4, .group = 32, .method = WeightMethod::kGptq};
  const std::vector<Pass> passes = {EncodeSites({{.sites = "linear-inputs"}}, {}),
                                    QuantizeWeights({gptq}, 0.02), RunAsDeployed("none")};
  ASSERT_TRUE(RunPassesOn(passes, &p.graph, &p.weights, Text(), 2).ok());
  // Block 1 in floats behind block 0 as it is deployed.
  Parts half = p;
  for (const char* name : {"mixer.in_proj.weight", "mixer.out_proj.weight"}) {
    half.weights.Set(LayerTensor(1, name), *before.weights.Find(LayerTensor(1, name)));
  }
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  const auto program = *Program::LowerBlock(p.graph, p.weights, 0, {AllowedIsas(), false});
  const Interpreter interpreter(half.graph, half.weights, AllowedIsas());
  Hessian in = *Hessian::Create(8), out = *Hessian::Create(12);
  for (const auto& document : Text().documents) {
    State first(p.graph), second(p.graph);
    Floats rows = *interpreter.Embed(document);
    ASSERT_TRUE(program->RunLayer(0, &rows, &first, &workspace).ok());
    Seen seen;
    ASSERT_TRUE(interpreter.RunLayer(1, &rows, &second, &seen).ok());
    const auto tokens = static_cast<int64_t>(document.size());
    in.Add(seen.now.at("layers.1.u_norm").data(), tokens, &pool);
    out.Add(seen.now.at("layers.1.y_norm").data(), tokens, &pool);
  }
  const GptqOptions options{32, Int4Step::kAbsMax, 0.02};
  for (const auto& [name, hessian] :
       {std::pair{"mixer.in_proj.weight", &in}, {"mixer.out_proj.weight", &out}}) {
    const Weight want =
        *GptqInt4(*before.weights.Find(LayerTensor(1, name)), *hessian, options, &pool);
    const Weight& got = *p.weights.Find(LayerTensor(1, name));
    EXPECT_EQ(ToF32(got), ToF32(want)) << name;
    const Weight rtn =
        QuantizeInt4Rtn(*before.weights.Find(LayerTensor(1, name)), 32, Int4Step::kAbsMax, &pool);
    EXPECT_NE(ToF32(got), ToF32(rtn)) << name;
  }
}

// Nothing static is calibrated here: the float model's means are observed all the same.
TEST(MeanCorrection, NeedsNoStaticSite) {
  QuantPlan plan;
  plan.weights = {{.tensors = "linears", .bits = 4, .group = 32}};
  plan.mean_correction = "1";
  const Parts before = Mamba2();
  Parts p = before;
  ASSERT_TRUE(RunPassesOn(PassesOf(plan), &p.graph, &p.weights, Text()).ok());
  const auto mean = [](const Parts& parts) {
    std::vector<double> sums(8);
    double tokens = 0;
    for (const Seen& document : RunFloat(parts, Text())) {
      const Floats& rows = document.now.at("layers.1.residual");
      for (size_t i = 0; i < rows.size(); ++i) {
        sums[i % 8] += static_cast<double>(rows[i]);
      }
      tokens += static_cast<double>(rows.size() / 8);
    }
    for (double& s : sums) {
      s /= tokens;
    }
    return sums;
  };
  const std::vector<double> want = mean(before), got = mean(p);
  for (size_t c = 0; c < 8; ++c) {
    EXPECT_NEAR(got[c], want[c], 1e-4);
  }
}

}  // namespace
}  // namespace octet
