// Contracts:
//  1. Verify accepts the graphs that the library makes, in float, int8 and rotated, and refuses
//     each kind of malformed one with a sentence that names the site.
//  2. InsertHadamard puts one node before a Linear, ForkInput one before any input, and everything
//     else keeps its producers.
//  3. ChunkSize and SetChunkSize reach every recurrence; LayerRange gives exactly a block's nodes;
//  ChunkSizeIsCalibrated is true exactly when an int8
//     Ssd has a static scale inside.
#include "graph/graph.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"
#include "graph/s4d_block_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;

Node& At(Graph* g, const char* site) {
  const ValueId v = g->FindSite(site);
  EXPECT_GE(v, 0) << site;
  return g->nodes[static_cast<size_t>(v)];
}

void Encode(Graph* g, const std::string& site, size_t scales,
            ScaleSource source = ScaleSource::kStatic) {
  g->encodings[site] = {DType::kI8, source, std::vector<float>(scales, 0.5f)};
}

// The int8 form of every Ssd, with 2 groups and 12 (head, head_dim) pairs.
Graph Int8Graph(const BlockSizes& s = {}) {
  Graph g = MakeBlocks(s);
  for (int layer = 0; layer < g.layers; ++layer) {
    const std::string block = "layers." + std::to_string(layer) + ".";
    Encode(&g, block + "B", 2);
    Encode(&g, block + "C", 2);
    Encode(&g, SsdInnerSite(layer, "x_scaled"), 12);
    Encode(&g, SsdInnerSite(layer, "score"), 2);
    Encode(&g, SsdInnerSite(layer, "state"), 12);
    At(&g, (block + "y").c_str()).ssd.int8 = true;
  }
  return g;
}

TEST(Verify, AcceptsWhatTheLibraryMakes) {
  for (const int64_t layers : {0, 1, 3}) {
    BlockSizes s;
    s.layers = layers;
    EXPECT_TRUE(Verify(MakeBlocks(s)).ok()) << Verify(MakeBlocks(s)).message();
  }
  Graph g = Int8Graph();
  EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
  At(&g, "layers.0.y").ssd.gate_q7 = true;
  EXPECT_TRUE(Verify(g).ok());
  InsertHadamard(&g, g.FindSite("layers.1.out"), "sylvester");
  EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
  Graph dynamic = Int8Graph();
  for (const char* inner : kSsdInnerSites) {
    Encode(&dynamic, SsdInnerSite(0, inner), 0, ScaleSource::kPerChunk);
  }
  Encode(&dynamic, "layers.0.u_norm", 0, ScaleSource::kPerToken);
  Encode(&dynamic, "layers.0.y_norm", 12);
  dynamic.encodings["layers.0.x"] = {DType::kI8, {}, {0.5f, 0.5f}, Codec::kSe8u, {0, 63}};
  dynamic.encodings["layers.0.z"] = {DType::kI8, {}, {0.5f}, Codec::kSe9, {}};
  EXPECT_TRUE(Verify(dynamic).ok()) << Verify(dynamic).message();
}

TEST(Verify, TheCodeOfXScaledIsSummedExactly) {
  const std::string site = SsdInnerSite(0, "x_scaled");
  Graph g = Int8Graph();
  const auto accepts = [&](Codec codec, int64_t chunk) {
    SetChunkSize(chunk, &g);
    g.encodings[site].codec = codec;
    const Status s = Verify(g);
    EXPECT_THAT(s.ok() ? site : s.message(), HasSubstr(site));
    return s.ok();
  };
  for (const bool per_chunk : {false, true}) {
    if (per_chunk) Encode(&g, site, 0, ScaleSource::kPerChunk);
    // 796 * 127 * 4096 is below 2^29, and so is 1580 * 127 * 2675, but not with one more.
    EXPECT_TRUE(accepts(Codec::kSe8s, kMaxChunkSize));
    for (const Codec codec : {Codec::kSe9, Codec::kInt16}) {
      EXPECT_TRUE(accepts(codec, 2675));
      EXPECT_FALSE(accepts(codec, 2676));
    }
    for (const Codec codec : {Codec::kAsymmetric, Codec::kSe8u, Codec::kSeg8}) {
      EXPECT_FALSE(accepts(codec, 8)) << CodecName(codec);
    }
  }
}

