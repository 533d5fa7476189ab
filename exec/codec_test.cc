// Contracts, for every code of tensor/codec.h, on a Mamba-1 and a Mamba-2:
//  1. The simulated and the integer run agree bit for bit over the reference kernels, in prefill
//  and
//     decode, with sites encoded in place and forked, with one scale and with several.
//  2. Every instruction set stays as close to the reference as float products allow; the codes of
//     equal floats are equal bits (kernels/encode_test.cc).
//  3. A fork's encoding is seen by its reader only, and an input of x_proj is the int8 code of the
//     float convolution output, not of the code that the scan reads.
//  4. Storing and loading gives the same logits, bit for bit.
//  5. A Linear on codes refuses an input in any code but int8.
#include <bit>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "exec/program.h"
#include "exec/quantized_format.h"
#include "exec/quantized_model_testing.h"
#include "exec/simulate.h"
#include "graph/mamba_block_testing.h"
#include "kernels/isa.h"

namespace octet {
namespace {

using testing::HasSubstr;

constexpr int64_t kRows = 11;

std::vector<TokenId> Tokens(size_t n, size_t from) {
  std::vector<TokenId> ids(n);
  for (size_t i = 0; i < n; ++i) {
    ids[i] = static_cast<TokenId>((i + from) * (i + from) % kRows);
  }
  return ids;
}

// Ranges that the values of a site really have, in the float model.
class RangeTap : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    ValueRange& range = ranges[std::string(site)];
    for (int64_t i = 0; i < rows * cols; ++i) {
      range.low = std::min(range.low, values[i]);
      range.high = std::max(range.high, values[i]);
    }
  }
  bool WantsInnerSites() const override { return false; }
  std::map<std::string, ValueRange> ranges;
};

QuantizedParts FloatParts(bool mamba2) {
  if (mamba2) return {MakeBlocks({}), MakeBlockWeights({}, 3)};
  return {MakeMambaBlocks({}), MakeMambaBlockWeights({}, 3)};
}

// Encodes `site` for its range; several scales differ.
void Encode(Graph* g, const std::string& site, Codec codec, const ValueRange& range,
            size_t scales) {
  Encoding e{DType::kI8, ScaleSource::kStatic, {}, codec, {}};
  for (size_t i = 0; i < scales; ++i) {
    const float part = 1.0f / static_cast<float>(i + 1);  // some clip
    const CodecFit fit = FitCodec(codec, {range.low * part, range.high * part});
    e.scales.push_back(fit.scale);
    if (HasZero(codec)) e.zeros.push_back(static_cast<uint8_t>(fit.zero));
  }
  g->encodings[site] = std::move(e);
}

// In Mamba-1, what the scan reads of x in `codec` and what x_proj reads, on codes, in int8, each by
// a fork of the float x; in Mamba-2, x, B and C in `codec`. The gate's z, too, and what the first
// norm reads of the residual stream.
QuantizedParts MakeCoded(bool mamba2, Codec codec) {
  QuantizedParts q = FloatParts(mamba2);
  RangeTap tap;
  State state(q.graph);
  std::vector<float> logits;
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  EXPECT_TRUE(interpreter.Run(Tokens(64, 1), &state, &tap, &logits).ok());
  for (int layer = 0; layer < q.graph.layers; ++layer) {
    const auto site = [&](const char* name) { return fmt::format("layers.{}.{}", layer, name); };
    const auto encode = [&](const char* name, const char* like, Codec c, size_t scales) {
      Encode(&q.graph, site(name), c, tap.ranges[site(like)], scales);
    };
    encode("z", "z", codec, 3);
    // The float stream is read again after this fork, by the residual sum.
    ForkInput(&q.graph, q.graph.FindSite(site("u_norm")), 0, "u_in");
    Encode(&q.graph, site("u_in"), codec, {-1.5f, 1.5f}, 2);
    if (mamba2) {
      encode("x", "x", codec, 4);
      encode("B", "B", codec, 2);
      encode("C", "C", codec, 1);
      continue;
    }
    ForkInput(&q.graph, q.graph.FindSite(site("x_dbl")), 0, "x_proj_in");
    ForkInput(&q.graph, q.graph.FindSite(site("y")), 0, "x_scan");
    encode("x_scan", "x", codec, layer == 0 ? 1 : 6);
    encode("x_proj_in", "x", Codec::kUniform, 1);
    const std::string name = LayerTensor(layer, "mixer.x_proj.weight");
    q.weights.Set(name, Int8Codes(*q.weights.Find(name), 1));
  }
  EXPECT_TRUE(Verify(q.graph).ok()) << Verify(q.graph).message();
  return q;
}

