// Contracts, for every recipe, state format and a range of shapes:
//  1. The simulated run (floats that hold decoded codes) and the integer run agree bit for bit on
//     the reference kernels, in prefill and in decode.
//  2. On every ISA the integer run gives the same bits as on the reference kernels, where the float
//     head is left out (hidden states before the head), or stays close where it is not.
//  3. Save, load, run: the same logits bit for bit; writing twice gives the same bytes.
//  4. Splitting at multiples of the chunk length changes no bit; threads change no bit.
//  5. Prefill and decode agree within the rounding of the states; for Mamba, whose prefill can
//     round as often as decode does, but for the float head.
//  6. Rotation leaves the float function unchanged; outlier channels do not disturb rotating
//     recipes.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/program.h"
#include "exec/quantized_format.h"
#include "exec/simulate.h"
#include "kernels/isa.h"
#include "quant/passes_testing.h"
#include "quant/recipe.h"
#include "quant/state_scales.h"
#include "tests/models.h"

namespace octet {
namespace {

using Logits = std::vector<float>;

TokenDataset RandomData(int64_t documents, int64_t length, int64_t vocab) {
  TokenDataset data;
  for (int64_t i = 0; i < documents; ++i) {
    data.documents.push_back(RandomTokens(length, vocab, 100 + static_cast<uint64_t>(i)));
  }
  return data;
}

// Ends the program where a test could only go on with an undefined value.
template <class T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().message();
    std::abort();
  }
  return *std::move(result);
}

QuantizedModel QuantizeWith(const RandomModel& m, const std::string& recipe, const Json& options,
                            int threads = 2) {
  const RecipeRun run = Must(PlanRecipeNamed(recipe, options, FamilyOf(m.graph)));
  ThreadPool pool(threads);
  return Must(
      Quantize(run, m.graph, m.weights, RandomData(6, 90, m.graph.vocab_rows), Json(), &pool, {}));
}

Logits RunProgram(const Graph& graph, const WeightMap& weights, IsaMask isas,
                  std::span<const TokenId> ids, const std::vector<size_t>& cuts, int threads = 1) {
  const auto program = Must(Program::Lower(graph, weights, {isas, false}));
  ThreadPool pool(threads);
  ProgramWorkspace workspace(&pool);
  State state(graph);
  Logits all;
  size_t begin = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : ids.size();
    const Status s = program->Run(ids.subspan(begin, end - begin), &state, &workspace,
                                  [&](int64_t, int64_t rows, const float* logits) {
                                    all.insert(all.end(), logits, logits + rows * graph.vocab_rows);
                                  });
    EXPECT_TRUE(s.ok()) << s.message();
    begin = end;
  }
  return all;
}

Logits RunSimulated(const QuantizedModel& q, std::span<const TokenId> ids,
                    const std::vector<size_t>& cuts) {
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  SimulationTap tap(q.graph);
  State state(q.graph);
  Logits all, part;
  size_t begin = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : ids.size();
    EXPECT_TRUE(interpreter.Run(ids.subspan(begin, end - begin), &state, &tap, &part).ok());
    all.insert(all.end(), part.begin(), part.end());
    begin = end;
  }
  return all;
}

int64_t BitDifferences(const Logits& a, const Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  int64_t n = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    n += std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]);
  }
  return n;
}

// Everything that is stored of a tensor, bit for bit.
void ExpectSameBytes(const Weight& a, const Weight& b, const std::string& name) {
  const auto same = [](const auto& x, const auto& y) {
    return (x == nullptr) == (y == nullptr) && (x == nullptr || *x == *y);
  };
  EXPECT_EQ(a.dtype, b.dtype) << name;
  EXPECT_EQ(a.group, b.group) << name;
  EXPECT_TRUE(same(a.row_scale, b.row_scale)) << name;
  EXPECT_TRUE(same(a.group_scale, b.group_scale)) << name;
  ASSERT_EQ(a.shape, b.shape) << name;
  const auto bytes = [](const Weight& w) {
    return w.dtype == DType::kI4 ? w.rows() * BytesOf(w.dtype, w.columns())
                                 : BytesOf(w.dtype, w.count());
  };
  ASSERT_EQ(bytes(a), bytes(b)) << name;
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(bytes(a))), 0) << name;
}

