// Contracts:
//  1. Taps see every site of the graph once per run, in graph order, with its shape, and the inner
//     sites of every chunk; what a tap writes is what later nodes read.
//  2. Lower refuses a malformed graph and says where; Kernels has an entry for each step that names
//     the site and two kernels.
//     An observer of steps is told of each, in order, with its tokens and a time, and changes no
//     bit; Kernels says which node a step computes or encodes.
//  3. Program and simulated Interpreter agree bit for bit on a hand-made quantized model, whatever
//     the format of its state and the code of its X_s; also where a quantized weight meets an input
//     that is in float, or encoded with more than one scale, and where the embedding, as the tied
//     head, is quantized.
//  4. Any number of threads gives the same bits, also in products of floats so large that oneDNN
//     sums in an order that depends on the outputs of a task.
//  5. A history of the convolution kept as codes gives the bits that one in fp32 gives, also after
//     copying the state, and takes the codes' bytes.
#include <bit>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "exec/program.h"
#include "exec/quantized_model_testing.h"
#include "exec/simulate.h"
#include "graph/mamba_block_testing.h"
#include "kernels/isa.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::vector<TokenId> Tokens(size_t n) {
  std::vector<TokenId> ids(n);
  for (size_t i = 0; i < n; ++i) {
    ids[i] = static_cast<TokenId>(i * i % 11);
  }
  return ids;
}

struct Seen {
  std::string site;
  int64_t index, rows, cols;
  friend bool operator==(const Seen&, const Seen&) = default;
};

class Recorder : public Tap {
 public:
  Recorder(bool inner, bool full) : inner_(inner), full_(full) {}
  void At(std::string_view site, int64_t index, float* values, int64_t rows,
          int64_t cols) override {
    seen.push_back({std::string(site), index, rows, cols});
    if (site.ends_with(".score")) upper = upper || (rows > 1 && values[1] != 0);
    if (site == erase) std::fill(values, values + rows * cols, 0.0f);
  }
  bool WantsInnerSites() const override { return inner_; }
  bool WantsFullScore() const override { return full_; }

  std::vector<Seen> seen;
  std::string erase;   // a site to overwrite with zeros
  bool upper = false;  // some score above the diagonal was not zero

 private:
  bool inner_, full_;
};

std::vector<float> Logits(const QuantizedParts& q, const std::vector<TokenId>& ids, Tap* tap) {
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  State state(q.graph);
  std::vector<float> logits;
  const Status s = interpreter.Run(ids, &state, tap, &logits);
  EXPECT_TRUE(s.ok()) << s.message();
  return logits;
}

QuantizedParts FloatParts() {
  return {MakeBlocks({}), MakeBlockWeights({}, 3)};
}

TEST(Tap, SeesEverySiteOnceInOrder) {
  const QuantizedParts m = FloatParts();
  for (const size_t T : {1, 21}) {
    Recorder tap(false, false);
    Logits(m, Tokens(T), &tap);
    std::vector<Seen> want;
    for (size_t i = 1; i < m.graph.nodes.size(); ++i) {
      const Node& n = m.graph.nodes[i];
      if (n.op == Op::kSsd) want.push_back({StateSite(n.layer), 0, n.width, StateSize(n)});
      want.push_back({m.graph.nodes[i].site, 0, static_cast<int64_t>(T), m.graph.nodes[i].width});
    }
    EXPECT_EQ(tap.seen, want);
  }
}

