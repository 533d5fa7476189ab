// Contracts of text/tokenizer.h:
//  - Encode gives the ids of Hugging Face's tokenizers: committed vectors for the shipped tokenizer
//    (tools/make_tokenizer_vectors.py), recorded ones for GPT-NeoX where that file is present, and
//    hand-derived ones for each option of tokenizer.json;
//  - Decode(Encode(s)) is s in normalization form C for every well-formed s; ill-formed UTF-8 is
//  read
//    as U+FFFD;
//  - StreamDecoder emits whole characters only, and the same text as Decode, for any ids;
//  - Bytes, size, IsSpecial and Find agree with the vocabulary; Load names the file in its errors.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/utf8.h"
#include "text/nfc.h"
#include "text/tokenizer_testing.h"
#include "text/unicode_testing.h"

namespace octet {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Ids = std::vector<TokenId>;

constexpr const char* kBooks = "models/books-mamba2-5m/tokenizer.json";

Tokenizer Make(const Json& json) {
  Result<Tokenizer> t = Tokenizer::FromJson(json);
  EXPECT_TRUE(t.ok()) << t.status().message();
  return *std::move(t);
}

const Tokenizer& Tiny() {
  static const Tokenizer tokenizer = Make(TinyTokenizerJson());
  return tokenizer;
}

const Tokenizer& Books() {
  static const Tokenizer tokenizer = *Tokenizer::Load(kBooks);
  return tokenizer;
}

// Checks every line {"text": ..., "ids": [...]} of `path`; returns how many there were.
int CheckVectors(const Tokenizer& tokenizer, const std::string& path) {
  std::ifstream file(path);
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    const Result<Json> json = Json::Parse(line);
    if (!json.ok()) {
      ADD_FAILURE() << path << ": " << json.status().message();
      return count;
    }
    Ids expected;
    for (const Json& id : json->Find("ids")->AsArray()) {
      expected.push_back(static_cast<TokenId>(id.AsInt()));
    }
    EXPECT_EQ(tokenizer.Encode(json->Find("text")->AsString()), expected) << line;
    ++count;
  }
  return count;
}

TEST(Tokenizer, EncodesAsHuggingFaceDoesWithTheShippedModel) {
  EXPECT_EQ(CheckVectors(Books(), "tests/golden/tokenizer_books.jsonl"), 400);
}

TEST(Tokenizer, EncodesAsHuggingFaceDoesWithGptNeoX) {
  const char* data = std::getenv("OCTET_DATA");
  const std::string folder =
      std::string(data != nullptr ? data : "../shared/data") + "/tokenizer_neox";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << folder << " is absent; set OCTET_DATA to the folder of measurement data";
  }
  const Result<Tokenizer> neox = Tokenizer::Load(folder + "/20B_tokenizer.json");
  ASSERT_TRUE(neox.ok()) << neox.status().message();
  EXPECT_EQ(CheckVectors(*neox, folder + "/vectors.jsonl"), 58);
  EXPECT_EQ(neox->size(), 50277);
}

TEST(Tokenizer, MergesWithinWordsAndSplitsAddedTokensFirst) {
  EXPECT_THAT(Tiny().Encode(""), ElementsAre());
  EXPECT_THAT(Tiny().Encode("the the"), ElementsAre(257, 259));
  EXPECT_THAT(Tiny().Encode("t h"), ElementsAre('t', ' ', 'h'));
  EXPECT_THAT(Tiny().Encode("th<|end|>e"), ElementsAre(256, 260, 'e'));
  EXPECT_THAT(Tiny().Encode("<|end|><|end|>"), ElementsAre(260, 260));
  EXPECT_THAT(Tiny().Encode("<|end|"), ElementsAre('<', '|', 'e', 'n', 'd', '|'));
  EXPECT_THAT(Tiny().Encode("a    the"), ElementsAre('a', 262, 259));  // "   " and then " the"
  EXPECT_THAT(Tiny().Encode("a     b"), ElementsAre('a', 262, 261, 'b'));
}