// Prefill and decode.
constexpr size_t kPieces[] = {19, 8, 1, 1};

std::vector<float> Simulated(const QuantizedParts& q) {
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  SimulationTap tap(q.graph);
  State state(q.graph);
  std::vector<float> all, part;
  for (const size_t T : kPieces) {
    EXPECT_TRUE(interpreter.Run(Tokens(T, all.size()), &state, &tap, &part).ok());
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<float> Integer(const QuantizedParts& q, IsaMask isas) {
  const auto program = Program::Lower(q.graph, q.weights, {isas, false});
  EXPECT_TRUE(program.ok()) << program.status().message();
  if (!program.ok()) return {};
  ThreadPool pool(2);
  ProgramWorkspace workspace(&pool);
  State state(q.graph);
  std::vector<float> all;
  for (const size_t T : kPieces) {
    const size_t from = all.size();
    EXPECT_TRUE((*program)
                    ->Run(Tokens(T, from), &state, &workspace,
                          [&](int64_t, int64_t rows, const float* logits) {
                            all.insert(all.end(), logits, logits + rows * kRows);
                          })
                    .ok());
  }
  return all;
}

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float v : values) {
    bits.push_back(std::bit_cast<uint32_t>(v));
  }
  return bits;
}

class CodecTest : public testing::TestWithParam<std::tuple<bool, Codec>> {
 protected:
  QuantizedParts q_ = MakeCoded(std::get<0>(GetParam()), std::get<1>(GetParam()));
};

TEST_P(CodecTest, SimulatedIsIntegerAndEncodingMatters) {
  const std::vector<float> integer = Integer(q_, kReferenceOnly);
  EXPECT_EQ(Bits(integer), Bits(Simulated(q_)));
  QuantizedParts plain = q_;
  std::erase_if(plain.graph.encodings, [](const auto& entry) {
    return !entry.first.ends_with("x_proj_in");  // the codes that x_proj needs
  });
  EXPECT_NE(Bits(Integer(plain, kReferenceOnly)), Bits(integer));
}

TEST_P(CodecTest, EveryIsaIsCloseToTheReference) {
  // The encoded values themselves are the same bits (kernels/encode_test.cc); float products
  // differ in their last bits, which flips a code here and there.
  const std::vector<float> want = Integer(q_, kReferenceOnly);
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const std::vector<float> got = Integer(q_, AllowedIsas());
    ASSERT_EQ(got.size(), want.size());
    double error = 0, norm = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
      norm += std::pow(static_cast<double>(want[i]), 2);
    }
    EXPECT_LT(std::sqrt(error / norm), 5e-3) << isa;
  }
  ASSERT_TRUE(ForceIsa("native").ok());
}

TEST_P(CodecTest, SaveLoadRunIsExact) {
  WeightMap stored, encodings;
  for (auto [name, w] : StoredTensors(q_.graph, q_.weights)) {
    w.row_scale = nullptr;
    stored.Set(name, std::move(w));
  }
  const Json description = *Json::Parse(DescribeQuantization(q_.graph, q_.weights).Dump());
  QuantizedParts back = FloatParts(std::get<0>(GetParam()));
  const Result<WeightMap> weights = AttachScales(description, stored, &encodings);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  back.weights = *weights;
  const Status s = ApplyQuantization(description, encodings, &back.graph);
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(ToText(back.graph), ToText(q_.graph));
  EXPECT_EQ(Bits(Integer(back, kReferenceOnly)), Bits(Integer(q_, kReferenceOnly)));
}

