// Contracts of the checkpoint's tensors:
//  1. Every missing, unexpected or misshapen tensor is an error that names it.
//  2. Optional biases, D per channel and a head that is tied, aliased, equal or its own are seen.
//  3. NaN and infinity in f32, bf16 and f16 are refused, naming the tensor; so are codes that
//     nothing says how to decode.
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/mamba2_testing.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTable = "backbone.embeddings.weight";
constexpr const char* kHead = "lm_head.weight";

Result<Architecture> Build(const BlockSizes& s, const WeightMap& weights) {
  return BuildArchitecture(HuggingFaceConfig(s), weights);
}

void ExpectCorrupt(const BlockSizes& s, const WeightMap& weights, const std::string& tensor) {
  const Result<Architecture> a = Build(s, weights);
  EXPECT_FALSE(a.ok()) << tensor;
  EXPECT_TRUE(a.status().code() == Code::kCorrupt || a.status().code() == Code::kNotFound)
      << tensor;
  EXPECT_THAT(a.status().message(), HasSubstr(tensor));
}

std::string HeadOf(const Architecture& a) {
  return a.graph.nodes.back().weights[0];
}

TEST(Tensors, ResultHoldsExactlyWhatTheGraphNames) {
  for (const bool tied : {true, false}) {
    BlockSizes s;
    s.tied = tied;
    s.biases = !tied;
    const WeightMap given = MakeBlockWeights(s, 1);
    const Result<Architecture> a = Build(s, given);
    ASSERT_TRUE(a.ok()) << a.status().message();
    EXPECT_EQ(ToText(a->graph), ToText(MakeBlocks(s)));
    EXPECT_EQ(a->weights.all().size(), given.all().size());
    for (const Node& n : a->graph.nodes) {
      for (const std::string& w : n.weights) {
        if (w.empty()) continue;
        ASSERT_NE(a->weights.Find(w), nullptr) << w;
        EXPECT_EQ(a->weights.Find(w)->data, given.Find(w)->data) << w << " was copied";
      }
    }
  }
}

TEST(Tensors, EachMissingOneIsNamed) {
  BlockSizes s;
  s.tied = false;
  s.biases = true;
  const WeightMap whole = MakeBlockWeights(s, 1);
  for (const auto& [name, w] : whole.all()) {
    if (name == kHead) continue;  // tied then
    WeightMap without = whole;
    without.Erase(name);
    ExpectCorrupt(s, without, name);
  }
  ExpectCorrupt(s, WeightMap(), kTable);
}

TEST(Tensors, EachMisshapenOneIsNamed) {
  BlockSizes s;
  s.tied = false;
  s.biases = true;
  const WeightMap whole = MakeBlockWeights(s, 1);
  for (const auto& [name, w] : whole.all()) {
    // A damaged tensor of layer 0, of the table or of a size-giving one shows as a disagreement
    // with others; the same tensor of layer 1 is the one to blame.
    const bool gives_sizes = name == kTable || name.starts_with("backbone.layers.0.");
    for (size_t axis = 0; axis < w.shape.size(); ++axis) {
      std::vector<int64_t> shape = w.shape;
      ++shape[axis];
      int64_t n = 1;
      for (const int64_t d : shape) {
        n *= d;
      }
      WeightMap damaged = whole;
      damaged.Set(name, MakeWeight(std::vector<float>(static_cast<size_t>(n), 0.5f), shape));
      ExpectCorrupt(s, damaged, gives_sizes ? "tensor" : name);
    }
    for (const std::vector<int64_t>& shape : {std::vector<int64_t>{}, {0}, {1, 1, 1, 1}}) {
      WeightMap damaged = whole;
      const size_t count = shape == std::vector<int64_t>{0} ? 0 : 1;
      damaged.Set(name, MakeWeight(std::vector<float>(count, 0.5f), shape));
      ExpectCorrupt(s, damaged, gives_sizes ? "tensor" : name);
    }
  }
}