TEST(Tokenizer, NormalizesBetweenRawAddedTokens) {
  const std::string composed = Utf8({0x1EC7}), decomposed = Utf8({'e', 0x302, 0x323});
  const std::string other = Utf8({0x1E8D}), other_decomposed = Utf8({'x', 0x308});
  EXPECT_THAT(Tiny().Encode(decomposed), ElementsAre(0xE1, 0xBB, 0x87));
  Json json = TinyTokenizerJson();
  json.Set("added_tokens", Json::Array{AddedTokenJson(260, composed.c_str(), false, false),
                                       AddedTokenJson(261, other_decomposed.c_str(), false, true)});
  // The raw token is found as given only; the normalized one in both spellings.
  EXPECT_THAT(Make(json).Encode(composed + decomposed), ElementsAre(260, 0xE1, 0xBB, 0x87));
  EXPECT_THAT(Make(json).Encode(other_decomposed + other), ElementsAre(261, 261));
  json.Set("normalizer", Json());
  EXPECT_THAT(Make(json).Encode(Utf8({'e', 0x301})), ElementsAre('e', 0xCC, 0x81));
  EXPECT_THAT(Make(json).Encode(other), ElementsAre(0xE1, 0xBA, 0x8D));
}

TEST(Tokenizer, AddsAPrefixSpaceToEachSegment) {
  Json json = TinyTokenizerJson();
  Json byte_level = *json.Find("pre_tokenizer");
  byte_level.Set("add_prefix_space", true);
  Json sequence = TypedJson("Sequence");
  sequence.Set("pretokenizers", Json::Array{byte_level});
  for (const Json& pre_tokenizer : {byte_level, sequence}) {
    json.Set("pre_tokenizer", pre_tokenizer);
    const Tokenizer tokenizer = Make(json);
    EXPECT_THAT(tokenizer.Encode(""), ElementsAre());
    EXPECT_THAT(tokenizer.Encode("the"), ElementsAre(259));
    EXPECT_THAT(tokenizer.Encode(" the"), ElementsAre(259));
    EXPECT_THAT(tokenizer.Encode("\tx"), ElementsAre(' ', '\t', 'x'));
    EXPECT_THAT(tokenizer.Encode("<|end|>the<|end|> the"), ElementsAre(260, 259, 260, 259));
  }
}

TEST(Tokenizer, SplitsOrMergesAsTheFlagsSay) {
  Json json = TinyTokenizerJson();
  Json model = *json.Find("model");
  Json vocab = *model.Find("vocab");
  vocab.Set("xyz", 260);
  model.Set("vocab", vocab);
  model.Set("ignore_merges", true);
  json.Set("model", model);
  json.Set("added_tokens", Json::MakeArray());
  EXPECT_THAT(Make(json).Encode("xyz xyz"), ElementsAre(260, ' ', 'x', 'y', 'z'));
  model.Set("ignore_merges", false);
  json.Set("model", model);
  EXPECT_THAT(Make(json).Encode("xyz"), ElementsAre('x', 'y', 'z'));

  vocab.Erase("xyz");
  vocab.Set("a1", 260);
  model.Set("vocab", vocab);
  model.Set("merges", Json::Array{"#version: 0.2", "a 1"});
  json.Set("model", model);
  EXPECT_THAT(Make(json).Encode("a1"), ElementsAre('a', '1'));
  Json byte_level = *json.Find("pre_tokenizer");
  byte_level.Set("use_regex", false);
  json.Set("pre_tokenizer", byte_level);
  EXPECT_THAT(Make(json).Encode("a1"), ElementsAre(260));
}

TEST(Tokenizer, ReadsIllFormedTextAsReplacementCharacters) {
  EXPECT_EQ(Tiny().Encode("a\xFF\xE2\x82"
                          "b"),
            Tiny().Encode("a\xEF\xBF\xBD\xEF\xBF\xBD"
                          "b"));
  // Without a normalizer, which would repair as well.
  EXPECT_EQ(Books().Encode("a\xFF"), Books().Encode("a\xEF\xBF\xBD"));
  EXPECT_EQ(Tiny().Decode(Tiny().Encode("\xC3"), false), "\xEF\xBF\xBD");
}

RC_GTEST_PROP(Tokenizer, DecodeOfEncodeIsTheNormalizedText, ()) {
  std::string text = *GenText();
  if (*rc::gen::arbitrary<bool>()) text += "<|end|>" + text;
  RC_ASSERT(Tiny().Decode(Tiny().Encode(text), false) == Nfc(text));
  RC_ASSERT(Books().Decode(Books().Encode(text), false) == text);
}