TEST(Tap, SeesInnerSitesOfEveryChunk) {
  const QuantizedParts m = FloatParts();  // chunks of 8: 21 tokens are 8 + 8 + 5
  for (const bool full : {false, true}) {
    Recorder tap(true, full);
    Logits(m, Tokens(21), &tap);
    EXPECT_EQ(tap.upper, full);
    for (const char* layer : {"layers.0", "layers.1"}) {
      for (int64_t head = 0; head < 4; ++head) {
        const auto count = [&](const char* site, int64_t index, int64_t rows, int64_t cols) {
          return std::ranges::count(tap.seen,
                                    Seen{fmt::format("{}.ssd.{}", layer, site), index, rows, cols});
        };
        EXPECT_EQ(count("x_scaled", head, 8, 3), 2);
        EXPECT_EQ(count("x_scaled", head, 5, 3), 1);
        EXPECT_EQ(count("local_state", head, 3, 5), 3);
        EXPECT_EQ(count("state", head, 3, 5), 4) << "three chunks, and what leaves the last";
        EXPECT_EQ(count("score", head, 8, 8), head < 2 ? 2 : 0) << "per group";
        EXPECT_EQ(count("score", head, 5, 5), head < 2 ? 1 : 0);
      }
    }
  }
  Recorder decode(true, false);
  Logits(m, Tokens(1), &decode);
  EXPECT_EQ(decode.seen.size(), m.graph.nodes.size() - 1 + 2) << "decode has no inner sites";
}

// Keeps the state of block 1, and spoils what it was shown.
class StateWatch : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (site != "layers.1.state") return;
    state.assign(values, values + rows * cols);
    std::fill(values, values + rows * cols, 7.0f);
  }
  bool WantsInnerSites() const override { return false; }
  std::vector<float> state;
};

// The scalars of kernels/ssd_state.h, applied to what the tap saw, give what the State keeps.
TEST(Tap, SeesTheStateBeforeItIsRounded) {
  for (const bool mamba : {false, true}) {
    for (const std::string& format : StateFormatNames()) {
      QuantizedParts m = FloatParts();
      if (mamba) m = {MakeMambaBlocks({}), MakeMambaBlockWeights({}, 3)};
      SetState(format, &m.graph);
      for (const IsaMask isas : {kReferenceOnly, kAllIsas}) {
        const Interpreter interpreter(m.graph, m.weights, isas);
        State state(m.graph), expected(m.graph);
        StateWatch tap;
        std::vector<float> logits;
        for (const size_t T : {13, 1}) {
          ASSERT_TRUE(interpreter.Run(Tokens(T), &state, &tap, &logits).ok());
          ASSERT_EQ(tap.state.size(), 60u);
          const StateView h = expected.ssm(1);
          for (int64_t row = 0; row < 12; ++row) {
            StoreStateRow(h, row, 5, static_cast<int64_t>(T), tap.state.data() + row * 5);
          }
          expected.Advance(static_cast<int64_t>(T));
          EXPECT_EQ(expected.Values(1), state.Values(1)) << format << " mamba=" << mamba;
          EXPECT_EQ(tap.state == state.Values(1), format == "f32");
        }
      }
    }
  }
}

TEST(Tap, WhatItWritesIsReadOn) {
  QuantizedParts m = FloatParts();
  Recorder tap(false, false);
  tap.erase = "final_norm";
  for (const float logit : Logits(m, Tokens(5), &tap)) {
    EXPECT_EQ(logit, 0.0f);
  }
  // Without the blocks' outputs nothing is left but the embedding.
  for (const char* tensor : {"mixer.out_proj.weight"}) {
    for (const int layer : {0, 1}) {
      const Weight w = *m.weights.Find(LayerTensor(layer, tensor));
      const auto n = static_cast<size_t>(w.count());
      m.weights.Set(LayerTensor(layer, tensor), MakeWeight(std::vector<float>(n), w.shape));
    }
  }
  const std::vector<float> embedding_only = Logits(m, Tokens(5), nullptr);
  QuantizedParts whole = FloatParts();
  EXPECT_NE(Logits(whole, Tokens(5), nullptr), embedding_only);
  Recorder both(false, false);
  both.erase = "layers.1.out";
  whole.weights.Set(LayerTensor(0, "mixer.out_proj.weight"),
                    *m.weights.Find(LayerTensor(0, "mixer.out_proj.weight")));
  EXPECT_EQ(Logits(whole, Tokens(5), &both), embedding_only);
}

Status LowerStatus(const QuantizedParts& q) {
  return Program::Lower(q.graph, q.weights, {kReferenceOnly, false}).status();
}