TEST(Verify, AcceptsMamba) {
  for (const bool norms : {false, true}) {
    Graph g = MakeMambaBlocks({.mixer_norms = norms});
    EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
    InsertHadamard(&g, g.FindSite("layers.1.out"), "sylvester");
    for (const char* site : {"u_norm", "x", "dt_low", "B", "dt_in", "y_gate"}) {
      Encode(&g, std::string("layers.0.") + site, 0, ScaleSource::kPerToken);
    }
    EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
  }
}

TEST(Verify, AcceptsS4d) {
  for (const S4dBlockSizes& s : {S4dBlockSizes{}, S4dBlockSizes{.pre_norm = true},
                                 S4dBlockSizes{.layers = 1, .trained_b = true, .norms = false}}) {
    const Graph g = MakeS4dBlocks(s);
    EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
    EXPECT_EQ(g.vocab_rows, s.d_output);
    EXPECT_EQ(StreamInput(g), 1);
    EXPECT_EQ(StreamWidth(g), s.d_model);
  }
  Graph discrete = MakeS4dBlocks({.layers = 1});
  Node& y = At(&discrete, "layers.0.y");
  y.s4d.discretization = Discretization::kNone;
  y.weights = {"", "A", "", "B", "C", "D"};
  EXPECT_TRUE(Verify(discrete).ok()) << Verify(discrete).message();
}

struct Malformed {
  const char* what;
  const char* site;    // named by the message
  const char* reason;  // part of the message
  std::function<void(Graph*)> edit;
};

std::vector<Malformed> MalformedFloat() {
  const auto width = [](const char* site, int64_t by) {
    return [=](Graph* g) { At(g, site).width += by; };
  };
  return {
      {"site twice", "layers.1.dt", "twice",
       [](Graph* g) { At(g, "layers.1.x").site = "layers.1.dt"; }},
      {"no channels", "layers.0.dt_in", "no channels",
       [](Graph* g) { At(g, "layers.0.dt_in").width = 0; }},
      {"input dropped", "layers.0.residual", "number of inputs",
       [](Graph* g) { At(g, "layers.0.residual").in.pop_back(); }},
      {"input added", "layers.0.u_norm", "number of inputs",
       [](Graph* g) { At(g, "layers.0.u_norm").in.push_back(0); }},
      {"weight dropped", "layers.1.out", "number of weights",
       [](Graph* g) { At(g, "layers.1.out").weights.pop_back(); }},
      {"weight added", "layers.1.residual", "number of weights",
       [](Graph* g) { At(g, "layers.1.residual").weights.emplace_back("w"); }},
      {"reads itself", "layers.0.xBC", "later",
       [](Graph* g) { At(g, "layers.0.xBC").in[0] = g->FindSite("layers.0.xBC"); }},
      {"negative input", "layers.0.xBC", "later",
       [](Graph* g) { At(g, "layers.0.xBC").in[0] = -1; }},
      {"input beyond the end", "layers.0.xBC", "later",
       [](Graph* g) { At(g, "layers.0.xBC").in[0] = 1000; }},
      {"norm of another width", "layers.0.u_norm", "width", width("layers.0.u_norm", 1)},
      {"conv of another width", "layers.0.xBC", "width", width("layers.0.xBC", 1)},
      {"softplus of another width", "layers.0.dt", "width", width("layers.0.dt", 1)},
      {"gated norm of another width", "layers.0.y_norm", "width", width("layers.0.y_norm", 2)},
      {"sum of other widths", "layers.0.residual", "width", width("layers.0.out", 1)},
      {"Ssd of another width", "layers.0.y", "widths", width("layers.0.y", 1)},
      {"x of another width", "layers.0.y", "widths", width("layers.0.x", -1)},
      {"B of another width", "layers.0.y", "widths", width("layers.0.B", -1)},
      {"C of another width", "layers.0.y", "widths", width("layers.0.C", -1)},
      {"split beyond", "layers.0.C", "beyond", width("layers.0.C", 1)},
      {"split before", "layers.0.C", "beyond", [](Graph* g) { At(g, "layers.0.C").offset = -1; }},
      {"split far beyond", "layers.0.C", "beyond",
       [](Graph* g) { At(g, "layers.0.C").offset = std::numeric_limits<int64_t>::max(); }},
      {"no taps", "layers.0.xBC", "taps", [](Graph* g) { At(g, "layers.0.xBC").taps = 0; }},
      {"norm groups", "layers.0.y_norm", "groups",
       [](Graph* g) { At(g, "layers.0.y_norm").groups = 5; }},
      {"no norm groups", "layers.0.y_norm", "groups",
       [](Graph* g) { At(g, "layers.0.y_norm").groups = 0; }},
      {"heads", "layers.1.y", "inconsistent", [](Graph* g) { At(g, "layers.1.y").ssd.heads = 0; }},
      {"head_dim", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.head_dim = -3; }},
      {"state", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.state_size = 0; }},
      {"groups", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.groups = 3; }},
      {"no groups", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.groups = 0; }},
      {"chunk", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.chunk_size = 0; }},
      {"huge chunk", "layers.1.y", "inconsistent",
       [](Graph* g) { At(g, "layers.1.y").ssd.chunk_size = kMaxChunkSize + 1; }},
  };
}