TEST(Tokenizer, AnswersQuestionsAboutIds) {
  EXPECT_EQ(Tiny().size(), 263);
  EXPECT_EQ(Tiny().Bytes(259), " the");
  EXPECT_EQ(Tiny().Bytes(0xFF), "\xFF");
  EXPECT_EQ(Tiny().Bytes(0), std::string_view("\0", 1));
  EXPECT_EQ(Tiny().Bytes(260), "<|end|>");
  EXPECT_EQ(Tiny().Bytes(263), "");
  EXPECT_EQ(Tiny().Bytes(-1), "");
  EXPECT_TRUE(Tiny().IsSpecial(260));
  EXPECT_FALSE(Tiny().IsSpecial(261));
  EXPECT_FALSE(Tiny().IsSpecial(259));
  EXPECT_FALSE(Tiny().IsSpecial(1000));
  EXPECT_EQ(Tiny().Find("<|end|>"), 260);
  EXPECT_EQ(Tiny().Find(" the"), 259);
  EXPECT_EQ(Tiny().Find("   "), 262);
  EXPECT_EQ(Tiny().Find("nothing"), std::nullopt);
  EXPECT_EQ(Tiny().Decode({260, 't', 1000, 260}, true), "t");
  EXPECT_EQ(Tiny().Decode({260, 't', 1000, 260}, false), "<|end|>t<|end|>");
  EXPECT_EQ(Books().Find("<|endoftext|>"), 0);
  EXPECT_EQ(Books().size(), 4096);
}

RC_GTEST_PROP(StreamDecoder, EmitsWholeCharactersAndTheTextOfDecode, ()) {
  const Ids ids = *rc::gen::container<Ids>(rc::gen::weightedOneOf<TokenId>(
      {{4, rc::gen::inRange(0x80, 0xF8)}, {1, rc::gen::inRange(-2, 270)}}));
  const bool skip = *rc::gen::arbitrary<bool>();
  StreamDecoder decoder(Tiny(), skip);
  std::string all;
  for (const TokenId id : ids) {
    const std::string text = decoder.Push(id);
    RC_ASSERT(IsUtf8(text));
    all += text;
  }
  const std::string rest = decoder.Flush();
  RC_ASSERT(IsUtf8(rest));
  RC_ASSERT(all + rest == Tiny().Decode(ids, skip));
  RC_ASSERT(decoder.Flush().empty());
}

TEST(StreamDecoder, HoldsBackOnlyWhatIsIncomplete) {
  StreamDecoder decoder(Tiny());
  EXPECT_EQ(decoder.Push(259), " the");
  EXPECT_EQ(decoder.Push(0xF0), "");
  EXPECT_EQ(decoder.Push(0x9F), "");
  EXPECT_EQ(decoder.Push(260), "");  // special: skipped, and no end of the character
  EXPECT_EQ(decoder.Push(0xA6), "");
  EXPECT_EQ(decoder.Push(0x99), "\xF0\x9F\xA6\x99");
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push('a'),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(decoder.Push(0xE2), "");
  EXPECT_EQ(decoder.Flush(), "\xEF\xBF\xBD");
}

TEST(Tokenizer, IsThreadSafe) {
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += "The whale's " + std::to_string(i) + "th  dive.\n";
  const Ids expected = Books().Encode(text);
  std::vector<Ids> got(4);
  std::vector<std::thread> threads;
  for (Ids& ids : got)
    threads.emplace_back([&ids, &text] { ids = Books().Encode(text); });
  for (std::thread& t : threads)
    t.join();
  for (const Ids& ids : got)
    EXPECT_EQ(ids, expected);
}

TEST(Tokenizer, LoadNamesTheFile) {
  const Result<Tokenizer> absent = Tokenizer::Load("no/such/tokenizer.json");
  ASSERT_FALSE(absent.ok());
  EXPECT_THAT(absent.status().message(), StartsWith("no/such/tokenizer.json"));
  const Result<Tokenizer> other = Tokenizer::Load("models/books-mamba2-5m/config.json");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.status().message(),
            "models/books-mamba2-5m/config.json: the tokenizer has no \"model\"");
}

}  // namespace
}  // namespace octet
