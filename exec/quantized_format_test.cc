// Contracts:
//  1. Storing and reading back gives the same graph, weights and scales, bit for bit.
//  2. Each hostile description or tensor is refused in one sentence that names the tensor or the
//     site; none crashes.
#include "exec/quantized_format.h"

#include <cstring>
#include <functional>
#include <limits>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/quantized_model_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;

// What a folder holds: the description, and tensors as a safetensors file keeps them.
struct Stored {
  Json description;
  WeightMap tensors;
};

Stored Store(const QuantizedParts& q) {
  Stored s{DescribeQuantization(q.graph, q.weights), {}};
  for (const auto& [name, w] : StoredTensors(q.graph, q.weights)) {
    Weight plain = w;
    plain.row_scale = nullptr;
    plain.group_scale = nullptr;
    plain.group = 0;
    if (plain.dtype == DType::kI4) {
      plain.shape[1] = BytesOf(DType::kI4, plain.shape[1]);
      plain.dtype = DType::kU8;
    }
    s.tensors.Set(name, plain);
  }
  return s;
}

Status Load(const Stored& s, QuantizedParts* q) {
  WeightMap encodings;
  OCTET_ASSIGN(q->weights, AttachScales(s.description, s.tensors, &encodings));
  q->graph = MakeBlocks(QuantizedSizes());
  return ApplyQuantization(s.description, encodings, &q->graph);
}

bool SameData(const Weight& a, const Weight& b) {
  const auto pointee = [](const auto& x, const auto& y) {
    return (x == nullptr) == (y == nullptr) && (x == nullptr || *x == *y);
  };
  return a.dtype == b.dtype && a.shape == b.shape && a.group == b.group &&
         pointee(a.row_scale, b.row_scale) && pointee(a.group_scale, b.group_scale) &&
         ToF32(a) == ToF32(b);
}

TEST(QuantizedFormat, RoundTrip) {
  for (const bool gate_q7 : {false, true}) {
    const QuantizedParts q = MakeQuantizedParts(gate_q7);
    ASSERT_TRUE(Verify(q.graph).ok()) << Verify(q.graph).message();
    QuantizedParts back;
    // Through text, as config.json holds it.
    Stored stored = Store(q);
    stored.description = *Json::Parse(stored.description.Dump());
    const Status s = Load(stored, &back);
    ASSERT_TRUE(s.ok()) << s.message();
    EXPECT_EQ(ToText(back.graph), ToText(q.graph));
    EXPECT_EQ(back.graph.state, q.graph.state);
    ASSERT_EQ(back.graph.encodings.size(), q.graph.encodings.size());
    for (const auto& [site, e] : q.graph.encodings) {
      const Encoding* other = back.graph.FindEncoding(site);
      ASSERT_NE(other, nullptr) << site;
      EXPECT_EQ(other->dtype, e.dtype) << site;
      EXPECT_EQ(other->source, e.source) << site;
      EXPECT_EQ(other->scales, e.scales) << site;
    }
    for (size_t i = 0; i < q.graph.nodes.size(); ++i) {
      EXPECT_EQ(back.graph.nodes[i].hadamard, q.graph.nodes[i].hadamard);
      EXPECT_EQ(back.graph.nodes[i].ssd.int8, q.graph.nodes[i].ssd.int8);
      EXPECT_EQ(back.graph.nodes[i].ssd.gate_q7, q.graph.nodes[i].ssd.gate_q7);
      EXPECT_EQ(back.graph.nodes[i].ssd.chunk_size, q.graph.nodes[i].ssd.chunk_size);
    }
    ASSERT_EQ(back.weights.all().size(), q.weights.all().size());
    for (const auto& [name, w] : q.weights.all()) {
      ASSERT_NE(back.weights.Find(name), nullptr) << name;
      EXPECT_TRUE(SameData(*back.weights.Find(name), w)) << name;
    }
    EXPECT_EQ(DescribeQuantization(back.graph, back.weights).Dump(),
              DescribeQuantization(q.graph, q.weights).Dump());
  }
}

