// Contracts of loading a folder:
//  1. A folder gives the model of its tensors; a tokenizer larger than the vocabulary, somebody
//     else's quantization and a damaged description are refused, naming the folder.
//  2. Another chunk size: any for a float model and for scales made per chunk, none for a model
//     with calibrated scales inside the SSD.
//  3. eos_token_id may be a number, a list or absent; generation_config.json wins.
//  4. LoadFloatCheckpoint refuses quantized folders.
//  5. Session: restoring a copy of the state continues with the same bits, for every format of the
//     state, in float and in int8; an error changes nothing.
//  6. Session::FeedEach: every session gets the bits of being fed alone, wherever in its text it
//     is, for every format of the state; what cannot be fed together is refused unchanged.
#include "runtime/model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/mamba2_testing.h"
#include "exec/quantized_format.h"
#include "exec/quantized_model_testing.h"
#include "io/safetensors.h"
#include "io/scratch_folder.h"
#include "runtime/session.h"
#include "text/tokenizer_testing.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ModelTest : public testing::Test {
 protected:
  void WriteFloat(const BlockSizes& s, const Json& config) const {
    Write({MakeBlocks(s), MakeBlockWeights(s, 5)}, config);
  }
  // The quantized model of exec/quantized_model_testing.h, with its description edited by `key`.
  void WriteQuantized(bool per_chunk, const std::string& key = "", const Json& value = {}) const {
    QuantizedParts q = MakeQuantizedParts();
    for (const char* inner : kSsdInnerSites) {
      if (per_chunk)
        q.graph.encodings[SsdInnerSite(0, inner)] = {DType::kI8, ScaleSource::kPerChunk, {}};
    }
    Json quantization = With(Json::MakeObject(), "quant_method", "octet");
    quantization.Set("graph", DescribeQuantization(q.graph, q.weights));
    if (!key.empty()) quantization.Set(key, value);
    Write(q, With(HuggingFaceConfig(QuantizedSizes()), "quantization_config", quantization));
  }
  void Write(const QuantizedParts& q, const Json& config) const {
    std::filesystem::remove(folder_.At("model.safetensors"));
    const Status s = WriteSafetensors(folder_.At("model.safetensors"),
                                      StoredTensors(q.graph, q.weights), {{"format", "pt"}});
    ASSERT_TRUE(s.ok()) << s.message();
    folder_.Write("config.json", config.Dump());
  }
  std::shared_ptr<const Model> Load(const ModelOptions& options = {}) const {
    const auto model = Model::Load(folder_.path(), options);
    EXPECT_TRUE(model.ok()) << model.status().message();
    return model.ok() ? *model : nullptr;
  }
  Status LoadStatus(int64_t chunk_size = 0) const {
    ModelOptions options;
    options.chunk_size = chunk_size;
    return Model::Load(folder_.path(), options).status();
  }
  void ExpectRefused(Code code, const std::string& part) const {
    const Status s = LoadStatus();
    EXPECT_EQ(s.code(), code) << part;
    EXPECT_THAT(s.message(), AllOf(HasSubstr(folder_.path()), HasSubstr(part)));
  }
  ScratchFolder folder_;
};

// As many rows as the small tokenizer has ids.
BlockSizes TextSizes() {
  BlockSizes s;
  s.rows = 263;
  return s;
}

TEST_F(ModelTest, FloatFolder) {
  const BlockSizes s;
  WriteFloat(s, With(HuggingFaceConfig(s), "hidden_size", 99));
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(ToText(model->graph()), ToText(MakeBlocks(s)));
  EXPECT_EQ(model->folder(), folder_.path());
  EXPECT_EQ(model->vocab_rows(), 11);
  EXPECT_EQ(model->quantization(), nullptr);
  EXPECT_THAT(model->warnings(), ElementsAre(AllOf(HasSubstr("99"), HasSubstr("8"))));
  EXPECT_THAT(model->eos(), IsEmpty());
  EXPECT_EQ(model->tokenizer().status().code(), Code::kNotFound);
  EXPECT_THAT(model->tokenizer().status().message(), HasSubstr("tokenizer.json"));
  const auto checkpoint = LoadFloatCheckpoint(folder_.path());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_EQ(ToText(checkpoint->graph), ToText(MakeBlocks(s)));
  EXPECT_EQ(checkpoint->warnings.size(), 1u);
  EXPECT_EQ(checkpoint->config.Find("hidden_size")->AsInt(), 99);
  const auto same = Model::Load(folder_.path(), *checkpoint, {});
  ASSERT_TRUE(same.ok()) << same.status().message();
  EXPECT_EQ((*same)->warnings(), model->warnings());
  for (const auto& [name, w] : (*same)->weights().all()) {
    EXPECT_EQ(w.data, checkpoint->weights.Find(name)->data) << name << " is mapped twice";
  }
}