std::vector<Malformed> MalformedMamba() {
  const auto width = [](const char* site, int64_t by) {
    return [=](Graph* g) { At(g, site).width += by; };
  };
  return {
      {"scan of another width", "layers.0.y", "widths", width("layers.0.y", 1)},
      {"dt of another width", "layers.1.y", "widths",
       [](Graph* g) { At(g, "layers.1.y").in[1] = g->FindSite("layers.1.x_dbl"); }},
      {"x of another width", "layers.1.y", "widths",
       [](Graph* g) { At(g, "layers.1.y").in[0] = g->FindSite("layers.1.xz"); }},
      {"B of another width", "layers.0.y", "widths", width("layers.0.B", -1)},
      {"C of another width", "layers.0.y", "widths", width("layers.0.C", -1)},
      {"scan input dropped", "layers.0.y", "number of inputs",
       [](Graph* g) { At(g, "layers.0.y").in.pop_back(); }},
      {"scan weight dropped", "layers.0.y", "number of weights",
       [](Graph* g) { At(g, "layers.0.y").weights.pop_back(); }},
      {"no state", "layers.1.y", "no state",
       [](Graph* g) { At(g, "layers.1.y").scan.state_size = 0; }},
      {"no period", "layers.1.y", "period", [](Graph* g) { At(g, "layers.1.y").scan.period = 0; }},
      {"huge period", "layers.1.y", "period",
       [](Graph* g) { At(g, "layers.1.y").scan.period = kMaxChunkSize + 1; }},
      {"gate of another width", "layers.0.y_gate", "width", width("layers.0.y_gate", 1)},
      {"z of another width", "layers.0.y_gate", "width", width("layers.0.z", -1)},
      {"gate input dropped", "layers.0.y_gate", "number of inputs",
       [](Graph* g) { At(g, "layers.0.y_gate").in.pop_back(); }},
      {"gate weight added", "layers.0.y_gate", "number of weights",
       [](Graph* g) { At(g, "layers.0.y_gate").weights.emplace_back("w"); }},
      {"site inside a scan", "layers.0.ssd.state", "no operation",
       [](Graph* g) { Encode(g, "layers.0.ssd.state", 12); }},
  };
}