// Forks with and without an encoding, of one input twice in a block, and sites in every code.
QuantizedParts MakeCodedParts() {
  QuantizedParts q = MakeQuantizedParts();
  Graph& g = q.graph;
  ForkInput(&g, g.FindSite("layers.0.y"), 0, "x_scan");
  ForkInput(&g, g.FindSite("layers.1.residual"), 1, "out_sum");
  ForkInput(&g, g.FindSite("layers.1.residual"), 0, "u_sum");
  ForkInput(&g, g.FindSite("layers.0.y_rot"), 0, "y_unrotated");
  const auto encode = [&](const char* site, Codec codec, size_t scales,
                          std::vector<uint8_t> zeros) {
    g.encodings[site] = {DType::kI8, ScaleSource::kStatic, TestScales(scales, 0.02f), codec,
                         std::move(zeros)};
  };
  encode("layers.0.x_scan", Codec::kSe8u, 3, {1, 0, 63});
  encode("layers.0.z", Codec::kSe8s, 1, {});
  encode("layers.1.x", Codec::kSe9, 1, {});
  encode("layers.1.z", Codec::kInt16, 1, {});
  encode("layers.1.dt_in", Codec::kAsymmetric, 3, {255, 0, 7});
  encode("layers.1.out_sum", Codec::kSeg8, 1, {200});
  g.encodings["layers.0.ssd.x_scaled"].codec = Codec::kSe8s;
  g.encodings["layers.1.ssd.x_scaled"].codec = Codec::kInt16;  // per chunk
  return q;
}

TEST(QuantizedFormat, RoundTripOfCodesAndForks) {
  const QuantizedParts q = MakeCodedParts();
  ASSERT_TRUE(Verify(q.graph).ok()) << Verify(q.graph).message();
  Stored stored = Store(q);
  stored.description = *Json::Parse(stored.description.Dump());
  QuantizedParts back;
  const Status s = Load(stored, &back);
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(ToText(back.graph), ToText(q.graph));
  ASSERT_EQ(back.graph.encodings.size(), q.graph.encodings.size());
  for (const auto& [site, e] : q.graph.encodings) {
    const Encoding* other = back.graph.FindEncoding(site);
    ASSERT_NE(other, nullptr) << site;
    EXPECT_EQ(other->source, e.source) << site;
    EXPECT_EQ(other->scales, e.scales) << site;
    EXPECT_EQ(other->codec, e.codec) << site;
    EXPECT_EQ(other->zeros, e.zeros) << site;
  }
  EXPECT_EQ(DescribeQuantization(back.graph, back.weights).Dump(),
            DescribeQuantization(q.graph, q.weights).Dump());
}

TEST(QuantizedFormat, EveryStateFormatComesBack) {
  std::vector<std::string> formats = StateFormatNames();
  formats.emplace_back("i8s+sr:99");
  for (const std::string& format : formats) {
    QuantizedParts q = MakeQuantizedParts(), back;
    SetState(format, &q.graph);
    const Stored stored = Store(q);
    EXPECT_EQ(stored.description.Find("state")->AsString(), format);
    const Status s = Load(stored, &back);
    ASSERT_TRUE(s.ok()) << s.message();
    EXPECT_EQ(back.graph.state, q.graph.state);
    ASSERT_EQ(back.graph.state_scales != nullptr, q.graph.state_scales != nullptr);
    if (q.graph.state_scales == nullptr) continue;
    EXPECT_EQ(*back.graph.state_scales, *q.graph.state_scales);
  }
}

TEST(QuantizedFormat, ChunkSizeOfTheDescriptionWins) {
  Stored s = Store(MakeQuantizedParts());
  s.description.Set("chunk_size", 16);
  QuantizedParts q;
  ASSERT_TRUE(Load(s, &q).ok());
  for (const Node& n : q.graph.nodes) {
    EXPECT_EQ(n.ssd.chunk_size, n.op == Op::kSsd ? 16 : 0);
  }
}

struct Hostile {
  const char* what;
  std::function<void(Stored*)> damage;
  std::vector<const char*> parts;  // of the message
};