INSTANTIATE_TEST_SUITE_P(All, CodecTest,
                         testing::Combine(testing::Bool(), testing::ValuesIn(kCodecs)),
                         [](const auto& c) {
                           return fmt::format("{}_{}", std::get<0>(c.param) ? "Mamba2" : "Mamba",
                                              CodecName(std::get<1>(c.param)));
                         });

// The values of some sites of block 0, as a simulated run shows them.
class SiteTap : public Tap {
 public:
  explicit SiteTap(const Graph& graph) : simulation_(graph) {}
  void At(std::string_view site, int64_t index, float* values, int64_t rows,
          int64_t cols) override {
    simulation_.At(site, index, values, rows, cols);
    if (index == 0) seen[std::string(site)].assign(values, values + rows * cols);
  }
  std::map<std::string, std::vector<float>> seen;

 private:
  SimulationTap simulation_;
};

TEST(Fork, ReadersOfOneFloatValueEachSeeTheirOwnCode) {
  const QuantizedParts q = MakeCoded(false, Codec::kSe9);
  SiteTap tap(q.graph);
  State state(q.graph);
  std::vector<float> logits;
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  ASSERT_TRUE(interpreter.Run(Tokens(30, 0), &state, &tap, &logits).ok());
  const std::vector<float>& x = tap.seen["layers.0.x"];
  const Encoding& scan = q.graph.encodings.at("layers.0.x_scan");
  const Encoding& proj = q.graph.encodings.at("layers.0.x_proj_in");
  std::vector<float> fine, coarse, twice;
  for (const float v : x) {
    fine.push_back(FakeQuantize(Codec::kSe9, v, scan.scales[0], 0));
    coarse.push_back(FakeQuantizeI8(v, proj.scales[0]));
    twice.push_back(FakeQuantizeI8(fine.back(), proj.scales[0]));
  }
  EXPECT_EQ(tap.seen["layers.0.x_scan"], fine);
  EXPECT_EQ(tap.seen["layers.0.x_proj_in"], coarse);
  EXPECT_NE(coarse, twice) << "otherwise this does not tell the float from the soft-edge value";
}

// A dot product takes int8 codes; of other codes a Linear takes the values.
TEST(Lower, ALinearMultipliesTheValuesOfOtherCodes) {
  for (const Codec codec : kCodecs) {
    QuantizedParts q = MakeCoded(false, Codec::kSe9);
    Encode(&q.graph, "layers.1.x_proj_in", codec, {-0.3f, 2.0f}, 1);
    EXPECT_EQ(Bits(Integer(q, kReferenceOnly)), Bits(Simulated(q))) << CodecName(codec);
  }
}

TEST(Simulation, CountsSaturationBeyondTheCode) {
  QuantizedParts q = FloatParts(true);
  q.graph.encodings["layers.0.z"] = {DType::kI8, {}, {1.0f}, Codec::kSe8u, {8}};
  SimulationTap tap(q.graph);
  // Below -8.5 / 4 and beyond (143 + 4 * 56 + 2) s.
  std::vector<float> values = {0, -2, -2.1f, -2.2f, 368, 370, 127.6f, 1e30f};
  tap.At("layers.0.z", 0, values.data(), 2, 4);
  const Saturation& s = tap.saturation().at("layers.0.z");
  EXPECT_EQ(s.values, 8);
  EXPECT_EQ(s.saturated, 3);
  EXPECT_EQ(values, (std::vector<float>{0, -2, -2, -2, 367, 367, 128, 367}));
}

}  // namespace
}  // namespace octet