std::vector<Malformed> MalformedStructure() {
  return {
      {"two embeddings", "layers.0.u_norm", "embedding",
       [](Graph* g) { At(g, "layers.0.u_norm").op = Op::kEmbedding; }},
      {"no embedding", "embedding", "embedding", [](Graph* g) { g->nodes[0].op = Op::kRmsNorm; }},
      {"node of a block inside another", "layers.0.C", "residual",
       [](Graph* g) { At(g, "layers.0.dt").layer = 1; }},
      {"node of a block that is none", "layers.0.dt", "order",
       [](Graph* g) { At(g, "layers.0.dt").layer = -1; }},
      {"more blocks than layers", "layers.1.u_norm", "order", [](Graph* g) { g->layers = 1; }},
      {"fewer blocks than layers", "final_norm", "order", [](Graph* g) { g->layers = 3; }},
      {"negative layers", "layers.0.u_norm", "order", [](Graph* g) { g->layers = -4; }},
      {"block ends elsewhere", "layers.0.out", "residual",
       [](Graph* g) {
         g->nodes.erase(g->nodes.begin() + g->FindSite("layers.0.residual"));
         for (Node& n : g->nodes) {
           for (ValueId& v : n.in) {
             if (v > g->FindSite("layers.0.out")) --v;
           }
         }
         g->logits -= 1;
       }},
      {"reads past the border", "layers.1.residual", "another block",
       [](Graph* g) { At(g, "layers.1.residual").in[0] = 0; }},
      {"head reads an early stream", "final_norm", "another block",
       [](Graph* g) { At(g, "final_norm").in[0] = g->FindSite("layers.0.residual"); }},
      {"logits of another width", "logits", "Linear", [](Graph* g) { At(g, "logits").width = 12; }},
      {"no head", "final_norm", "Linear",
       [](Graph* g) {
         g->nodes.pop_back();
         --g->logits;
         g->vocab_rows = 8;
       }},
      {"logits elsewhere", "graph", "last value", [](Graph* g) { --g->logits; }},
      {"no logits", "graph", "last value", [](Graph* g) { g->logits = -1; }},
      {"empty", "graph", "no operations", [](Graph* g) { *g = Graph(); }},
  };
}

std::function<void(Graph*)> Coded(const char* site, Codec codec, std::vector<uint8_t> zeros) {
  return [=](Graph* g) { g->encodings[site] = {DType::kI8, {}, {0.5f}, codec, zeros}; };
}