void ExpectRefused(const std::vector<Hostile>& cases,
                   const QuantizedParts& parts = MakeQuantizedParts()) {
  for (const Hostile& h : cases) {
    Stored s = Store(parts);
    h.damage(&s);
    QuantizedParts q;
    const Status status = Load(s, &q);
    EXPECT_EQ(status.code(), Code::kCorrupt) << h.what;
    for (const char* part : h.parts) {
      EXPECT_THAT(status.message(), HasSubstr(part)) << h.what;
    }
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

Hostile Member(const char* key, Json value, std::vector<const char*> parts) {
  parts.push_back("graph");
  return {key, [=](Stored* s) { s->description.Set(key, value); }, parts};
}

Json Object(const char* key, Json value) {
  Json o = Json::MakeObject();
  o.Set(key, std::move(value));
  return o;
}

TEST(QuantizedFormat, HostileDescriptions) {
  std::vector<Hostile> cases = {
      Member("colour", "blue", {"colour"}),
      Member("chunk_size", 0, {"chunk_size"}),
      Member("chunk_size", -5, {"chunk_size"}),
      Member("chunk_size", kMaxChunkSize + 1, {"chunk_size"}),
      Member("chunk_size", std::numeric_limits<int64_t>::max(), {"chunk_size"}),
      Member("state", "i4", {"state", "i4", "f32, f16"}),
      Member("state", "", {"state"}),
      Member("state", "i8+sr:", {"state", "i8+sr:"}),
      Member("hadamard", Object("layers.0.y_rot", "paley1-12"), {"layers.0.y_rot", "paley1-12"}),
      Member("hadamard", Object("layers.0.y_rot", "hexagon"), {"layers.0.y_rot", "hexagon"}),
      Member("hadamard", Object("layers.0.y_rot", 12), {"layers.0.y_rot"}),
      Member("hadamard", Object("layers.9.y_rot", "block"), {"layers.9.y_rot"}),
      Member("hadamard", Object("layers.0.dt", "block"), {"layers.0.dt"}),
      Member("hadamard", Object("y_rot", "block"), {"y_rot"}),
      Member("hadamard", Object("", "block"), {"Hadamard"}),
      Member("int8_ssd", Object("layers.0.x", "float"), {"layers.0.x"}),
      Member("int8_ssd", Object("layers.5.y", "float"), {"layers.5.y"}),
      Member("int8_ssd", Object("layers.0.y", "fast"), {"layers.0.y"}),
      Member("int8_ssd", Object("layers.1.y", "gate_q7"), {"layers.1.y"}),  // scales per chunk
      Member("int8_ssd", Json::MakeObject(), {"layers.0.ssd"}),             // scales of a float Ssd
      Member("per_token", Json(Json::Array{Json("layers.0.nothing")}), {"layers.0.nothing"}),
      Member("per_token", Json(Json::Array{Json(3)}), {"3"}),
      Member("per_token", Json(Json::Array{Json("layers.0.B")}), {"layers.0.B"}),
      Member("per_token", Json(Json::Array{Json("logits")}), {"logits"}),
      {"a node's site per chunk",
       [](Stored* s) {
         Json sites = *s->description.Find("per_chunk");
         sites.Append("layers.0.z");
         s->description.Set("per_chunk", sites);
       },
       {"layers.0.z", "inside an Ssd"}},
      Member("per_token", Json(Json::Array{Json("layers.0.u_norm")}), {"layers.0.u_norm", "two"}),
      Member("per_chunk", Json(Json::Array{Json("layers.0.ssd.local_state")}), {"local_state"}),
      Member("per_chunk", Json::MakeArray(), {"layers.1.ssd.x_scaled"}),
      {"not an object", [](Stored* s) { s->description = Json(3); }, {"int4"}},
      {"null", [](Stored* s) { s->description = Json(); }, {"int4"}},
  };
  // A Hadamard of a layer that has one already: the node is in the graph, and again.
  cases.push_back({"two Hadamards",
                   [](Stored* s) {
                     auto& h = s->description.AsObject();
                     for (auto& [key, value] : h) {
                       if (key == "hadamard")
                         value.AsObject().push_back({"layers.0.y_rot", "block"});
                     }
                   },
                   {"layers.0.y_rot"}});
  for (const char* key : {"chunk_size", "state", "hadamard", "forks", "int8_ssd", "per_token",
                          "per_chunk", "codecs", "int4"}) {
    for (const Json& wrong : {Json(), Json(true), Json(2.5), Json(Json::Array{Json()})}) {
      if (std::string_view(key).starts_with("per_") && wrong.type() == Json::Type::kArray) continue;
      cases.push_back({key, [=](Stored* s) { s->description.Set(key, wrong); }, {}});
    }
    cases.push_back({key, [=](Stored* s) { s->description.Erase(key); }, {}});
  }
  ExpectRefused(cases);
}

Weight I32(const std::vector<int32_t>& values) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(values));
  return MakeWeight(DType::kI32, {bytes.begin(), bytes.end()}, {std::ssize(values)});
}

