// Contracts of the passes over weights and attributes:
//  1. int8: scales of 12 bits, per tensor or per row, whose last code is the largest value; every
//     value is decoded within half a step.
//  2. int4: for every group of a row the grid 2 max|w| / 15, to a 127th of the row's largest; codes
//     packed low nibble first; odd rows, groups wider than the row, and at most 64 groups.
//  3. Only in_proj and out_proj change, once; vectors and embeddings where asked.
//  4. Encoding passes put exactly the sites that they name.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "quant/passes_testing.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

using testing::HasSubstr;

struct Parts {
  Graph graph;
  WeightMap weights;
};

Parts MakeParts(const BlockSizes& s = {}) {
  return {MakeBlocks(s), MakeBlockWeights(s, 9)};
}

Status RunPass(const Pass& pass, Parts* p) {
  return RunPassesOn({pass}, &p->graph, &p->weights);
}

Pass Int8(WeightScale scale) {
  return QuantizeWeights({{.tensors = "linears", .bits = 8, .scale = scale}}, 0.01);
}

Pass Int4(int64_t group, Int4Step step) {
  return QuantizeWeights({{.tensors = "linears", .bits = 4, .group = group, .step = step}}, 0.01);
}

// Weights with rows of very different sizes, a row of zeros, and a largest value of either sign.
Weight Uneven(const Weight& like) {
  std::vector<float> v = ToF32(like);
  const auto columns = static_cast<size_t>(like.columns());
  for (size_t i = 0; i < v.size(); ++i) {
    v[i] *= std::ldexp(1.0f, -static_cast<int>(i / columns % 9));
  }
  std::fill_n(v.begin() + static_cast<std::ptrdiff_t>(2 * columns), columns, 0.0f);
  v[5 * columns + 1] = -3.7f;
  return MakeWeight(std::move(v), like.shape);
}

Parts UnevenParts(const BlockSizes& s) {
  Parts p = MakeParts(s);
  for (const int64_t layer : {0, 1}) {
    for (const char* name : {"mixer.in_proj.weight", "mixer.out_proj.weight"}) {
      p.weights.Set(LayerTensor(layer, name), Uneven(*p.weights.Find(LayerTensor(layer, name))));
    }
  }
  return p;
}

bool IsLinear(const std::string& name) {
  return name.ends_with("in_proj.weight") || name.ends_with("out_proj.weight");
}

// Everything but the block's matrices keeps its bytes.
void ExpectOthersUntouched(const Parts& before, const Parts& after) {
  ASSERT_EQ(before.weights.all().size(), after.weights.all().size());
  for (const auto& [name, w] : before.weights.all()) {
    EXPECT_EQ(IsLinear(name), after.weights.Find(name)->data != w.data) << name;
  }
}

void ExpectInt8Grid(const Weight& w, const Weight& q, size_t scales) {
  ASSERT_EQ(q.dtype, DType::kI8);
  ASSERT_EQ(q.shape, w.shape);
  ASSERT_EQ(q.row_scale->size(), scales);
  const std::vector<float> v = ToF32(w);
  const auto* codes = reinterpret_cast<const int8_t*>(q.data);
  const size_t per_scale = v.size() / scales;
  for (size_t s = 0; s < scales; ++s) {
    const double scale = (*q.row_scale)[s];
    EXPECT_EQ(RoundScale((*q.row_scale)[s]), (*q.row_scale)[s]) << "more than 12 bits";
    double peak = 0;
    for (size_t i = s * per_scale; i < (s + 1) * per_scale; ++i) {
      const double value = static_cast<double>(v[i]);
      peak = std::max(peak, std::fabs(value));
      EXPECT_LE(std::fabs(value - scale * codes[i]), scale / 2 * (1 + 1e-6)) << i;
      EXPECT_NE(codes[i], -128);
    }
    if (peak == 0) continue;
    EXPECT_LE(peak / 127, scale * (1 + 1e-7));
    EXPECT_LE(scale, peak / 127 * (1 + 0x1p-11)) << "a coarser grid than necessary";
  }
}