double RelativeError(const Logits& got, const Logits& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    norm += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / norm);
}

enum class Arch : uint8_t { kMamba2, kMamba, kFalconMamba };

struct Case {
  const char* recipe;
  const char* state;
  int64_t groups;                // Mamba-2 only
  const char* option = nullptr;  // one more, "key=value"
  Arch arch = Arch::kMamba2;
  Json options() const {
    Json o = Json::MakeObject();
    o.Set("state", state);
    if (option != nullptr) {
      const std::string text = option;
      o.Set(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
    }
    return o;
  }
  Mamba1Config mamba1() const {
    Mamba1Config c = SmallMamba1();
    c.mixer_norms = arch == Arch::kFalconMamba;
    return c;
  }
  RandomModel Make(uint64_t seed) const {
    return arch == Arch::kMamba2 ? MakeRandomModel(SmallConfig(groups), seed)
                                 : MakeRandomModel(mamba1(), seed);
  }
  // The float graph that a loader would make for `weights`.
  Graph FloatGraph(const WeightMap& weights) const {
    const bool tied = weights.Find("lm_head.weight") == nullptr;
    if (arch == Arch::kMamba2) {
      Mamba2Config c = SmallConfig(groups);
      c.tied = tied;
      return Mamba2Graph(c, weights);
    }
    Mamba1Config c = mamba1();
    c.tied = tied;
    return Mamba1Graph(c, weights);
  }
};

bool QuantizesInsideTheSsd(const char* recipe) {
  return std::string(recipe).starts_with("ssdi8");
}

bool Fits(const Recipe& r, Arch arch) {
  const Family family = arch == Arch::kMamba2 ? Family::kMamba2 : Family::kMamba;
  return r.only.value_or(family) == family;
}

// Every state format with recipes of each kind, on either family; every recipe with a format of
// each kind; more shapes; and options that change what is computed.
std::vector<Case> AllCases() {
  std::vector<Case> cases;
  const auto add = [&](const Recipe& r, const Case& c) {
    if (Fits(r, c.arch)) cases.push_back(c);
  };
  for (const std::string& state : StateFormatNames()) {
    for (const char* name : {"absmax", "quamba", "ssdi8-w8a8", "ssdi8-plus-w4a8"}) {
      add(**FindRecipe(name), {name, state.c_str(), 2});
      add(**FindRecipe(name), {name, state.c_str(), 1, nullptr, Arch::kMamba});
    }
  }
  for (const Recipe& r : Recipes()) {
    for (const char* state : {"f32", "f16", "i8", "i8s"}) {
      const bool done = std::ranges::any_of(cases, [&](const Case& c) {
        return std::string(c.recipe) == r.name && std::string(c.state) == state;
      });
      if (done) continue;
      add(r, {r.name, state, 2});
      add(r, {r.name, state, 1, nullptr, Arch::kMamba});
    }
    add(r, {r.name, "f32", 1});
    add(r, {r.name, "i8", 1});
    add(r, {r.name, "i8", 1, nullptr, Arch::kFalconMamba});
  }
  for (const char* state : {"f32", "i8"}) {
    for (const char* recipe : {"ssdi8-plus-w8a8", "ssdi8-plus-w4a8"}) {
      cases.push_back({recipe, state, 2, "inner_scales=static"});
    }
    cases.push_back({"ssdi8-w4a8", state, 2, "weight_method=rtn"});
  }
  for (const char* codec : {"x_scaled_codec=se8s", "x_scaled_codec=se9", "x_scaled_codec=int16"}) {
    cases.push_back({"ssdi8-w8a8", "f32", 2, codec});      // static scales
    cases.push_back({"ssdi8-plus-w8a8", "i8", 1, codec});  // per chunk
  }
  for (const char* codec :
       {"codec=se9", "codec=uint8", "codec=seg8", "codec=int16", "codec=int8", "codec=float"}) {
    cases.push_back({"quamba-se", "i8s", 1, codec, Arch::kMamba});
    cases.push_back({"quamba-se", "i8s", 2, codec});
  }
  cases.push_back({"quamba", "i8s", 1, "generation=q1", Arch::kMamba});
  cases.push_back({"quamba", "i8s", 1, "alpha=auto", Arch::kMamba});
  for (const char* end : {"embedding=i8", "embedding=i4", "head=i8", "head=i4", "head=i8a8"}) {
    cases.push_back({"quamba2-w4a8", "i8s", 2, end});
    cases.push_back({"quamba2-w4a16", "f32", 1, end, Arch::kMamba});
  }
  cases.push_back({"had-s8", "f32", 1, "weights=w4"});
  cases.push_back({"had-s8", "f32", 1, "ssd=float"});
  return cases;
}

// The largest absolute value of each element of each state.
class StatePeaks : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (!site.ends_with(".state") || site.ends_with(".ssd.state")) return;
    Logits& most = of[std::string(site)];
    most.resize(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < most.size(); ++i) {
      most[i] = std::max(most[i], std::fabs(values[i]));
    }
  }
  bool WantsInnerSites() const override { return false; }
  std::map<std::string, Logits> of;
};

class RecipeTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    model_ = GetParam().Make(7);
    ids_ = RandomTokens(75, model_.graph.vocab_rows, 9);
    q_ = QuantizeWith(model_, GetParam().recipe, GetParam().options());
  }
  // Products in float round in an order of their own on each instruction set and for each number of
  // tokens, which can flip codes downstream.
  double Tolerance() const { return FloatProducts() ? 5e-3 : 1e-6; }
  bool FloatProducts() const { return std::string(GetParam().recipe).ends_with("a16"); }
  size_t Chunk() const { return static_cast<size_t>(ChunkSize(q_.graph)); }
  // Rounding a tensor to int8 moves it by e = r / (127 sqrt(12)) of its rms, r being its peak over
  // its rms; with r = 6, the peak being that of a whole calibration text, e = 0.0136. Squares of
  // independent errors add up. What decode and prefill do not share, in each of the two blocks:
  // X_s, CB and S_c are rounded in prefill only (e^2 each), so are the gates in Q7 (e^2); an int8
  // state is rounded in both, at different tokens (2 e^2, twice that stochastically; with a static
  // scale, which is the peak of a text and not of the row's 16 values now, decode keeps the errors
  // of Memory() stores: 1 + Memory() instead of 2); then the encoded sites of the block are rounded
  // from values that differ already (at most 2 e^2 each).
  double DecodeBound() const {
    const double e = 6 / (127 * std::sqrt(12.0));
    const StateFormat& state = q_.graph.state;
    double roundings = 0;
    if (state.CodeBytes(1) == 1 && state.rounding != StateRounding::kFeedback) {
      roundings = state.static_scales() ? 1 + Memory() : 2;
      if (state.rounding == StateRounding::kStochastic) roundings *= 2;
    }
    for (const Node& n : q_.graph.nodes) {
      if (n.op == Op::kSsd && n.layer == 0) roundings += 3 * n.ssd.int8 + n.ssd.gate_q7;
    }
    // Nothing but float sums in another order, which may flip a code here and there.
    if (roundings == 0 && state.codec == StateCodec::kF32) return 5e-3;
    const auto sites = std::ranges::count_if(q_.graph.encodings, [](const auto& site) {
      return site.first.starts_with("layers.1.") && site.first.find(".ssd.") == site.first.npos;
    });
    return std::sqrt(2.0 * (roundings + 2.0 * static_cast<double>(std::max<int64_t>(sites, 2)))) *
           e;
  }
  // Stores whose error is still in a state of a head, on average over the model's heads and 40
  // tokens: sum a^2k, a = exp(dt A) at dt = softplus(dt_bias).
  double Memory() const {
    double stores = 0, heads = 0;
    for (int layer = 0; layer < model_.graph.layers; ++layer) {
      const std::string mixer = fmt::format("backbone.layers.{}.mixer.", layer);
      const Logits A_log = ToF32(*model_.weights.Find(mixer + "A_log"));
      const Logits bias = ToF32(*model_.weights.Find(mixer + "dt_bias"));
      for (size_t h = 0; h < bias.size(); ++h, ++heads) {
        const double dt = std::log1p(std::exp(static_cast<double>(bias[h])));
        const double rate = 2 * dt * std::exp(static_cast<double>(A_log[h]));
        stores += (1 - std::exp(-40 * rate)) / (1 - std::exp(-rate));
      }
    }
    return stores / heads;
  }
  // Gives the model static scales that no state of `ids` exceeds: how much calibration text that
  // takes is not what is tested.
  void CoverStates(std::span<const TokenId> ids) {
    StatePeaks peaks;
    Graph exact = q_.graph;
    exact.state = {};
    exact.state_scales = nullptr;
    const Interpreter interpreter(exact, q_.weights, kAllIsas);
    State state(exact, HistoryStorage::kFloats);
    Logits logits;
    for (const TokenId& id : ids) {
      ASSERT_TRUE(interpreter.Run({&id, 1}, &state, &peaks, &logits).ok());
    }
    std::vector<StateScales> scales;
    for (int layer = 0; layer < exact.layers; ++layer) {
      const Node& n = *FindStateNode(exact, layer);
      std::vector<float>& most = peaks.of[StateSite(layer)];
      for (float& peak : most) {
        peak *= 1.1f;  // room for what rounding adds
      }
      scales.push_back(MakeStateScales(StateLayout::kRow, most, n.width, StateSize(n)));
    }
    q_.graph.state_scales = std::make_shared<const std::vector<StateScales>>(std::move(scales));
  }
  RandomModel model_;
  std::vector<TokenId> ids_;
  QuantizedModel q_;
};