TEST(QuantizedFormat, HostileStateScales) {
  const std::string scale = "encodings.layers.0.state.scale";
  const std::string rows = "encodings.layers.0.state.rows";
  const auto set = [](const std::string& name, Weight w) {
    return [=](Stored* s) { s->tensors.Set(name, w); };
  };
  // 33 rows of 5; layer 0 has two entries of 5 and a map.
  const std::vector<std::pair<std::function<void(Stored*)>, const char*>> cases = {
      {[=](Stored* s) { s->tensors.Erase(scale); }, "encodings.layers.0.state.scale is missing"},
      {[=](Stored* s) { s->tensors.Erase(rows); }, "layers.0.state"},
      {set(scale, MakeWeight(std::vector<float>(4, 1), {1, 4})), "4 columns"},
      {set(scale, MakeWeight(std::vector<float>(2, 1), {1, 1, 2})), "no matrix"},
      {set(scale, MakeWeight(std::vector<float>(1, 1), {1, 1})), "do not exist"},
      {set(scale, MakeWeight(std::vector<float>(10, 0.1f), {2, 5})), "12 significant"},
      {set(scale, MakeWeight(std::vector<float>{}, {0, 5})), "12 significant"},
      {set(scale, I32({1})), "not F32"},
      {set(rows, MakeWeight(std::vector<float>(12, 0), {12})), "not I32"},
      {set(rows, I32({})), "is empty"},
      {set(rows, I32({0, 1})), "map of 2"},
      {set(rows, I32(std::vector<int32_t>(33, 2))), "do not exist"},
      {set(rows, I32(std::vector<int32_t>(33, -1))), "holds -1"},
      {set(rows, I32(std::vector<int32_t>(33, 65536))), "holds 65536"},
      {set("encodings.layers.2.state.scale", MakeWeight({1.0f}, {1})), "layers.2.state"},
      {[](Stored* s) { s->description.Set("state", "i8"); }, "unknown site layers.0.state"},
  };
  for (const auto& [damage, why] : cases) {
    QuantizedParts q = MakeQuantizedParts();
    SetState("i8s", &q.graph);
    Stored stored = Store(q);
    damage(&stored);
    const Status s = Load(stored, &q);
    EXPECT_EQ(s.code(), Code::kCorrupt) << why;
    EXPECT_THAT(s.message(), HasSubstr(why));
  }
}

constexpr const char* kIn = "backbone.layers.0.mixer.in_proj.weight";
constexpr const char* kOut = "backbone.layers.1.mixer.out_proj.weight";

Hostile Replace(const char* what, const std::string& tensor, const Weight& by) {
  return {what, [=](Stored* s) { s->tensors.Set(tensor, by); }, {"tensor "}};
}

Weight Scales(std::vector<float> values) {
  const auto n = static_cast<int64_t>(values.size());
  return MakeWeight(std::move(values), {n});
}

