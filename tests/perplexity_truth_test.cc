// Contracts of eval/wikitext.h and eval/perplexity.h against the programs that they follow, whose
// results tools/make_perplexity_goldens.py wrote:
// 1. Rows, pages, detokenized pages and counts are theirs to the byte.
// 2. GPTQ's protocol, the loop of Hugging Face's guide and lm-eval's rolling log-likelihood, of
//    both shipped models, as transformers computes them in fp32; also of documents of many windows.
#include <cmath>

#include <gtest/gtest.h>

#include "base/file.h"
#include "eval/perplexity.h"
#include "eval/text_data.h"
#include "eval/wikitext.h"

namespace octet {
namespace {

constexpr const char* kRaw = "tests/golden/perplexity/wikitext.raw";

// Nats per token: both sides compute logits of size about 10 in fp32, in another order.
constexpr double kFloatNoise = 2e-5;

class PerplexityTruth : public testing::Test {
 protected:
  void SetUp() override {
    Result<Json> json = Json::ParseFile("tests/golden/perplexity/expected.json", 1 << 20);
    ASSERT_TRUE(json.ok()) << json.status().message();
    expected_ = *std::move(json);
  }
  Json expected_;
};

double Number(const Json& object, const char* key) {
  return *object.Find(key)->AsNumber();
}

TEST_F(PerplexityTruth, RowsAreJoinedAsTheDataSetHasThem) {
  const Result<std::string> joined = ReadJoinedRows(kRaw);
  ASSERT_TRUE(joined.ok()) << joined.status().message();
  EXPECT_EQ(*joined, expected_.Find("joined")->AsString());
}

TEST_F(PerplexityTruth, PagesAreLmEvals) {
  const Result<std::vector<std::string>> pages = ReadPages(kRaw);
  ASSERT_TRUE(pages.ok()) << pages.status().message();
  const Json::Array& want = expected_.Find("pages")->AsArray();
  ASSERT_EQ(pages->size(), want.size());
  const std::vector<ScoredDocument> documents = ScoredPages(*pages);
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ((*pages)[i], want[i].Find("page")->AsString());
    EXPECT_EQ(documents[i].text, want[i].Find("detokenized")->AsString());
    EXPECT_EQ(documents[i].words, want[i].Find("words")->AsInt());
    EXPECT_EQ(documents[i].bytes, want[i].Find("bytes")->AsInt());
  }
}

class PerplexityOfModels : public PerplexityTruth, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    PerplexityTruth::SetUp();
    const auto model = Model::Load(std::string("models/") + GetParam(), {});
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = *model;
    want_ = expected_.Find("models")->Find(GetParam());
    ASSERT_NE(want_, nullptr);
    tokens_ = model_->tokenizer()->Encode(*ReadJoinedRows(kRaw));
  }
  // Options with the sizes of `protocol`.
  static WindowOptions Options(const Json& protocol) {
    const int64_t window = protocol.Find("window")->AsInt();
    const Json* stride = protocol.Find("stride");
    return {window, stride == nullptr ? window : stride->AsInt(), 0, 2};
  }
  std::shared_ptr<const Model> model_;
  const Json* want_ = nullptr;
  std::vector<TokenId> tokens_;
};

TEST_P(PerplexityOfModels, GptqsProtocol) {
  const Json& want = *want_->Find("gptq");
  EXPECT_EQ(std::ssize(tokens_), want.Find("tokens")->AsInt());
  const auto report = Perplexity(model_, tokens_, "t", Options(want), {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_NEAR(report->nll_per_token, std::log(Number(want, "perplexity")), kFloatNoise);
}

TEST_P(PerplexityOfModels, HuggingFacesGuide) {
  const Json& want = *want_->Find("strided");
  const auto report = StridedPerplexity(model_, tokens_, "t", Options(want), {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->tokens, std::ssize(tokens_) - 1);
  EXPECT_NEAR(report->nll_per_token, std::log(Number(want, "perplexity")), kFloatNoise);
}

TEST_P(PerplexityOfModels, RollingLogLikelihood) {
  const std::vector<ScoredDocument> documents = ScoredPages(*ReadPages(kRaw));
  const Json::Array& cases = want_->Find("rolling")->AsArray();
  ASSERT_EQ(cases.size(), 2u);
  for (const Json& want : cases) {
    const int64_t window = want.Find("window")->AsInt();
    const auto report = DocumentPerplexity(model_, documents, window, 2, {});
    ASSERT_TRUE(report.ok()) << report.status().message();
    const Json::Array& values = want.Find("log_likelihoods")->AsArray();
    ASSERT_EQ(report->log_likelihoods.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const auto tokens =
          static_cast<double>(model_->tokenizer()->Encode(documents[i].text).size());
      EXPECT_NEAR(report->log_likelihoods[i], *values[i].AsNumber(), kFloatNoise * tokens)
          << "page " << i << ", windows of " << window;
    }
    const double word = Number(want, "word_perplexity"), byte = Number(want, "byte_perplexity");
    EXPECT_NEAR(report->word_perplexity, word, 1e-4 * word);
    EXPECT_NEAR(report->byte_perplexity, byte, 1e-4 * byte);
    EXPECT_NEAR(report->bits_per_byte, Number(want, "bits_per_byte"), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Shipped, PerplexityOfModels,
                         testing::Values("books-mamba2-5m", "books-mamba-5m"), [](const auto& i) {
                           return std::string(i.param) == "books-mamba-5m" ? "Mamba" : "Mamba2";
                         });

}  // namespace
}  // namespace octet