TEST(Int8Weights, GridPerTensorAndPerRow) {
  for (const bool per_row : {false, true}) {
    Parts p = UnevenParts({});
    const Parts before = p;
    ASSERT_TRUE(RunPass(Int8(per_row ? WeightScale::kRow : WeightScale::kTensor), &p).ok());
    ExpectOthersUntouched(before, p);
    for (const auto& [name, w] : before.weights.all()) {
      if (!IsLinear(name)) continue;
      ExpectInt8Grid(w, *p.weights.Find(name), per_row ? static_cast<size_t>(w.rows()) : 1);
    }
    const Status again = RunPass(Int8(per_row ? WeightScale::kRow : WeightScale::kTensor), &p);
    EXPECT_EQ(again.code(), Code::kInvalidArgument);
    EXPECT_THAT(again.message(), HasSubstr("in_proj.weight is quantized already"));
  }
}

TEST(Int8Weights, SegmentsAreOfRowsThatAreChannels) {
  for (const char* name : {"A_log", "embedding"}) {
    Parts p = MakeParts();
    const Parts before = p;
    const Status s = RunPass(
        QuantizeWeights({{.tensors = name, .bits = 8, .scale = WeightScale::kSegment}}, 0.01), &p);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << name;
    EXPECT_THAT(s.message(), HasSubstr("it has no segments")) << name;
  }
}

// The matrix `w` in groups of `group` columns, by the definition in methods_mamba 2.6.
void ExpectInt4Grid(const Weight& w, const Weight& q, int64_t group) {
  ASSERT_EQ(q.dtype, DType::kI4);
  ASSERT_EQ(q.shape, w.shape);
  ASSERT_EQ(q.group, group);
  const int64_t rows = w.rows(), columns = w.columns();
  const int64_t groups = (columns + group - 1) / group, row_bytes = (columns + 1) / 2;
  ASSERT_EQ(static_cast<int64_t>(q.row_scale->size()), rows);
  ASSERT_EQ(static_cast<int64_t>(q.group_scale->size()), rows * groups);
  ASSERT_LE(groups, 64);
  const std::vector<float> v = ToF32(w), decoded = ToF32(q);
  for (int64_t r = 0; r < rows; ++r) {
    const double base = (*q.row_scale)[static_cast<size_t>(r)];
    EXPECT_EQ(RoundScale((*q.row_scale)[static_cast<size_t>(r)]),
              (*q.row_scale)[static_cast<size_t>(r)]);
    double largest = 0;
    for (int64_t g = 0; g < groups; ++g) {
      double peak = 0;
      for (int64_t c = g * group; c < std::min(columns, (g + 1) * group); ++c) {
        peak =
            std::max(peak, std::fabs(static_cast<double>(v[static_cast<size_t>(r * columns + c)])));
      }
      const double wanted = 2 * peak / 15;
      largest = std::max(largest, wanted);
      const int multiplier = (*q.group_scale)[static_cast<size_t>(r * groups + g)];
      EXPECT_GE(multiplier, 1);
      EXPECT_LE(multiplier, 127);
      const double step = base * multiplier;
      EXPECT_LE(std::fabs(step - wanted), base * (multiplier == 1 ? 1 : 0.5) * (1 + 1e-6));
      for (int64_t c = g * group; c < std::min(columns, (g + 1) * group); ++c) {
        const auto byte = static_cast<int>(q.data[r * row_bytes + c / 2]);
        const int code = (c % 2 == 0 ? byte % 16 : byte / 16) - 8;
        const auto at = static_cast<size_t>(r * columns + c);
        const double value = static_cast<double>(v[at]);
        EXPECT_EQ(static_cast<double>(decoded[at]), code * step);
        const double reachable = std::clamp(value, -8 * step, 7 * step);
        EXPECT_LE(std::fabs(reachable - code * step), step / 2 * (1 + 1e-5));
      }
    }
    if (largest == 0) continue;
    EXPECT_LE(largest / 127, base * (1 + 1e-6));
    EXPECT_LE(base, largest / 127 * (1 + 0x1p-10));
  }
  if (columns % 2 == 1) {
    EXPECT_EQ(static_cast<int>(q.data[row_bytes - 1]) / 16, 8) << "the unused nibble is zero";
  }
}