std::vector<Malformed> MalformedEncodings() {
  const auto drop = [](const char* site) { return [=](Graph* g) { g->encodings.erase(site); }; };
  const auto encode = [](const char* site, size_t n, ScaleSource source = ScaleSource::kStatic) {
    return [=](Graph* g) { Encode(g, site, n, source); };
  };
  const auto per_token = ScaleSource::kPerToken, per_chunk = ScaleSource::kPerChunk;
  return {
      {"B missing", "layers.0.B", "int8 form", drop("layers.0.B")},
      {"C missing", "layers.0.C", "int8 form", drop("layers.0.C")},
      {"x_scaled missing", "ssd.x_scaled", "int8 form", drop("layers.0.ssd.x_scaled")},
      {"score missing", "ssd.score", "int8 form", drop("layers.0.ssd.score")},
      {"state missing", "ssd.state", "int8 form", drop("layers.0.ssd.state")},
      {"B count", "layers.1.B", "2 static", encode("layers.1.B", 1)},
      {"C count", "layers.1.C", "2 static", encode("layers.1.C", 10)},
      {"x_scaled count", "ssd.x_scaled", "12 static", encode("layers.1.ssd.x_scaled", 4)},
      {"score count", "ssd.score", "2 static", encode("layers.1.ssd.score", 4)},
      {"state count", "ssd.state", "12 static", encode("layers.1.ssd.state", 0)},
      {"B per token", "layers.1.B", "static", encode("layers.1.B", 0, per_token)},
      {"B per chunk", "layers.1.B", "static", encode("layers.1.B", 0, per_chunk)},
      {"score per token", "ssd.score", "static", encode("layers.1.ssd.score", 0, per_token)},
      {"score in float", "ssd.score", "int8",
       [](Graph* g) { g->encodings["layers.1.ssd.score"].dtype = DType::kF32; }},
      {"gate_q7 with scales per chunk", "ssd.state", "static",
       [](Graph* g) {
         At(g, "layers.1.y").ssd.gate_q7 = true;
         Encode(g, "layers.1.ssd.state", 0, ScaleSource::kPerChunk);
       }},
      {"inner sites of a float Ssd", "layers.1.ssd", "no operation",
       [](Graph* g) { At(g, "layers.1.y").ssd.int8 = false; }},
      {"unknown site", "layers.7.x", "no operation", encode("layers.7.x", 1)},
      {"node site per chunk", "layers.0.u_norm", "inside an Ssd",
       encode("layers.0.u_norm", 0, per_chunk)},
      {"scales do not divide", "layers.0.u_norm", "divide", encode("layers.0.u_norm", 3)},
      {"no scales", "layers.0.u_norm", "divide", encode("layers.0.u_norm", 0)},
      {"logits", "logits", "float", encode("logits", 1)},
      {"embedding", "embedding", "float", encode("embedding", 1)},
      {"B in another code", "layers.1.B", "int8 scales",
       [](Graph* g) { g->encodings["layers.1.B"].codec = Codec::kSe9; }},
      {"score in another code", "ssd.score", "int8 scales",
       [](Graph* g) { g->encodings["layers.1.ssd.score"].codec = Codec::kInt16; }},
      {"zeros of x_scaled", "ssd.x_scaled", "int8 form",
       [](Graph* g) {
         Encoding& e = g->encodings["layers.1.ssd.x_scaled"];
         e.codec = Codec::kSe8u;
         e.zeros.assign(12, 3);
       }},
      {"zeros of B", "layers.1.B", "int8 scales",
       [](Graph* g) {
         g->encodings["layers.1.B"].zeros = {1, 2};
       }},
      {"se9 per token", "layers.1.x", "static scales",
       [](Graph* g) {
         Encode(g, "layers.1.x", 0, ScaleSource::kPerToken);
         g->encodings["layers.1.x"].codec = Codec::kSe9;
       }},
      {"zeros of int8", "layers.1.x", "1 zeros for 1 scales of int8",
       Coded("layers.1.x", Codec::kUniform, {3})},
      {"se8u without zeros", "layers.1.x", "0 zeros", Coded("layers.1.x", Codec::kSe8u, {})},
      {"se8u with two zeros", "layers.1.x", "2 zeros", Coded("layers.1.x", Codec::kSe8u, {3, 3})},
      {"se8u zero", "layers.1.x", "above 63", Coded("layers.1.x", Codec::kSe8u, {64})},
      {"int4 site", "layers.0.u_norm", "inside an Ssd",
       [](Graph* g) {
         g->encodings["layers.0.u_norm"] = {DType::kI4, {}, {0.5f}};
       }},
  };
}

std::vector<Malformed> MalformedS4d() {
  return {
      {"embedding inside", "layers.0.gelu", "must come first",
       [](Graph* g) { At(g, "layers.0.gelu").op = Op::kFrames; }},
      {"no modes", "layers.1.y", "no modes", [](Graph* g) { At(g, "layers.1.y").s4d.modes = 0; }},
      {"no period", "layers.1.y", "4096", [](Graph* g) { At(g, "layers.1.y").s4d.period = 4097; }},
      {"state too large", "layers.0.y", "more than",
       [](Graph* g) { At(g, "layers.0.y").s4d.modes = int64_t{1} << 40; }},
      {"S4d of another width", "layers.0.y", "another width",
       [](Graph* g) { At(g, "layers.0.y").width = 3; }},
      {"no C", "layers.0.y", "weights of its discretization",
       [](Graph* g) { At(g, "layers.0.y").weights[4] = ""; }},
      {"no log_dt", "layers.0.y", "weights of its discretization",
       [](Graph* g) { At(g, "layers.0.y").weights[0] = ""; }},
      {"discrete with log_dt", "layers.0.y", "weights of its discretization",
       [](Graph* g) { At(g, "layers.0.y").s4d.discretization = Discretization::kNone; }},
      {"glu of an odd width", "layers.0.glu", "twice its own",
       [](Graph* g) { At(g, "layers.0.z").width = 13; }},
      {"block ends in a Glu", "layers.0.norm", "not the residual stream",
       [](Graph* g) {
         At(g, "layers.0.norm").op = Op::kGelu;
         At(g, "layers.0.norm").weights = {};
       }},
      {"mean of the input of a block", "layers.1.gelu", "the only mean",
       [](Graph* g) { At(g, "layers.1.gelu").op = Op::kMean; }},
      {"frames encoded", "frames", "stays in float",
       [](Graph* g) { Encode(g, "frames", 0, ScaleSource::kPerToken); }},
      {"mean encoded", "mean", "stays in float",
       [](Graph* g) { Encode(g, "mean", 0, ScaleSource::kPerToken); }},
      {"two means", "logits", "the only mean",
       [](Graph* g) {
         Node& n = At(g, "logits");
         n.op = Op::kMean;
         n.weights = {};
         n.width = 6;
       }},
  };
}