TEST_F(ModelTest, TokenizerMustFitTheVocabulary) {
  folder_.Write("tokenizer.json", TinyTokenizerJson().Dump());
  WriteFloat(TextSizes(), HuggingFaceConfig(TextSizes()));
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->tokenizer()->size(), 263);
  BlockSizes padded = TextSizes();
  padded.rows = 272;
  WriteFloat(padded, HuggingFaceConfig(padded));
  EXPECT_NE(Load(), nullptr) << "padded rows are fine";
  BlockSizes small = TextSizes();
  small.rows = 262;
  WriteFloat(small, HuggingFaceConfig(small));
  ExpectRefused(Code::kInvalidArgument, "263 ids");
}

TEST_F(ModelTest, EosForms) {
  folder_.Write("tokenizer.json", TinyTokenizerJson().Dump());
  const auto eos = [&](const Json& value) {
    WriteFloat(TextSizes(), With(HuggingFaceConfig(TextSizes()), "eos_token_id", value));
    return Load()->eos();
  };
  EXPECT_THAT(eos(5), ElementsAre(5));
  EXPECT_THAT(eos(262), ElementsAre(262));
  EXPECT_THAT(eos(Json(Json::Array{Json(0), Json(7)})), ElementsAre(0, 7));
  EXPECT_THAT(eos(Json::MakeArray()), IsEmpty());
  EXPECT_THAT(eos(Json()), IsEmpty());
  for (const Json& bad : {Json(-1), Json(263), Json("5"), Json(2.0), Json(true), Json::MakeObject(),
                          Json(Json::Array{Json(5), Json("x")}), Json(int64_t{1} << 40)}) {
    WriteFloat(TextSizes(), With(HuggingFaceConfig(TextSizes()), "eos_token_id", bad));
    ExpectRefused(Code::kInvalidArgument, "eos_token_id");
  }
  folder_.Write("generation_config.json", R"({"eos_token_id": [9, 8]})");
  EXPECT_THAT(eos(5), ElementsAre(9, 8));
  folder_.Write("generation_config.json", R"({"top_k": 3})");
  EXPECT_THAT(eos(5), ElementsAre(5));
  folder_.Write("generation_config.json", "{");
  ExpectRefused(Code::kCorrupt, "generation_config.json");
}

TEST_F(ModelTest, EndOfTextTokenWhereNoConfigNamesOne) {
  Json tokenizer = TinyTokenizerJson();
  Json tokens = *tokenizer.Find("added_tokens");
  tokens.AsArray()[0] = AddedTokenJson(260, "<|endoftext|>", true, false);
  tokenizer.Set("added_tokens", tokens);
  folder_.Write("tokenizer.json", tokenizer.Dump());
  WriteFloat(TextSizes(), HuggingFaceConfig(TextSizes()));
  EXPECT_THAT(Load()->eos(), ElementsAre(260));
}