TEST(Int4Weights, Grid) {
  struct Case {
    int64_t d_model, head_dim, group;
    int64_t in_group, out_group;  // what in_proj and out_proj get
  };
  for (const Case& c : {Case{128, 3, 32, 32, 32},
                        {100, 11, 32, 32, 32},
                        {33, 16, 32, 32, 32},
                        {8, 3, 128, 128, 128},
                        {2048, 2, 32, 32, 32},
                        {2080, 2, 32, 64, 32},
                        {4200, 2, 32, 96, 32}}) {
    BlockSizes s;
    s.d_model = c.d_model;
    s.head_dim = c.head_dim;
    s.heads = 3;
    s.groups = 1;
    s.rows = 3;
    Parts p = UnevenParts(s);
    const Parts before = p;
    ASSERT_TRUE(RunPass(Int4(c.group, Int4Step::kAbsMax), &p).ok());
    ExpectOthersUntouched(before, p);
    for (const auto& [name, w] : before.weights.all()) {
      if (!IsLinear(name)) continue;
      SCOPED_TRACE(name);
      ExpectInt4Grid(w, *p.weights.Find(name),
                     name.ends_with("in_proj.weight") ? c.in_group : c.out_group);
    }
  }
}

// Squared error of `n` values on the 4-bit grid of `step`.
double GridError(const float* values, int64_t n, double step) {
  double error = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(values[i]);
    error += std::pow(std::clamp(std::nearbyint(value / step), -8.0, 7.0) * step - value, 2);
  }
  return error;
}

TEST(Int4Weights, LeastSquaresStepIsTheBestOfItsRange) {
  BlockSizes s;
  s.d_model = 100;
  Parts p = UnevenParts(s);
  const Parts before = p;
  ASSERT_TRUE(RunPass(Int4(32, Int4Step::kLeastSquares), &p).ok());
  ExpectOthersUntouched(before, p);
  const Weight w = *before.weights.Find(LayerTensor(0, "mixer.in_proj.weight"));
  const Weight q = *p.weights.Find(LayerTensor(0, "mixer.in_proj.weight"));
  const std::vector<float> v = ToF32(w), decoded = ToF32(q);
  double chosen_total = 0, absmax_total = 0;
  for (int64_t r = 0; r < w.rows(); ++r) {
    const double base = (*q.row_scale)[static_cast<size_t>(r)];
    for (int64_t g = 0; g < 4; ++g) {
      const int64_t n = std::min<int64_t>(32, 100 - g * 32);
      const float* values = v.data() + r * 100 + g * 32;
      double peak = 0, error = 0;
      for (int64_t i = 0; i < n; ++i) {
        peak = std::max(peak, std::fabs(static_cast<double>(values[i])));
        error += std::pow(static_cast<double>(decoded[static_cast<size_t>(r * 100 + g * 32 + i)]) -
                              static_cast<double>(values[i]),
                          2);
      }
      if (peak == 0) {
        EXPECT_EQ(error, 0);
        continue;
      }
      const double nearest = std::nearbyint(2 * peak / 15 / base);
      for (int m = 1; m <= 127; ++m) {
        if (m < 0.7 * nearest || m > 1.1 * nearest) continue;
        EXPECT_LE(error, GridError(values, n, base * m) * (1 + 1e-4)) << r << " " << g << " " << m;
      }
      chosen_total += error;
      absmax_total += GridError(values, n, 2 * peak / 15);
    }
  }
  EXPECT_LT(chosen_total, 0.95 * absmax_total);
}

TEST(Vectors, OnlyTheNamedOnesBecomeInt8) {
  Parts p = MakeParts();
  const Parts before = p;
  ASSERT_TRUE(RunPass(QuantizeWeights({{.tensors = "A_log"},
                                       {.tensors = "conv1d.weight"},
                                       {.tensors = "absent", .optional = true}},
                                      0.01),
                      &p)
                  .ok());
  for (const auto& [name, w] : before.weights.all()) {
    const bool named = name.ends_with("A_log") || name.ends_with("conv1d.weight");
    EXPECT_EQ(p.weights.Find(name)->dtype, named ? DType::kI8 : DType::kF32) << name;
    if (named) ExpectInt8Grid(w, *p.weights.Find(name), 1);
  }
  EXPECT_EQ(p.weights.all().size(), before.weights.all().size());
  EXPECT_THAT(RunPass(QuantizeWeights({{.tensors = "absent"}}, 0.01), &p).message(),
              HasSubstr("no block has a tensor absent"));
}