TEST(Tensors, UnexpectedOnesAreNamed) {
  const BlockSizes s;
  for (const char* name :
       {"backbone.layers.0.mixer.q_proj.weight", "backbone.layers.1.norm.bias",
        "backbone.layers.1.mlp.weight", "model.norm.weight", "a", "zzz",
        "backbone.layers.10.norm.weight", "backbone.layers.1.mixer.dt_bias_scale"}) {
    WeightMap more = MakeBlockWeights(s, 1);
    more.Set(name, MakeWeight({1, 2}, {2}));
    ExpectCorrupt(s, more, name);
  }
}

TEST(Tensors, SizesThatCannotBe) {
  BlockSizes s;
  s.groups = 1;
  s.state_size = 7;
  const WeightMap weights = MakeBlockWeights(s, 1);
  const auto build = [&](int64_t N, int64_t G) {
    Json c = HuggingFaceConfig(s);
    c.Set("state_size", N);
    c.Set("n_groups", G);
    return BuildArchitecture(c, weights).status();
  };
  EXPECT_THAT(build(5, 3).message(), HasSubstr("7 channels for B"));
  EXPECT_THAT(build(1, 7).message(), HasSubstr("4 heads cannot be shared by 7 groups"));
  WeightMap heads = weights;
  heads.Set(LayerTensor(0, "mixer.A_log"), MakeWeight(std::vector<float>(5, 0.5f), {5}));
  ExpectCorrupt(s, heads, "backbone.layers.0.mixer.A_log");
  for (const int64_t rows :
       {1, 28, 29, 31}) {  // of 2 * 12 + 4 for z, x and dt, and one too few for B, C
    WeightMap few = weights;
    few.Set(LayerTensor(0, "mixer.in_proj.weight"),
            MakeWeight(std::vector<float>(static_cast<size_t>(rows * 8), 0.5f), {rows, 8}));
    EXPECT_THAT(Build(s, few).status().message(),
                HasSubstr("backbone.layers.0.mixer.in_proj.weight has " + std::to_string(rows) +
                          " rows, which leaves no room"));
  }
}

TEST(Tensors, BiasesAreOptionalUnlessDeclared) {
  BlockSizes s;
  s.biases = true;
  const WeightMap with = MakeBlockWeights(s, 1);
  Json undeclared = HuggingFaceConfig(s);
  undeclared.Set("use_bias", false);
  const Result<Architecture> a = BuildArchitecture(undeclared, with);
  ASSERT_TRUE(a.ok()) << a.status().message();
  EXPECT_EQ(ToText(a->graph), ToText(MakeBlocks(s))) << "what is there is used";

  WeightMap no_conv = MakeBlockWeights({}, 1);
  for (const int64_t layer : {0, 1}) {
    no_conv.Erase(LayerTensor(layer, "mixer.conv1d.bias"));
  }
  Json config = HuggingFaceConfig({});
  ExpectCorrupt({}, no_conv, LayerTensor(0, "mixer.conv1d.bias"));
  config.Set("use_conv_bias", false);
  const Result<Architecture> b = BuildArchitecture(config, no_conv);
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(b->graph.nodes[static_cast<size_t>(b->graph.FindSite("layers.0.xBC"))].weights[1], "");
}

TEST(Tensors, DPerChannelAndPerHead) {
  for (const bool per_channel : {false, true}) {
    BlockSizes s;
    s.D_per_channel = per_channel;
    const Result<Architecture> a = Build(s, MakeBlockWeights(s, 1));
    ASSERT_TRUE(a.ok()) << a.status().message();
    EXPECT_EQ(a->weights.Find(LayerTensor(1, "mixer.D"))->count(), per_channel ? 12 : 4);
  }
}