TEST_F(ModelTest, QuantizedFolder) {
  WriteQuantized(false);
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  EXPECT_NE(model->quantization(), nullptr);
  EXPECT_EQ(ToText(model->graph()), ToText(MakeQuantizedParts().graph));
  const auto checkpoint = LoadFloatCheckpoint(folder_.path());
  EXPECT_EQ(checkpoint.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(checkpoint.status().message(),
              AllOf(HasSubstr(folder_.path()), HasSubstr("already")));
}

TEST_F(ModelTest, OtherQuantizationsAreRefused) {
  for (const Json& method : {Json("gptq"), Json("Octet"), Json(), Json(1)}) {
    WriteQuantized(false, "quant_method", method);
    ExpectRefused(Code::kUnsupported, "quant_method");
  }
  WriteQuantized(false, "graph", Json(4));
  ExpectRefused(Code::kCorrupt, "int4");
  const BlockSizes s;
  for (const Json& quantization : {Json(), Json("int8"), Json::MakeObject(), Json::MakeArray()}) {
    WriteFloat(s, With(HuggingFaceConfig(s), "quantization_config", quantization));
    ExpectRefused(Code::kUnsupported, "quant_method");
  }
  WriteFloat(s, With(HuggingFaceConfig(s), "quantization_config",
                     With(Json::MakeObject(), "quant_method", "octet")));
  ExpectRefused(Code::kCorrupt, "graph is missing");
}

TEST_F(ModelTest, ChunkSizes) {
  const auto chunk = [&](int64_t size) {
    ModelOptions options;
    options.chunk_size = size;
    const auto model = Load(options);
    const auto& g = model->graph();
    return g.nodes[static_cast<size_t>(g.FindSite("layers.1.y"))].ssd.chunk_size;
  };
  WriteFloat({}, HuggingFaceConfig({}));
  EXPECT_EQ(chunk(0), 8);
  EXPECT_EQ(chunk(1), 1);
  EXPECT_EQ(chunk(500), 500);
  for (const int64_t bad : {int64_t{-1}, kMaxChunkSize + 1, std::numeric_limits<int64_t>::max()}) {
    EXPECT_THAT(LoadStatus(bad).message(),
                HasSubstr(fmt::format("between 1 and {}", kMaxChunkSize)))
        << bad;
  }
  WriteQuantized(/*per_chunk=*/true);
  EXPECT_EQ(chunk(0), 8);
  EXPECT_EQ(chunk(32), 32);
  WriteQuantized(/*per_chunk=*/false);
  EXPECT_EQ(chunk(8), 8);
  const Status s = LoadStatus(32);
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), AllOf(HasSubstr(folder_.path()), HasSubstr("8"), HasSubstr("32")));
}

TEST_F(ModelTest, FoldersThatAreNone) {
  const auto missing = Model::Load(folder_.At("nowhere"), {});
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr("nowhere"));
  EXPECT_EQ(LoadFloatCheckpoint(folder_.At("nowhere")).status().code(), Code::kNotFound);
  ExpectRefused(Code::kNotFound, "config.json");
  folder_.Write("config.json", "[1]");
  EXPECT_FALSE(LoadStatus().ok());
}

std::vector<float> Feed(Session* session, std::span<const TokenId> ids) {
  std::vector<float> all;
  const Status s = session->FeedAll(ids, [&](int64_t, int64_t rows, const float* logits) {
    all.insert(all.end(), logits, logits + rows * session->model().vocab_rows());
  });
  EXPECT_TRUE(s.ok()) << s.message();
  return all;
}

TEST(Session, RestoreIsExactForEveryStateFormat) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 40; ++i) {
    ids.push_back(i * i % 11);
  }
  for (const bool int8 : {false, true}) {
    for (const std::string& state : StateFormatNames()) {
      QuantizedParts q = MakeQuantizedParts();
      if (!int8) q = {MakeBlocks(QuantizedSizes()), MakeBlockWeights(QuantizedSizes(), 5)};
      SetState(state, &q.graph);
      const auto model = *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
      const auto pool = std::make_shared<ThreadPool>(2);
      Session session(model, pool), fork(model, pool), fresh(model, pool);
      const std::vector<float> begin = Feed(&session, std::span(ids).first(19));
      const State saved = session.state();
      const std::vector<float> want = Feed(&session, std::span(ids).subspan(19));
      const State end = session.state();
      EXPECT_FALSE(saved == end);
      fork.Restore(saved);
      EXPECT_EQ(fork.state().position(), 19);
      EXPECT_EQ(Feed(&fork, std::span(ids).subspan(19)), want);
      EXPECT_TRUE(fork.state() == end);
      session.Restore(saved);  // and back in the session that went on
      EXPECT_EQ(Feed(&session, std::span(ids).subspan(19)), want);
      session.Reset();
      EXPECT_TRUE(session.state() == fresh.state());
      EXPECT_EQ(Feed(&session, std::span(ids).first(19)), begin);
      EXPECT_TRUE(session.state() == saved);
      std::vector<float> last(11);
      EXPECT_EQ(session.Feed({}, last).code(), Code::kInvalidArgument);
      EXPECT_EQ(session.Feed(std::vector<TokenId>{1, 11}, last).code(), Code::kInvalidArgument);
      EXPECT_TRUE(session.state() == saved) << "an error changes nothing";
    }
  }
}