TEST_P(RecipeTest, SimulatedEqualsIntegerBitForBit) {
  // Prefill, a short piece, then single tokens.
  const std::vector<size_t> cuts = {64, 70, 71, 72, 73, 74};
  const Logits integer = RunProgram(q_.graph, q_.weights, kReferenceOnly, ids_, cuts);
  EXPECT_EQ(BitDifferences(integer, RunSimulated(q_, ids_, cuts)), 0);
}

TEST_P(RecipeTest, EveryIsaAgreesWithTheReference) {
  const Logits want = RunProgram(q_.graph, q_.weights, kReferenceOnly, ids_, {64, 70, 71});
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const Logits got = RunProgram(q_.graph, q_.weights, AllowedIsas(), ids_, {64, 70, 71});
    // Only the float head may round differently: its dot products are short, its inputs identical.
    // An SSD that stays in float rounds there as well, which can flip codes downstream.
    const bool float_ssd =
        GetParam().arch == Arch::kMamba2 && !QuantizesInsideTheSsd(GetParam().recipe);
    EXPECT_LT(RelativeError(got, want), float_ssd ? 5e-3 : Tolerance()) << isa;
  }
  ASSERT_TRUE(ForceIsa("native").ok());
}

TEST_P(RecipeTest, SaveLoadRunIsExact) {
  const auto stored = StoredTensors(q_.graph, q_.weights);
  WeightMap map, encodings;
  for (const auto& [name, w] : stored) {
    Weight plain = w;  // what a file keeps of it
    plain.row_scale = nullptr;
    plain.group_scale = nullptr;
    if (plain.dtype == DType::kI4) {
      plain.shape[1] = BytesOf(DType::kI4, plain.shape[1]);
      plain.dtype = DType::kU8;
    }
    map.Set(name, plain);
  }
  const Json description = *q_.config.Find("graph");
  const Result<WeightMap> weights = AttachScales(description, map, &encodings);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  Graph graph = GetParam().FloatGraph(*weights);
  const Status applied = ApplyQuantization(description, encodings, &graph);
  ASSERT_TRUE(applied.ok()) << applied.message();
  EXPECT_EQ(ToText(graph), ToText(q_.graph));
  EXPECT_EQ(BitDifferences(RunProgram(graph, *weights, kAllIsas, ids_, {}),
                           RunProgram(q_.graph, q_.weights, kAllIsas, ids_, {})),
            0);
}