TEST(Lower, RefusesAMalformedGraph) {
  QuantizedParts q = MakeQuantizedParts();
  q.graph.encodings.erase("layers.0.B");
  EXPECT_THAT(LowerStatus(q).message(), HasSubstr("layers.0.B"));
  q = MakeQuantizedParts();
  q.graph.nodes[static_cast<size_t>(q.graph.FindSite("layers.0.y_rot"))].hadamard = "hexagon";
  EXPECT_THAT(LowerStatus(q).message(), HasSubstr("hexagon"));
}

TEST(Kernels, NameEveryStep) {
  const QuantizedParts q = MakeQuantizedParts();
  const auto program = *Program::Lower(q.graph, q.weights, {kReferenceOnly, false});
  const std::vector<StepKernels> kernels = program->Kernels();
  std::set<std::string> sites;
  for (const StepKernels& k : kernels) {
    sites.insert(k.site);
    EXPECT_FALSE(k.decode.empty() || k.prefill.empty()) << k.site;
  }
  for (const char* site :
       {"layers.0.u_norm", "layers.1.zxbcdt", "layers.0.xBC", "layers.0.dt", "layers.1.y",
        "layers.1.y_norm", "layers.0.y_rot", "layers.1.residual", "final_norm", "logits"}) {
    EXPECT_THAT(sites, testing::Contains(site));
  }
  // Everything but the embedding and 6 splits per block runs; encoded sites take a second step: 4
  // in layer 0, 5 in layer 1.
  EXPECT_EQ(kernels.size(), q.graph.nodes.size() - 1 - 12 + 9);
}

struct ObservedStep {
  size_t step;
  int64_t tokens, nanoseconds;
};

TEST(Kernels, AreToldToAnObserverStepByStep) {
  const QuantizedParts q = MakeQuantizedParts();
  const auto program = *Program::Lower(q.graph, q.weights, {kReferenceOnly, false});
  const std::vector<StepKernels> kernels = program->Kernels();
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  const auto run = [&](size_t tokens) {
    State state(q.graph);
    std::vector<float> logits(11);
    const Status s = program->RunForLast(Tokens(tokens), &state, &workspace, logits);
    EXPECT_TRUE(s.ok()) << s.message();
    return logits;
  };
  const std::vector<float> unobserved = run(7);
  std::vector<ObservedStep> seen;
  workspace.Observe([&](size_t step, int64_t tokens, int64_t nanoseconds) {
    seen.push_back({step, tokens, nanoseconds});
  });
  EXPECT_EQ(run(7), unobserved);
  ASSERT_EQ(seen.size(), kernels.size());
  int64_t nanoseconds = 0, encodings = 0;
  for (size_t i = 0; i < seen.size(); ++i) {
    const StepKernels& k = kernels[i];
    EXPECT_EQ(seen[i].step, i);
    // Nothing but the last token reaches what follows the blocks.
    EXPECT_EQ(seen[i].tokens, k.site.starts_with("layers.") ? 7 : 1) << k.site;
    EXPECT_EQ(q.graph.nodes[static_cast<size_t>(k.node)].site, k.site);
    EXPECT_EQ(k.encoding, k.decode.starts_with("quantize/") || k.decode.starts_with("encode/"))
        << k.site << " " << k.decode;
    nanoseconds += seen[i].nanoseconds;
    encodings += k.encoding;
  }
  EXPECT_GT(nanoseconds, 0);
  EXPECT_EQ(encodings, 9);
  workspace.Observe({});
  EXPECT_EQ(run(1).size(), unobserved.size());
  EXPECT_EQ(seen.size(), kernels.size()) << "nobody looks any more";
}

TEST(Program, ThreadsDoNotMatterInWideProductsOfFloats) {
  BlockSizes sizes;
  sizes.d_model = 2048;
  sizes.layers = 1;
  sizes.heads = 64;
  sizes.head_dim = 64;
  const QuantizedParts q = {MakeBlocks(sizes), MakeBlockWeights(sizes, 5)};
  const auto program = Program::Lower(q.graph, q.weights, {AllowedIsas(), false});
  ASSERT_TRUE(program.ok()) << program.status().message();
  const std::vector<TokenId> ids = Tokens(256);
  std::vector<float> first;
  for (const int threads : {1, 3, 8}) {
    ThreadPool pool(threads);
    ProgramWorkspace workspace(&pool);
    State state(q.graph);
    std::vector<float> logits;
    const auto keep = [&](int64_t, int64_t rows, const float* values) {
      logits.insert(logits.end(), values, values + rows * sizes.rows);
    };
    ASSERT_TRUE((*program)->Run(ids, &state, &workspace, keep).ok());
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << threads;
  }
}