TEST(Embeddings, AreF16WhereThatHoldsThem) {
  BlockSizes s;
  s.tied = false;
  Parts p = MakeParts(s);
  std::vector<float> large(static_cast<size_t>(s.rows * s.d_model), 1.0f);
  large.back() = -70000;
  p.weights.Set("lm_head.weight", MakeWeight(large, {s.rows, s.d_model}));
  const std::vector<float> before = ToF32(*p.weights.Find("backbone.embeddings.weight"));
  ASSERT_TRUE(
      RunPass(QuantizeWeights(
                  {{.tensors = "embedding", .bits = 16}, {.tensors = "head", .bits = 16}}, 0.01),
              &p)
          .ok());
  EXPECT_EQ(p.weights.Find("lm_head.weight")->dtype, DType::kF32);
  const Weight table = *p.weights.Find("backbone.embeddings.weight");
  ASSERT_EQ(table.dtype, DType::kF16);
  const std::vector<float> after = ToF32(table);
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_NEAR(after[i], before[i], std::fabs(before[i]) * 0x1p-11f + 0x1p-25f);
  }
  ASSERT_TRUE(
      RunPass(QuantizeWeights(
                  {{.tensors = "embedding", .bits = 16}, {.tensors = "head", .bits = 16}}, 0.01),
              &p)
          .ok());
  EXPECT_EQ(p.weights.Find("backbone.embeddings.weight")->data, table.data) << "16 bits stay";
}

TEST(Attributes, EncodingPasses) {
  Parts p = MakeParts();
  ASSERT_TRUE(
      RunPass(EncodeSites({{.sites = "linear-inputs", .granularity = Granularity::kToken}}, {}), &p)
          .ok());
  EXPECT_EQ(p.graph.encodings.size(), 4u);
  for (const char* site :
       {"layers.0.u_norm", "layers.1.u_norm", "layers.0.y_norm", "layers.1.y_norm"}) {
    const Encoding* e = p.graph.FindEncoding(site);
    ASSERT_NE(e, nullptr) << site;
    EXPECT_EQ(e->dtype, DType::kI8);
    EXPECT_EQ(e->source, ScaleSource::kPerToken);
    EXPECT_TRUE(e->scales.empty());
  }
  EXPECT_TRUE(Verify(p.graph).ok());
  p = MakeParts();
  ASSERT_TRUE(
      RunPass(EncodeSites({{.sites = "ssd.*", .granularity = Granularity::kChunk}}, {}), &p).ok());
  EXPECT_EQ(p.graph.encodings.size(), 6u);
  for (const int layer : {0, 1}) {
    for (const char* inner : kSsdInnerSites) {
      ASSERT_NE(p.graph.FindEncoding(SsdInnerSite(layer, inner)), nullptr);
      EXPECT_EQ(p.graph.FindEncoding(SsdInnerSite(layer, inner))->source, ScaleSource::kPerChunk);
    }
  }
  const SiteRule soft_edge{
      .sites = "ssd.x_scaled", .codec = "se8s", .granularity = Granularity::kChunk};
  ASSERT_TRUE(RunPass(EncodeSites({soft_edge}, {}), &p).ok());
  EXPECT_EQ(p.graph.FindEncoding(SsdInnerSite(1, "x_scaled"))->codec, Codec::kSe8s);
  EXPECT_EQ(p.graph.FindEncoding(SsdInnerSite(1, "x_scaled"))->source, ScaleSource::kPerChunk);
}

TEST(Attributes, Int8SsdChunkSizeAndState) {
  Parts p = MakeParts();
  EXPECT_THAT(RunPass(UseInt8Ssd(false), &p).message(), HasSubstr("layers.0.B"))
      << "without encodings";
  ASSERT_TRUE(RunPass(SetChunkSize(0), &p).ok());
  const auto chunk = [&] {
    return p.graph.nodes[static_cast<size_t>(p.graph.FindSite("layers.1.y"))].ssd.chunk_size;
  };
  EXPECT_EQ(chunk(), 8);
  ASSERT_TRUE(RunPass(SetChunkSize(64), &p).ok());
  EXPECT_EQ(chunk(), 64);
  for (const std::string& name : StateFormatNames()) {
    if (name.starts_with("i8s")) continue;  // needs text: state_scales_test.cc
    ASSERT_TRUE(RunPass(SetStateFormat({name}), &p).ok()) << name;
    EXPECT_EQ(ToText(p.graph.state), name);
  }
  ASSERT_TRUE(RunPass(SetStateFormat({"f32"}), &p).ok());
  for (const char* bad : {"i4", "bf16", "", "F32"}) {
    EXPECT_EQ(RunPass(SetStateFormat({bad}), &p).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(p.graph.state, StateFormat{});
}

}  // namespace
}  // namespace octet