// Also when one token is left over: it runs as the decode step, whether it ends a call or is one.
TEST_P(RecipeTest, ChunkSplitsAndThreadsChangeNoBit) {
  // oneDNN's float products depend on the number of rows, so the head stays out of its hands here.
  const IsaMask own = kAllIsas & ~MaskOf(Isa::kOneDnn);
  for (const int64_t rest : {5, 1}) {
    const std::vector<TokenId> ids = RandomTokens(static_cast<int64_t>(Chunk()) * 3 + rest, 61, 21);
    const Logits want = RunProgram(q_.graph, q_.weights, own, ids, {});
    const Logits split = RunProgram(q_.graph, q_.weights, own, ids, {Chunk(), 3 * Chunk()});
    EXPECT_EQ(BitDifferences(split, want), 0) << rest;
    EXPECT_EQ(BitDifferences(RunProgram(q_.graph, q_.weights, own, ids, {}, 3), want), 0) << rest;
    const Logits onednn = RunProgram(q_.graph, q_.weights, kAllIsas, ids, {Chunk()});
    EXPECT_LT(RelativeError(onednn, want), Tolerance()) << rest;
  }
}

TEST_P(RecipeTest, SimulatedEqualsIntegerWhenOneTokenIsLeft) {
  // One more call reads what that token has left in the state.
  const std::vector<TokenId> ids = RandomTokens(static_cast<int64_t>(Chunk()) * 2 + 2, 61, 23);
  const std::vector<size_t> cuts = {ids.size() - 1};
  const Logits integer = RunProgram(q_.graph, q_.weights, kReferenceOnly, ids, cuts);
  EXPECT_EQ(BitDifferences(integer, RunSimulated(q_, ids, cuts)), 0);
}

TEST_P(RecipeTest, DecodeAgreesWithPrefill) {
  const auto ids = std::span(ids_).first(40);
  if (q_.graph.state.static_scales()) CoverStates(ids);
  std::vector<size_t> steps;
  for (size_t t = 1; t < ids.size(); ++t) {
    steps.push_back(t);
  }
  const Logits decode = RunProgram(q_.graph, q_.weights, kAllIsas, ids, steps);
  if (GetParam().arch != Arch::kMamba2) {
    // The scan rounds its state after each token of a prefill too, when it is told to.
    Graph each_token = q_.graph;
    SetChunkSize(1, &each_token);
    const Logits prefill = RunProgram(each_token, q_.weights, kAllIsas, ids, {});
    EXPECT_LT(RelativeError(decode, prefill), Tolerance());
    return;
  }
  const Logits prefill = RunProgram(q_.graph, q_.weights, kAllIsas, ids, {});
  EXPECT_LT(RelativeError(decode, prefill), DecodeBound());
}

TEST_P(RecipeTest, ThreadsAndRepetitionGiveTheSameBytes) {
  const QuantizedModel again = QuantizeWith(model_, GetParam().recipe, GetParam().options(), 5);
  EXPECT_EQ(again.config.Dump(), q_.config.Dump());
  const auto a = StoredTensors(q_.graph, q_.weights), b = StoredTensors(again.graph, again.weights);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    ExpectSameBytes(a[i].second, b[i].second, a[i].first);
  }
}