// Runs both over the same pieces of text, prefill and decode.
void ExpectSimulationAgrees(const QuantizedParts& q, const std::string& what) {
  const auto lowered = Program::Lower(q.graph, q.weights, {kReferenceOnly, false});
  ASSERT_TRUE(lowered.ok()) << what << ": " << lowered.status().message();
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  SimulationTap tap(q.graph);
  ThreadPool pool(2);
  ProgramWorkspace workspace(&pool);
  State simulated(q.graph), integer(q.graph);
  std::vector<float> want, got;
  int64_t different = 0;
  for (const size_t T : {19, 8, 1, 1}) {
    const std::vector<TokenId> ids = Tokens(T);
    ASSERT_TRUE(interpreter.Run(ids, &simulated, &tap, &want).ok());
    got.clear();
    ASSERT_TRUE((*lowered)
                    ->Run(ids, &integer, &workspace,
                          [&](int64_t, int64_t rows, const float* logits) {
                            got.insert(got.end(), logits, logits + rows * 11);
                          })
                    .ok());
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      different += std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want[i]);
    }
  }
  EXPECT_EQ(different, 0) << what;
  EXPECT_TRUE(simulated == integer) << what;
  EXPECT_EQ(integer.position(), 29);
  for (const auto& [site, e] : q.graph.encodings) {
    const bool counted = e.quantized() && e.source != ScaleSource::kPerToken;
    EXPECT_EQ(tap.saturation().count(site), counted ? 1u : 0u) << what << " " << site;
  }
}

TEST(Simulation, AgreesWithIntegersBitForBit) {
  for (const bool gate_q7 : {false, true}) {
    for (const std::string& state : StateFormatNames()) {
      QuantizedParts q = MakeQuantizedParts(gate_q7);
      SetState(state, &q.graph);
      ExpectSimulationAgrees(q, state);
    }
  }
}

TEST(Simulation, AgreesInEveryCodeOfXScaled) {
  for (const bool gate_q7 : {false, true}) {
    for (const Codec codec : {Codec::kSe8s, Codec::kSe9, Codec::kInt16}) {
      QuantizedParts q = MakeQuantizedParts(gate_q7);
      for (const int layer : {0, 1}) {  // static scales, and scales per chunk
        q.graph.encodings[SsdInnerSite(layer, "x_scaled")].codec = codec;
      }
      ExpectSimulationAgrees(q, CodecName(codec));
    }
  }
}

TEST(Simulation, AgreesWhereWeightsMeetFloats) {
  const QuantizedParts fine = MakeQuantizedParts();
  QuantizedParts q = fine;
  q.graph.encodings.erase("layers.0.u_norm");
  ExpectSimulationAgrees(q, "int8 weights, float input");
  q.graph.encodings["layers.1.y_norm"] = Encoding();
  ExpectSimulationAgrees(q, "int4 weights, float input");
  q = fine;
  q.graph.encodings["layers.1.u_norm"].scales = TestScales(8, 0.02f);
  ExpectSimulationAgrees(q, "int8 weights, a scale per channel");
}

// The convolution's input encoded in some way.
struct CodedInput {
  const char* site;
  Encoding encoding;
};
std::vector<CodedInput> CodedInputs() {
  return {{"xBC_in", {DType::kI8, ScaleSource::kStatic, {0.03125f}}},
          {"xBC_in", {DType::kI8, ScaleSource::kStatic, TestScales(43, 0.01f)}},
          {"zxbcdt", {DType::kI8, ScaleSource::kStatic, TestScales(79, 0.01f)}},
          {"xBC_in", {DType::kI8, {}, {0.03125f}, Codec::kAsymmetric, {100}}},
          {"zxbcdt", {DType::kI8, {}, TestScales(79, 0.02f), Codec::kSe9}},
          {"zxbcdt", {DType::kI8, {}, {0.0625f}, Codec::kSeg8, {130}}}};
}