TEST(QuantizedFormat, HostileScales) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const float fine = 0.1f;  // more than 12 significant bits
  const std::string names[] = {std::string(kIn) + "_scale", std::string(kOut) + "_scale",
                               "encodings.layers.0.u_norm.scale",
                               "encodings.layers.0.ssd.state.scale"};
  for (const std::string& name : names) {
    std::vector<Hostile> cases;
    for (const float bad : {nan, inf, -inf, 0.0f, -0.0f, -0.5f, fine, 1e-30f, 0x1.0p-41f}) {
      cases.push_back(Replace("value", name, Scales({bad})));
      cases.push_back(Replace("last value", name, Scales({0.5f, 0.5f, bad})));
    }
    cases.push_back(Replace("none", name, Scales({})));
    cases.push_back(
        Replace("f16", name, MakeWeight(DType::kF16, {std::byte{0}, std::byte{0x3c}}, {1})));
    for (Hostile& h : cases) {
      h.parts = {name.c_str()};
    }
    ExpectRefused(cases);
  }
  ExpectRefused({
      {"count",
       [](Stored* s) {
         s->tensors.Set(std::string(kIn) + "_scale", Scales({0.5f, 0.5f}));
       },
       {kIn, "2 scales"}},
      {"missing",
       [](Stored* s) { s->tensors.Erase(std::string(kIn) + "_scale"); },
       {kIn, "_scale is missing"}},
      {"int4 missing",
       [](Stored* s) { s->tensors.Erase(std::string(kOut) + "_scale"); },
       {kOut, "_scale is missing"}},
      {"groups missing",
       [](Stored* s) { s->tensors.Erase(std::string(kOut) + "_group_scale"); },
       {kOut, "_group_scale is missing"}},
      {"scale of a float",
       [](Stored* s) { s->tensors.Set("backbone.norm_f.weight_scale", Scales({0.5f})); },
       {"backbone.norm_f.weight_scale"}},
      {"group scales of int8",
       [](Stored* s) { s->tensors.Set(std::string(kIn) + "_group_scale", Scales({0.5f})); },
       {kIn, "_group_scale"}},
      {"unknown site",
       [](Stored* s) { s->tensors.Set("encodings.attic.scale", Scales({0.5f})); },
       {"attic"}},
      {"empty site",
       [](Stored* s) { s->tensors.Set("encodings..scale", Scales({0.5f})); },
       {"unknown site"}},
      {"prefix and suffix overlap",
       [](Stored* s) { s->tensors.Set("encodings.scale", Scales({0.5f})); },
       {"unknown site"}},
      {"per channel where one is needed",
       [](Stored* s) {
         s->tensors.Set("encodings.layers.0.ssd.score.scale", Scales({0.5f, 0.5f}));
       },
       {"layers.0.ssd.score"}},
      {"embedding",
       [](Stored* s) { s->tensors.Set("encodings.embedding.scale", Scales({0.5f})); },
       {"embedding"}},
      {"encoding dropped",
       [](Stored* s) { s->tensors.Erase("encodings.layers.0.B.scale"); },
       {"layers.0.B"}},
  });
}

Weight U8(std::vector<uint8_t> values, std::vector<int64_t> shape) {
  std::vector<std::byte> bytes(values.size());
  std::memcpy(bytes.data(), values.data(), values.size());
  return MakeWeight(DType::kU8, std::move(bytes), std::move(shape));
}

TEST(QuantizedFormat, HostileCodes) {
  const auto describe = [](Json columns, Json group) {
    return [=](Stored* s) {
      Json o = Object("columns", columns);
      o.Set("group", group);
      Json int4 = *s->description.Find("int4");
      int4.Set(kOut, o);
      s->description.Set("int4", int4);
    };
  };
  const auto multipliers = [](uint8_t value) {
    return [=](Stored* s) {
      std::vector<uint8_t> all(16, 5);
      all.back() = value;
      s->tensors.Set(std::string(kOut) + "_group_scale", U8(all, {8, 2}));
    };
  };
  const int64_t huge = std::numeric_limits<int64_t>::max();
  std::vector<Hostile> cases = {
      {"multiplier 0", multipliers(0), {kOut, "1..127"}},
      {"multiplier 128", multipliers(128), {kOut, "1..127"}},
      {"multiplier 255", multipliers(255), {kOut, "1..127"}},
      {"group scale shape",
       [](Stored* s) {
         s->tensors.Set(std::string(kOut) + "_group_scale",
                        U8(std::vector<uint8_t>(16, 5), {16, 1}));
       },
       {kOut, "_group_scale"}},
      {"code -128",
       [](Stored* s) {
         const Weight w = *s->tensors.Find(kIn);
         std::vector<std::byte> codes(static_cast<size_t>(w.count()));
         codes.back() = std::byte{0x80};
         s->tensors.Set(kIn, MakeWeight(DType::kI8, std::move(codes), w.shape));
       },
       {kIn, "-128"}},
      {"int4 without description",
       [](Stored* s) { s->description.Set("int4", Json::MakeObject()); },
       {"out_proj.weight", "int4"}},
      {"int4 of a missing tensor",
       [](Stored* s) {
         Json int4 = *s->description.Find("int4");
         int4.Set("backbone.ghost", *int4.Find(kOut));
         s->description.Set("int4", int4);
       },
       {"backbone.ghost"}},
      {"int4 of a float tensor",
       [](Stored* s) {
         Json int4 = *s->description.Find("int4");
         int4.Set("backbone.norm_f.weight", *int4.Find(kOut));
         s->description.Set("int4", int4);
       },
       {"backbone.norm_f.weight"}},
  };
  for (const Json& bad : {Json(0), Json(-33), Json(35), Json(36), Json(huge), Json(2.5), Json(),
                          Json(std::numeric_limits<int64_t>::min())}) {
    cases.push_back({"columns", describe(bad, 32), {kOut}});
  }
  for (const Json& bad : {Json(0), Json(-32), Json(16), Json(33), Json(huge), Json(huge - 31),
                          Json("32"), Json(64)}) {
    cases.push_back({"group", describe(33, bad), {kOut}});
  }
  ExpectRefused(cases);
}