void ExpectRefused(const Graph& whole, const std::vector<Malformed>& cases) {
  ASSERT_TRUE(Verify(whole).ok()) << Verify(whole).message();
  for (const Malformed& m : cases) {
    Graph g = whole;
    m.edit(&g);
    const Status s = Verify(g);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << m.what;
    EXPECT_THAT(s.message(), HasSubstr(m.site)) << m.what;
    EXPECT_THAT(s.message(), HasSubstr(m.reason)) << m.what;
  }
}

TEST(Verify, RefusesMalformedNodes) {
  ExpectRefused(MakeBlocks({}), MalformedFloat());
  ExpectRefused(MakeMambaBlocks({}), MalformedMamba());
  ExpectRefused(MakeS4dBlocks({}), MalformedS4d());
}

TEST(Verify, RefusesMalformedStructure) {
  ExpectRefused(MakeBlocks({}), MalformedStructure());
}

TEST(Verify, RefusesMalformedEncodings) {
  ExpectRefused(Int8Graph(), MalformedEncodings());
}

TEST(Verify, StateFormatsAndTheirScales) {
  for (Graph g : {MakeBlocks({}), MakeMambaBlocks({})}) {
    for (const std::string& format : StateFormatNames()) {
      SetState(format, &g);
      EXPECT_TRUE(Verify(g).ok()) << format << Verify(g).message();
    }
    const auto refused = [&](const char* why) {
      EXPECT_EQ(Verify(g).code(), Code::kInvalidArgument);
      EXPECT_THAT(Verify(g).message(), HasSubstr(why));
    };
    SetState("i8s", &g);
    auto scales = std::make_shared<std::vector<StateScales>>(*g.state_scales);
    g.state_scales = nullptr;
    refused("i8s needs static scales");
    g.state_scales = scales;
    (*scales)[1].values = {1, 1};
    refused("layers.1.state: ");
    scales->pop_back();
    refused("of every block");
    SetState("i8s", &g);
    g.state.codec = StateCodec::kI8;
    refused("i8 does not use static scales");
    SetState("f16", &g);
    g.state.rounding = StateRounding::kFeedback;
    refused("f16+ef");
  }
}

TEST(StateNode, IsTheRecurrenceOfTheBlock) {
  EXPECT_EQ(StateSite(3), "layers.3.state");
  const Graph ssd = MakeBlocks({}), scan = MakeMambaBlocks({});
  EXPECT_EQ(FindStateNode(ssd, 1)->site, "layers.1.y");
  EXPECT_EQ(StateSize(*FindStateNode(ssd, 1)), 5);
  EXPECT_EQ(FindStateNode(scan, 0)->op, Op::kSelectiveScan);
  EXPECT_EQ(StateSize(*FindStateNode(scan, 0)), 5);
  EXPECT_EQ(FindStateNode(ssd, 2), nullptr);
  const Graph s4d = MakeS4dBlocks({});
  EXPECT_EQ(FindStateNode(s4d, 1)->site, "layers.1.y");
  EXPECT_EQ(StateSize(*FindStateNode(s4d, 1)), 10);
}