TEST(Simulation, AgreesWhereTheHistoryIsKeptAsCodes) {
  for (const CodedInput& input : CodedInputs()) {
    QuantizedParts q = MakeQuantizedParts();
    for (const int layer : {0, 1}) {
      q.graph.encodings[fmt::format("layers.{}.{}", layer, input.site)] = input.encoding;
    }
    ExpectSimulationAgrees(q, input.site);
  }
}

TEST(History, AsCodesGivesTheBitsOfFloats) {
  for (const CodedInput& input : CodedInputs()) {
    QuantizedParts q = MakeQuantizedParts();
    for (const int layer : {0, 1}) {
      q.graph.encodings[fmt::format("layers.{}.{}", layer, input.site)] = input.encoding;
    }
    const auto program = *Program::Lower(q.graph, q.weights, {kReferenceOnly, false});
    ThreadPool pool(2);
    ProgramWorkspace workspace(&pool);
    const auto run = [&](size_t T, State* state) {
      std::vector<float> all;
      const Status s = program->Run(Tokens(T), state, &workspace,
                                    [&](int64_t, int64_t rows, const float* logits) {
                                      all.insert(all.end(), logits, logits + rows * 11);
                                    });
      EXPECT_TRUE(s.ok()) << s.message();
      return all;
    };
    State codes(q.graph), floats(q.graph, HistoryStorage::kFloats), saved;
    // 2 layers of 3 rows of 33 + 2 * 5 channels.
    EXPECT_EQ(floats.bytes() - codes.bytes(), 2 * 3 * 43 * (4 - CodeBytes(input.encoding.codec)));
    for (const size_t T : {19, 2, 1, 1, 8, 1}) {
      if (T == 8) saved = codes;
      EXPECT_EQ(run(T, &codes), run(T, &floats)) << input.site << " " << T;
    }
    EXPECT_EQ(run(8, &saved), [&] {
      State again(q.graph);
      for (const size_t T : {19, 2, 1, 1}) {
        run(T, &again);
      }
      return run(8, &again);
    }());
    run(1, &saved);
    EXPECT_TRUE(saved == codes);
    EXPECT_FALSE(saved == floats);
  }
}

// The kernel of one token that makes the logits, "" where only the reference kernels run.
std::string KernelOfHead(const QuantizedParts& q) {
  if (AvailableIsas().size() == 1) return "";
  const auto program = *Program::Lower(q.graph, q.weights, {});
  return program->Kernels().back().decode;
}

TEST(Simulation, AgreesWithATableOfCodes) {
  const char* table = "backbone.embeddings.weight";
  const QuantizedParts fine = MakeQuantizedParts();
  const Weight rows = *fine.weights.Find(table);
  for (const bool int4 : {false, true}) {
    QuantizedParts q = fine;
    ASSERT_EQ(q.graph.nodes.back().weights[0], table) << "the head is tied";
    q.weights.Set(table, int4 ? Int4Codes(rows) : Int8Codes(rows, 11));
    ExpectSimulationAgrees(q, "tied head, float input");
    EXPECT_THAT(KernelOfHead(q), testing::AnyOf("", int4 ? "linear/hwy-int4" : "linear/hwy"));
    q.graph.encodings["final_norm"] = {DType::kI8, ScaleSource::kStatic, {0.015625f}};
    ExpectSimulationAgrees(q, "tied head, static codes");
    EXPECT_THAT(KernelOfHead(q),
                testing::AnyOf("", "linear/hwy-integer", "linear/avx2", "linear/avxvnni",
                               "linear/avx512vnni", "linear/dotprod"));
    q.graph.encodings["final_norm"] = {DType::kI8, ScaleSource::kPerToken, {}};
    ExpectSimulationAgrees(q, "tied head, codes per token");
  }
}

}  // namespace
}  // namespace octet