Json Fork(const char* reader, Json input) {
  return Json(Json::Array{Json(reader), std::move(input)});
}

TEST(QuantizedFormat, HostileForks) {
  const auto forks = [](const char* site, Json from, const char* part) {
    return Member("forks", Object(site, std::move(from)), {site, part});
  };
  const int64_t huge = std::numeric_limits<int64_t>::max();
  ExpectRefused(
      {
          forks("layers.0.f", Json(3), "reader"),
          forks("layers.0.f", Json(Json::Array{}), "reader"),
          forks("layers.0.f", Json(Json::Array{Json("layers.0.y")}), "reader"),
          forks("layers.0.f", Fork("layers.0.y", Json("0")), "reader"),
          forks("layers.0.f", Fork("layers.0.y", Json(0.5)), "reader"),
          forks("layers.0.f", Fork("layers.7.y", Json(0)), "unknown reader"),
          forks("embedding2", Fork("embedding", Json(0)), "unknown reader"),
          forks("layers.0.f", Fork("layers.0.ssd.score", Json(0)), "unknown reader"),
          forks("layers.0.f", Fork("layers.0.y", Json(4)), "no input 4"),
          forks("layers.0.f", Fork("layers.0.y", Json(-1)), "no input -1"),
          forks("layers.0.f", Fork("layers.0.y", Json(huge)), "no input"),
          forks("layers.1.f", Fork("layers.0.y", Json(0)), "no name"),
          forks("f", Fork("layers.0.y", Json(0)), "no name"),
          forks("layers.0.", Fork("layers.0.y", Json(0)), "no name"),
          forks("layers.0.x", Fork("layers.0.y", Json(0)), "no name"),
          forks("layers.0.ssd.score", Fork("layers.0.y", Json(0)), "no name"),
          forks("a.b", Fork("logits", Json(0)), "no name"),
          {"one input twice",
           [](Stored* s) {
             Json both = Object("layers.0.f", Fork("layers.0.y", Json(0)));
             both.Set("layers.0.g", Fork("layers.0.y", Json(0)));
             s->description.Set("forks", both);
           },
           {"layers.0.g", "already"}},
          {"a fork of a fork",
           [](Stored* s) {
             Json both = Object("layers.0.f", Fork("layers.0.y", Json(0)));
             both.Set("layers.0.g", Fork("layers.0.f", Json(0)));
             both.Set("layers.0.h", Fork("layers.0.f", Json(0)));
             s->description.Set("forks", both);
           },
           {"layers.0.h", "already"}},
          {"a fork dropped",
           [](Stored* s) {
             Json fewer = *s->description.Find("forks");
             fewer.Erase("layers.0.x_scan");
             s->description.Set("forks", fewer);
           },
           {"layers.0.x_scan"}},
      },
      MakeCodedParts());
}