// "_codec_se9", for names of tests.
std::string OptionName(const Case& c) {
  if (c.option == nullptr) return "";
  std::string name = fmt::format("_{}", c.option);
  std::ranges::replace_if(
      name, [](char ch) { return std::isalnum(ch) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RecipeTest, testing::ValuesIn(AllCases()),
                         [](const testing::TestParamInfo<Case>& c) {
                           std::string name = c.param.recipe;
                           std::ranges::replace(name, '-', '_');
                           const std::string model = c.param.arch == Arch::kMamba ? "Mamba"
                                                     : c.param.arch == Arch::kFalconMamba
                                                         ? "FalconMamba"
                                                         : fmt::format("G{}", c.param.groups);
                           std::string state = c.param.state;
                           std::ranges::replace(state, '+', '_');
                           return fmt::format("{}_{}_{}{}", name, state, model,
                                              OptionName(c.param));
                         });

// A call of many tokens runs in pieces, which must know where in the stream they are.
TEST(StochasticState, PiecesOfALongCallDrawTheNumbersOfTheirTokens) {
  for (const Arch arch : {Arch::kMamba2, Arch::kMamba}) {
    const Case c{"had-s8", "i8+sr", 1, nullptr, arch};
    const RandomModel m = c.Make(7);
    const QuantizedModel q = QuantizeWith(m, c.recipe, c.options());
    const std::vector<TokenId> ids = RandomTokens(700, 61, 25);
    const IsaMask own = kAllIsas & ~MaskOf(Isa::kOneDnn);
    const Logits want = RunProgram(q.graph, q.weights, own, ids, {});
    EXPECT_EQ(BitDifferences(RunProgram(q.graph, q.weights, own, ids, {128, 320}), want), 0);
    Graph other = q.graph;
    other.state.seed = 1;
    EXPECT_NE(BitDifferences(RunProgram(other, q.weights, own, ids, {}), want), 0);
  }
}

TEST(Families, RecipesForOneFamilyRefuseTheOther) {
  for (const Recipe& recipe : Recipes()) {
    for (const Family family : {Family::kMamba, Family::kMamba2}) {
      const Status s = PlanRecipe(recipe, Json(), family).status();
      const bool fits = recipe.only.value_or(family) == family;
      EXPECT_EQ(s.ok(), fits) << recipe.name;
      if (fits) continue;
      EXPECT_EQ(s.code(), Code::kUnsupported);
      EXPECT_EQ(s.message(),
                fmt::format("recipe {} is for {} models, which this one is not", recipe.name,
                            family == Family::kMamba ? "Mamba-2" : "Mamba-1"));
    }
  }
}

// absmax rounds every edge of the block that methods name, on either family.
TEST(Families, AbsmaxEncodesTheEdgesOfTheBlock) {
  const auto sites = [](const RandomModel& m) {
    const QuantizedModel q = QuantizeWith(m, "absmax", Json::MakeObject());
    std::vector<std::string> names;
    for (const auto& [site, e] : q.graph.encodings) {
      if (e.quantized() && site.starts_with("layers.1.")) names.push_back(site.substr(9));
    }
    return names;
  };
  EXPECT_THAT(
      sites(MakeRandomModel(SmallConfig(1), 7)),
      testing::UnorderedElementsAre("u_norm", "z", "xBC_in", "dt_in", "x", "B", "C", "y_norm"));
  EXPECT_THAT(sites(MakeRandomModel(SmallMamba1(), 7)),
              testing::UnorderedElementsAre("u_norm", "x_in", "z", "x", "dt_low", "B", "C", "dt_in",
                                            "y_gate"));
}

TEST(Families, EncodeSitesNamesASiteThatNoBlockHas) {
  RandomModel m = MakeRandomModel(SmallMamba1(), 7);
  const TokenDataset data = RandomData(1, 10, 61);
  for (const char* site : {"y_norm", "ssd.state"}) {
    const auto run = [&](bool optional) {
      return RunPassesOn({EncodeSites({{.sites = site, .optional = optional}}, {})}, &m.graph,
                         &m.weights, data);
    };
    const std::string message = run(false).message();
    EXPECT_TRUE(message.starts_with(fmt::format("sites: no block has a site {} (there are ", site)))
        << message;
    EXPECT_NE(message.find(" dt_low, "), message.npos) << message;
    EXPECT_TRUE(run(true).ok());
    EXPECT_TRUE(m.graph.encodings.empty());
  }
}

Logits FloatLogits(const RandomModel& m, std::span<const TokenId> ids) {
  const Interpreter interpreter(m.graph, m.weights, kReferenceOnly);
  State state(m.graph);
  Logits logits;
  EXPECT_TRUE(interpreter.Run(ids, &state, nullptr, &logits).ok());
  return logits;
}

TEST(Rotation, LeavesTheFloatFunctionUnchanged) {
  for (const char* hadamard : {"auto", "block"}) {
    for (const bool gamma : {true, false}) {
      for (RandomModel m :
           {MakeRandomModel(SmallConfig(2), 3), MakeRandomModel(SmallMamba1(), 3)}) {
        const std::vector<TokenId> ids = RandomTokens(40, 61, 4);
        const Logits want = FloatLogits(m, ids);
        ASSERT_TRUE(RunPassesOn({RotateResidual(hadamard), RotateOutput(hadamard, gamma)}, &m.graph,
                                &m.weights)
                        .ok());
        EXPECT_LT(RelativeError(FloatLogits(m, ids), want), 2e-6) << hadamard << gamma;
        EXPECT_TRUE(Verify(m.graph).ok());
      }
    }
  }
}

// Moves scale between norm weights and the columns that read them: the same function, with outlier
// channels at the inputs of in_proj and out_proj.
RandomModel WithOutliers(RandomModel m) {
  Rng rng(77);
  for (int layer = 0; layer < m.graph.layers; ++layer) {
    const std::string block = fmt::format("backbone.layers.{}.", layer);
    for (const auto& [norm, matrix] :
         {std::pair{block + "norm.weight", block + "mixer.in_proj.weight"},
          {block + "mixer.norm.weight", block + "mixer.out_proj.weight"}}) {
      std::vector<float> w = ToF32(*m.weights.Find(norm)), columns = ToF32(*m.weights.Find(matrix));
      const auto width = w.size();
      for (int i = 0; i < 3; ++i) {
        const size_t c = rng.Below(width);
        const float factor = std::exp2(static_cast<float>(3 + i * 2));
        w[c] *= factor;
        for (size_t r = 0; r < columns.size() / width; ++r) {
          columns[r * width + c] /= factor;
        }
      }
      const std::vector<int64_t> shape = m.weights.Find(matrix)->shape;
      m.weights.Set(norm, MakeWeight(std::move(w), {static_cast<int64_t>(width)}));
      m.weights.Set(matrix, MakeWeight(std::move(columns), shape));
    }
  }
  return m;
}

TEST(Outliers, BreakAbsmaxAndNotTheRotatingRecipes) {
  const RandomModel plain = MakeRandomModel(SmallConfig(1), 13);
  const RandomModel spiked = WithOutliers(plain);
  const std::vector<TokenId> ids = RandomTokens(60, 61, 31);
  const Logits want = FloatLogits(plain, ids);
  ASSERT_LT(RelativeError(FloatLogits(spiked, ids), want), 1e-5);
  const auto error = [&](const RandomModel& m, const char* recipe) {
    const QuantizedModel q = QuantizeWith(m, recipe, Json());
    return RelativeError(RunProgram(q.graph, q.weights, kAllIsas, ids, {}), want);
  };
  EXPECT_GT(error(spiked, "absmax"), 3 * error(plain, "absmax"));
  for (const char* recipe : {"had-s8", "ssdi8-w8a8", "ssdi8-plus-w8a8"}) {
    EXPECT_LT(error(spiked, recipe), 1.3 * error(plain, recipe)) << recipe;
  }
}

}  // namespace
}  // namespace octet