TEST(Verify, BoundsTheState) {
  BlockSizes s;
  s.state_size = 32768;
  EXPECT_TRUE(Verify(Int8Graph(s)).ok()) << Verify(Int8Graph(s)).message();
  s.state_size = 32769;  // sums of products of codes would leave the exact range
  EXPECT_THAT(Verify(Int8Graph(s)).message(),
              testing::AllOf(HasSubstr("layers.0.y"), HasSubstr("32768")));
  EXPECT_TRUE(Verify(MakeBlocks(s)).ok());
  s.state_size = 1 << 24;  // times 12
  EXPECT_THAT(Verify(MakeBlocks(s)).message(),
              testing::AllOf(HasSubstr("layers.0.y"), HasSubstr("recurrent state")));
  // Each block below the limit for one, all blocks together above the limit for the model.
  s.heads = s.head_dim = 64;
  s.state_size = 1 << 14;
  s.layers = 4;
  EXPECT_TRUE(Verify(MakeBlocks(s)).ok()) << Verify(MakeBlocks(s)).message();
  s.layers = 5;
  EXPECT_THAT(Verify(MakeBlocks(s)).message(), HasSubstr("states up to this block"));
}

TEST(Verify, BoundsAPieceOfTokens) {
  BlockSizes s;
  s.chunk_size = 4096;
  s.heads = 1 << 12;
  s.head_dim = 4;
  EXPECT_TRUE(Verify(MakeBlocks(s)).ok()) << Verify(MakeBlocks(s)).message();
  s.head_dim = 16;
  EXPECT_THAT(Verify(MakeBlocks(s)).message(), HasSubstr("4096 tokens have more than"));
}

// Who feeds whom, by site, which does not depend on ids.
std::map<std::string, std::vector<std::string>> Producers(const Graph& g) {
  std::map<std::string, std::vector<std::string>> map;
  for (const Node& n : g.nodes) {
    for (const ValueId v : n.in) {
      map[n.site].push_back(g.nodes[static_cast<size_t>(v)].site);
    }
  }
  return map;
}

TEST(InsertHadamard, ChangesOneEdgeOnly) {
  Graph g = MakeBlocks({});
  auto want = Producers(g);
  const size_t count = g.nodes.size();
  for (int layer = g.layers - 1; layer >= 0; --layer) {
    const std::string block = "layers." + std::to_string(layer) + ".";
    InsertHadamard(&g, g.FindSite(block + "out"), "paley1-12");
    want[block + "y_rot"] = {block + "y_norm"};
    want[block + "out"] = {block + "y_rot"};
    const Node& rotation = At(&g, (block + "y_rot").c_str());
    EXPECT_EQ(rotation.op, Op::kHadamard);
    EXPECT_EQ(rotation.width, 12);
    EXPECT_EQ(rotation.layer, layer);
    EXPECT_EQ(rotation.hadamard, "paley1-12");
    EXPECT_EQ(g.FindSite(block + "y_rot") + 1, g.FindSite(block + "out"));
  }
  EXPECT_EQ(Producers(g), want);
  EXPECT_EQ(g.nodes.size(), count + 2);
  EXPECT_EQ(g.nodes[static_cast<size_t>(g.logits)].site, "logits");
  EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
}

TEST(ForkInput, ChangesOneEdgeOnly) {
  for (const Graph& whole : {MakeBlocks({}), MakeMambaBlocks({})}) {
    for (size_t reader = 1; reader < whole.nodes.size(); ++reader) {
      for (size_t input = 0; input < whole.nodes[reader].in.size(); ++input) {
        Graph g = whole;
        auto want = Producers(g);
        const std::string site = whole.nodes[reader].site;
        const std::string name = site.substr(0, site.rfind('.') + 1) + "fork";
        want[name] = {want[site][input]};
        want[site][input] = name;
        const ValueId v = ForkInput(&g, static_cast<ValueId>(reader), input, "fork");
        EXPECT_EQ(Producers(g), want) << site;
        const Node& fork = g.nodes[static_cast<size_t>(v)];
        EXPECT_EQ(fork.site, name);
        EXPECT_EQ(g.nodes[static_cast<size_t>(v) + 1].site, site);
        EXPECT_TRUE(IsFork(g, fork));
        EXPECT_EQ(std::ranges::count_if(g.nodes, [&](const Node& n) { return IsFork(g, n); }), 1);
        EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
      }
    }
  }
}