TEST(QuantizedFormat, HostileCodecsAndZeros) {
  const auto codec = [](const char* site, Json name, std::vector<const char*> parts) {
    return Hostile{site,
                   [=](Stored* s) {
                     Json codecs = *s->description.Find("codecs");
                     codecs.Set(site, name);
                     s->description.Set("codecs", codecs);
                   },
                   parts};
  };
  const auto zero = [](const char* site, const Weight& by, const char* part) {
    return Hostile{
        site,
        [=](Stored* s) { s->tensors.Set(std::string("encodings.") + site + ".zero", by); },
        {site, part}};
  };
  const auto drop = [](const char* tensor, const char* site, const char* part) {
    return Hostile{tensor, [=](Stored* s) { s->tensors.Erase(tensor); }, {site, part}};
  };
  ExpectRefused(
      {
          codec("layers.1.x", Json("fp8"), {"layers.1.x", "fp8", "se8u"}),
          codec("layers.1.x", Json(9), {"layers.1.x"}),
          codec("layers.1.x", Json("int8"), {"layers.1.x", "not listed"}),
          codec("layers.1.x", Json("se8u"), {"layers.1.x", "0 zeros"}),
          codec("layers.0.x_scan", Json("se9"), {"layers.0.x_scan", "3 zeros"}),
          codec("layers.1.dt_in", Json("se8u"), {"layers.1.dt_in", "above 63"}),
          codec("layers.1.dt", Json("se9"), {"layers.1.dt", "not encoded"}),
          codec("layers.9.x", Json("se9"), {"layers.9.x", "not encoded"}),
          codec("layers.0.y_rot", Json("se9"), {"layers.0.y_rot", "static scales"}),  // per token
          codec("layers.0.B", Json("se9"), {"layers.0.B", "int8"}),
          codec("layers.0.ssd.score", Json("se9"), {"layers.0.ssd.score", "int8"}),
          codec("layers.1.ssd.state", Json("se9"), {"layers.1.ssd.state", "int8"}),  // per chunk
          codec("layers.0.ssd.x_scaled", Json("uint8"), {"layers.0.ssd.x_scaled", "uint8"}),
          codec("layers.1.ssd.x_scaled", Json("seg8"), {"layers.1.ssd.x_scaled", "seg8"}),
          zero("layers.0.x_scan", U8({1, 0, 64}, {3}), "above 63"),
          zero("layers.0.x_scan", U8({1, 0}, {2}), "2 zeros for 3 scales"),
          zero("layers.0.x_scan", U8({1, 0, 63, 5}, {2, 2}), "U8"),
          zero("layers.0.x_scan", Scales({1, 0, 63}), "U8"),
          zero("layers.1.x", U8({1}, {1}), "1 zeros"),
          zero("layers.0.u_norm", U8({1}, {1}), "1 zeros"),
          zero("layers.0.y_rot", U8({1}, {1}), "scales"),
          zero("attic", U8({1}, {1}), "scales"),
          zero("", U8({1}, {1}), "is not U8 [scales] of a site with scales"),
          drop("encodings.layers.0.x_scan.zero", "layers.0.x_scan", "0 zeros"),
          drop("encodings.layers.0.x_scan.scale", "layers.0.x_scan", "not encoded"),
      },
      MakeCodedParts());
}

// A row of zero codes with as many multipliers as `group` asks for.
Status AttachRow(int64_t columns, int64_t group) {
  const int64_t groups = (columns + group - 1) / group;
  WeightMap stored, encodings;
  stored.Set("w", U8(std::vector<uint8_t>(static_cast<size_t>(columns / 2)), {1, columns / 2}));
  stored.Set("w_group_scale",
             U8(std::vector<uint8_t>(static_cast<size_t>(groups), 1), {1, groups}));
  stored.Set("w_scale", Scales({0.5f}));
  Json shape = Object("columns", columns);
  shape.Set("group", group);
  return AttachScales(Object("int4", Object("w", shape)), stored, &encodings).status();
}

TEST(QuantizedFormat, GroupsThatKernelsCannotTakeAreRefused) {
  EXPECT_TRUE(AttachRow(64 * 32, 32).ok());
  EXPECT_THAT(AttachRow(65 * 32, 32).message(), HasSubstr("64 groups"));
  EXPECT_TRUE(AttachRow(65 * 32, 64).ok());
  for (const int64_t group : {1, 16, 31, 33, 48, 100}) {
    EXPECT_EQ(AttachRow(200, group).code(), Code::kCorrupt) << group;
  }
}

}  // namespace
}  // namespace octet