TEST(Head, TiedOwnAliasedEqualMissing) {
  BlockSizes own;
  own.tied = false;
  const WeightMap weights = MakeBlockWeights(own, 1);
  const Result<Architecture> a = Build(own, weights);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(HeadOf(*a), kHead);

  WeightMap missing = weights;
  missing.Erase(kHead);
  const Result<Architecture> b = Build(own, missing);  // the config says that it is untied
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(HeadOf(*b), kTable);
  EXPECT_THAT(b->warnings, testing::ElementsAre(HasSubstr("lm_head.weight")));
  BlockSizes tied;
  EXPECT_THAT(Build(tied, missing)->warnings, IsEmpty());

  const Weight table = *weights.Find(kTable);
  for (const Weight& same : {table, MakeWeight(ToF32(table), table.shape)}) {  // shared, or copied
    WeightMap aliased = weights;
    aliased.Set(kHead, same);
    const Result<Architecture> c = Build(own, aliased);
    ASSERT_TRUE(c.ok());
    EXPECT_EQ(HeadOf(*c), kTable);
    EXPECT_EQ(c->weights.Find(kHead), nullptr);
  }
  std::vector<float> nearly = ToF32(table);
  nearly.back() += 1e-6f;
  WeightMap differs = weights;
  differs.Set(kHead, MakeWeight(nearly, table.shape));
  EXPECT_EQ(HeadOf(*Build(tied, differs)), kHead) << "the tensors decide, not the config";
}

TEST(StateSpaces, EmbeddingIsRenamed) {
  const BlockSizes s;
  WeightMap weights = MakeBlockWeights(s, 1);
  const Weight table = *weights.Find(kTable);
  weights.Erase(kTable);
  weights.Set("backbone.embedding.weight", table);
  weights.Set(kHead, table);  // torch.save keeps the alias
  const Result<Architecture> a = BuildArchitecture(StateSpacesConfig(s), weights);
  ASSERT_TRUE(a.ok()) << a.status().message();
  EXPECT_EQ(HeadOf(*a), kTable);
  EXPECT_NE(a->weights.Find(kTable), nullptr);
}

// `w` as 16-bit floats whose last element has the given bits.
Weight SixteenBits(const Weight& w, DType dtype, uint16_t last) {
  const std::vector<float> values = ToF32(w);
  std::vector<uint16_t> halves;
  for (const float v : values) {
    halves.push_back(dtype == DType::kF16 ? F32ToF16(v) : F32ToBF16(v));
  }
  halves.back() = last;
  std::vector<std::byte> bytes(halves.size() * 2);
  std::memcpy(bytes.data(), halves.data(), bytes.size());
  return MakeWeight(dtype, std::move(bytes), w.shape);
}

TEST(Values, NotFiniteIsRefusedInEveryFormat) {
  const BlockSizes s;
  const WeightMap whole = MakeBlockWeights(s, 1);
  const float inf = std::numeric_limits<float>::infinity();
  for (const auto& [name, w] : whole.all()) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), inf, -inf}) {
      WeightMap damaged = whole;
      std::vector<float> values = ToF32(w);
      values.back() = bad;
      damaged.Set(name, MakeWeight(std::move(values), w.shape));
      ExpectCorrupt(s, damaged, name);
      damaged.Set(name, SixteenBits(w, DType::kF16, F32ToF16(bad)));
      ExpectCorrupt(s, damaged, name);
      damaged.Set(name, SixteenBits(w, DType::kBF16, F32ToBF16(bad)));
      ExpectCorrupt(s, damaged, name);
    }
    WeightMap largest = whole;  // and the largest finite ones are fine
    largest.Set(name, SixteenBits(w, DType::kF16, 0x7bff));
    EXPECT_TRUE(Build(s, largest).ok()) << name;
    largest.Set(name, SixteenBits(w, DType::kBF16, 0x7f7f));
    EXPECT_TRUE(Build(s, largest).ok()) << name;
  }
}

TEST(Values, CodesWithoutScalesAreRefused) {
  const BlockSizes s;
  const WeightMap whole = MakeBlockWeights(s, 1);
  for (const auto& [name, w] : whole.all()) {
    for (const DType dtype : {DType::kI8, DType::kU8, DType::kI32, DType::kI64}) {
      WeightMap coded = whole;
      const auto bytes = static_cast<size_t>(BytesOf(dtype, w.count()));
      coded.Set(name, MakeWeight(dtype, std::vector<std::byte>(bytes), w.shape));
      ExpectCorrupt(s, coded, name);
    }
  }
}

}  // namespace
}  // namespace octet