// `count` sessions, the i-th after its first i tokens.
std::vector<std::unique_ptr<Session>> Sessions(const std::shared_ptr<const Model>& model,
                                               const std::shared_ptr<ThreadPool>& pool, int count) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < count; ++i) {
    sessions.push_back(std::make_unique<Session>(model, pool));
    std::vector<TokenId> ids;
    for (TokenId t = 0; t < i; ++t) {
      ids.push_back((t * t + i) % 11);
    }
    if (!ids.empty()) Feed(sessions.back().get(), ids);
  }
  return sessions;
}

std::vector<Session*> Pointers(const std::vector<std::unique_ptr<Session>>& sessions) {
  std::vector<Session*> pointers;
  for (const auto& s : sessions) {
    pointers.push_back(s.get());
  }
  return pointers;
}

TEST(Session, FedTogetherEachGetsTheBitsOfBeingFedAlone) {
  for (const bool int8 : {false, true}) {
    for (const std::string& state : StateFormatNames()) {
      QuantizedParts q = MakeQuantizedParts();
      if (!int8) q = {MakeBlocks(QuantizedSizes()), MakeBlockWeights(QuantizedSizes(), 5)};
      SetState(state, &q.graph);
      const auto model = *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
      const auto pool = std::make_shared<ThreadPool>(2);
      const int count = state == "f32" ? 70 : 5;  // more than a step takes, and few
      const auto together = Sessions(model, pool, count), alone = Sessions(model, pool, count);
      std::vector<float> logits(static_cast<size_t>(count) * 11), last(11);
      for (TokenId step = 0; step < 3; ++step) {
        std::vector<TokenId> ids;
        for (TokenId i = 0; i < count; ++i) {
          ids.push_back((3 * i + step) % 11);
        }
        ASSERT_TRUE(Session::FeedEach(Pointers(together), ids, logits).ok());
        for (size_t i = 0; i < ids.size(); ++i) {
          ASSERT_TRUE(alone[i]->Feed({&ids[i], 1}, last).ok());
          EXPECT_TRUE(std::ranges::equal(last, std::span(logits).subspan(i * 11, 11)))
              << state << (int8 ? " int8" : " float") << " session " << i;
          EXPECT_TRUE(together[i]->state() == alone[i]->state());
        }
      }
    }
  }
}

TEST(Session, WhatCannotBeFedTogetherIsRefused) {
  const QuantizedParts q = MakeQuantizedParts();
  const auto model = *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
  const auto other = *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
  const auto pool = std::make_shared<ThreadPool>(1);
  Session a(model, pool), b(model, pool), c(other, pool);
  const State before = a.state();
  std::vector<float> logits(22);
  const std::vector<TokenId> ids = {1, 2};
  EXPECT_TRUE(Session::FeedEach({}, {}, {}).code() == Code::kInvalidArgument);
  for (const std::vector<Session*>& sessions :
       {std::vector<Session*>{&a, &a}, {&a, &c}, {&a}, {&a, &b, &c}}) {
    EXPECT_EQ(Session::FeedEach(sessions, ids, logits).code(), Code::kInvalidArgument);
  }
  const std::vector<Session*> both = {&a, &b};
  EXPECT_EQ(Session::FeedEach(both, std::vector<TokenId>{1, 11}, logits).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(Session::FeedEach(both, ids, std::span(logits).first(21)).code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(a.state() == before);
  EXPECT_TRUE(b.state() == before);
}

}  // namespace
}  // namespace octet