TEST(LayerRange, IsTheBlock) {
  Graph g = MakeBlocks({});
  InsertHadamard(&g, g.FindSite("layers.0.out"), "paley1-12");
  ValueId next = 1;
  for (int layer = 0; layer < 2; ++layer) {
    const auto [begin, end] = g.LayerRange(layer);
    EXPECT_EQ(begin, next);
    EXPECT_EQ(g.nodes[static_cast<size_t>(begin)].site,
              "layers." + std::to_string(layer) + ".u_norm");
    EXPECT_EQ(g.nodes[static_cast<size_t>(end - 1)].site,
              "layers." + std::to_string(layer) + ".residual");
    for (ValueId v = begin; v < end; ++v) {
      EXPECT_EQ(g.nodes[static_cast<size_t>(v)].layer, layer);
    }
    next = end;
  }
  EXPECT_EQ(g.nodes[static_cast<size_t>(next)].site, "final_norm");
}

TEST(ChunkSizeIsCalibrated, NeedsAStaticScaleInsideAnInt8Ssd) {
  EXPECT_FALSE(ChunkSizeIsCalibrated(MakeBlocks({})));
  Graph g = Int8Graph();
  EXPECT_TRUE(ChunkSizeIsCalibrated(g));
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* inner : {"x_scaled", "score", "state"}) {
      EXPECT_TRUE(ChunkSizeIsCalibrated(g)) << "the last static scale counts as the first does";
      Encode(&g, SsdInnerSite(layer, inner), 0, ScaleSource::kPerChunk);
    }
  }
  EXPECT_FALSE(ChunkSizeIsCalibrated(g)) << "scales of B and C hold for any length";
  Encode(&g, SsdInnerSite(1, "score"), 2);
  EXPECT_TRUE(ChunkSizeIsCalibrated(g));
  At(&g, "layers.1.y").ssd.int8 = false;
  EXPECT_FALSE(ChunkSizeIsCalibrated(g));
}

TEST(ChunkSize, IsThatOfEveryRecurrence) {
  EXPECT_EQ(ChunkSize(MakeBlocks({})), 8);
  EXPECT_EQ(ChunkSize(MakeMambaBlocks({})), 64);
  EXPECT_EQ(ChunkSize(MakeMambaBlocks({.layers = 0})), 1);
  for (Graph g : {MakeBlocks({}), MakeMambaBlocks({})}) {
    SetChunkSize(13, &g);
    EXPECT_EQ(ChunkSize(g), 13);
    for (const Node& n : g.nodes) {
      const int64_t length = n.op == Op::kSsd ? n.ssd.chunk_size : n.scan.period;
      if (n.site.ends_with(".y")) {
        EXPECT_EQ(length, 13) << n.site;
      }
    }
    EXPECT_TRUE(Verify(g).ok());
  }
}

TEST(ToText, HasALinePerNode) {
  Graph g = MakeBlocks({});
  Encode(&g, "layers.0.u_norm", 1);
  Encode(&g, "layers.0.x", 1);
  g.encodings["layers.0.x"].codec = Codec::kSe9;
  EXPECT_THAT(ToText(g), HasSubstr("layers.0.x Split[12] %6 se9\n"));
  const std::string text = ToText(g);
  EXPECT_EQ(static_cast<size_t>(std::ranges::count(text, '\n')), g.nodes.size());
  EXPECT_THAT(text,
              HasSubstr("%1 layers.0.u_norm RmsNorm[8] %0 backbone.layers.0.norm.weight i8\n"));
}

}  // namespace
}  // namespace octet
