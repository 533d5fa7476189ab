// Contracts of Tokenizer::FromJson in text/tokenizer.h:
//  - every kind of tokenizer that Octet does not run is refused as kUnsupported, every malformed
//  file
//    as kCorrupt, each with one sentence that says what is wrong;
//  - harmless variants that Hugging Face writes are accepted;
//  - no truncated or corrupted file crashes.
#include "text/tokenizer_json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>

#include "text/tokenizer.h"
#include "text/tokenizer_testing.h"

namespace octet {
namespace {

using Edit = std::function<void(Json*)>;

// The member of `json` under `path`, with members created by Set.
Edit Put(std::vector<const char*> path, const Json& value) {
  return [=](Json* json) {
    Json* at = json;
    for (size_t i = 0; i + 1 < path.size(); ++i)
      at = const_cast<Json*>(at->Find(path[i]));
    at->Set(path.back(), value);
  };
}

Edit Drop(std::vector<const char*> path) {
  return [=](Json* json) {
    Json* at = json;
    for (size_t i = 0; i + 1 < path.size(); ++i)
      at = const_cast<Json*>(at->Find(path[i]));
    at->Erase(path.back());
  };
}

Edit PutAdded(Json token) {
  return Put({"added_tokens"}, Json::Array{std::move(token)});
}

Json With(Json json, const char* key, Json value) {
  json.Set(key, std::move(value));
  return json;
}

Json SequenceOf(const char* list_key, const char* type) {
  return With(TypedJson("Sequence"), list_key, Json::Array{TypedJson(type)});
}

// `edit` on a tokenizer whose vocabulary it may change: added tokens are numbered after it.
Edit WithoutAdded(Edit edit) {
  return [edit = std::move(edit)](Json* json) {
    json->Erase("added_tokens");
    edit(json);
  };
}

std::string ErrorOf(const Edit& edit, Code expected) {
  Json json = TinyTokenizerJson();
  edit(&json);
  const Result<Tokenizer> t = Tokenizer::FromJson(json);
  if (t.ok()) return "accepted";
  EXPECT_EQ(t.status().code(), expected) << t.status().message();
  return t.status().message();
}

TEST(TokenizerJson, RefusesOtherKinds) {
  const Json template_json =
      With(TypedJson("TemplateProcessing"), "single",
           Json::Array{With(Json::MakeObject(), "SpecialToken", Json::MakeObject())});
  const struct {
    Edit edit;
    std::string error;
  } cases[] = {
      {Put({"model", "type"}, "WordPiece"),
       "a model of type \"WordPiece\" is not supported (only BPE is)"},
      {Put({"model", "type"}, 3), "a model of type \"an integer\" is not supported (only BPE is)"},
      {Put({"model", "dropout"}, 0.1), "a model with \"dropout\" is not supported"},
      {Put({"model", "end_of_word_suffix"}, "</w>"),
       "a model with \"end_of_word_suffix\" is not supported"},
      {Put({"model", "continuing_subword_prefix"}, "##"),
       "a model with \"continuing_subword_prefix\" is not supported"},
      {Put({"normalizer"}, TypedJson("Lowercase")),
       "a normalizer of type \"Lowercase\" is not supported (only NFC is)"},
      {Put({"normalizer"}, SequenceOf("normalizers", "NFKC")),
       "a normalizer of type \"NFKC\" is not supported (only NFC is)"},
      {Put({"pre_tokenizer"}, TypedJson("Whitespace")),
       "a pre-tokenizer of type \"Whitespace\" is not supported (only ByteLevel is)"},
      {Put({"pre_tokenizer"}, SequenceOf("pretokenizers", "Split")),
       "a pre-tokenizer of type \"Split\" is not supported (only ByteLevel is)"},
      {Put({"pre_tokenizer"}, Json()), "the pre-tokenizer is not one ByteLevel but 0 of them"},
      {Put({"post_processor"}, TypedJson("BertProcessing")),
       "a post-processor of type \"BertProcessing\" is not supported (only ByteLevel is)"},
      {Put({"post_processor"}, template_json),
       "a post-processor that adds tokens is not supported"},
      {Put({"decoder"}, TypedJson("Metaspace")),
       "a decoder of type \"Metaspace\" is not supported (only ByteLevel is)"},
      {PutAdded(With(AddedTokenJson(260, "<m>", true, false), "lstrip", true)),
       "the added token \"<m>\" with \"lstrip\" is not supported"},
      {PutAdded(With(AddedTokenJson(260, "<m>", true, false), "rstrip", true)),
       "the added token \"<m>\" with \"rstrip\" is not supported"},
      {PutAdded(With(AddedTokenJson(260, "<m>", true, false), "single_word", true)),
       "the added token \"<m>\" with \"single_word\" is not supported"},
      {PutAdded(AddedTokenJson(300, "<m>", true, false)),
       "the added token \"<m>\" has id 300, but Hugging Face's tokenizers give it 260"},
      {PutAdded(AddedTokenJson(260, "the", false, false)),
       "the added token \"the\" has id 260, but Hugging Face's tokenizers give it 257"},
      {PutAdded(AddedTokenJson(0xE9, "\xC3\xA9", false, false)),
       "the added token \"\xC3\xA9\" means other bytes as a token of the model"},
      {WithoutAdded(Drop({"model", "vocab", "a"})),
       "the vocabulary has no token for the byte 0x61"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(ErrorOf(c.edit, Code::kUnsupported), c.error);
}

TEST(TokenizerJson, RefusesMalformedParts) {
  const struct {
    Edit edit;
    std::string error;
  } cases[] = {
      {[](Json* json) { *json = Json(3); }, "the tokenizer is an integer instead of an object"},
      {Drop({"model"}), "the tokenizer has no \"model\""},
      {Put({"model"}, "BPE"), "\"model\" of the tokenizer is a string instead of an object"},
      {Drop({"model", "vocab"}), "the model has no \"vocab\""},
      {Drop({"model", "merges"}), "the model has no \"merges\""},
      {Put({"model", "ignore_merges"}, 1),
       "\"ignore_merges\" of the model is an integer instead of a boolean"},
      {Put({"model", "vocab", "zz"}, -1),
       "the id -1 of token \"zz\" is not between 0 and 16777216"},
      {Put({"model", "vocab", "zz"}, 16777217),
       "the id 16777217 of token \"zz\" is not between 0 and 16777216"},
      {Put({"model", "vocab", "zz"}, "7"),
       "the id of token \"zz\" is a string instead of an integer"},
      {WithoutAdded(Put({"model", "vocab", "zz"}, 256)),
       "the tokens \"th\" and \"zz\" have the same id 256"},
      {WithoutAdded(Put({"model", "vocab", "z z"}, 260)),
       "the token \"z z\" is not written in byte-level symbols"},
      {Put({"model", "merges"}, Json::Array{"t x"}),
       "the merge of \"t\" and \"x\" uses or makes a token that is not in the vocabulary"},
      {Put({"model", "merges"}, Json::Array{"zz a"}),
       "the merge of \"zz\" and \"a\" uses or makes a token that is not in the vocabulary"},
      {Put({"model", "merges"}, Json::Array{" t"}),
       "the merge of \"\" and \"t\" uses or makes a token that is not in the vocabulary"},
      {Put({"model", "merges"}, Json::Array{"t h e"}),
       "merge \"\\\"t h e\\\"\" is not a pair of tokens"},
      {Put({"model", "merges"}, Json::Array{"th"}), "merge \"\\\"th\\\"\" is not a pair of tokens"},
      {Put({"model", "merges"}, Json::Array{Json::Array{"t"}}),
       "merge \"[\\\"t\\\"]\" is not a pair of tokens"},
      {Put({"model", "merges"}, Json::Array{Json::Array{"t", 1}}),
       "merge \"[\\\"t\\\", 1]\" is not a pair of tokens"},
      {Put({"model", "merges"}, Json::Array{1}), "merge \"1\" is not a pair of tokens"},
      {Put({"normalizer"}, "NFC"), "the normalizer has no \"type\""},
      {Put({"normalizer"}, TypedJson("Sequence")), "the normalizer has no \"normalizers\""},
      {Drop({"pre_tokenizer", "add_prefix_space"}),
       "the pre-tokenizer has no \"add_prefix_space\""},
      {Put({"added_tokens"}, 1),
       "\"added_tokens\" of the tokenizer is an integer instead of an array"},
      {PutAdded(Json("<m>")), "an added token is a string instead of an object"},
      {PutAdded(Json::MakeObject()), "an added token has no \"content\""},
      {PutAdded(AddedTokenJson(-5, "<m>", true, false)),
       "the id -5 of token \"<m>\" is not between 0 and 16777216"},
      {PutAdded(AddedTokenJson(260, "", true, false)),
       "the added token with id 260 is empty or not UTF-8"},
      {Put({"added_tokens"}, Json::Array{AddedTokenJson(257, "the", false, false),
                                         AddedTokenJson(257, "the", false, false)}),
       "the added token \"the\" is there twice"},
      {Put({"added_tokens"}, Json::Array{AddedTokenJson(260, "<m>", false, false),
                                         AddedTokenJson(261, "<m>", false, false)}),
       "the ids 260 and 261 both stand for \"<m>\""},
  };
  for (const auto& c : cases)
    EXPECT_EQ(ErrorOf(c.edit, Code::kCorrupt), c.error);
}

TEST(TokenizerJson, RefusesAHugeAddedTokenWithAShortMessage) {
  const std::string content(5000, 'x');
  EXPECT_EQ(ErrorOf(PutAdded(AddedTokenJson(260, content.c_str(), true, false)), Code::kTooLarge),
            fmt::format("the added token \"{}...\" has 5000 bytes, more than 4096",
                        std::string(60, 'x')));
}

TEST(TokenizerJson, AcceptsHarmlessVariants) {
  const Json sequence_item = With(Json::MakeObject(), "Sequence", Json::MakeObject());
  const Edit edits[] = {
      [](Json*) {},
      Drop({"model", "type"}),
      Put({"model", "dropout"}, Json()),
      Put({"model", "dropout"}, 0.0),
      Put({"model", "unk_token"}, "<|end|>"),
      Put({"model", "end_of_word_suffix"}, ""),
      Put({"truncation"}, Json::MakeObject()),
      Put({"normalizer"}, SequenceOf("normalizers", "NFC")),
      Put({"post_processor"}, TypedJson("ByteLevel")),
      Put({"post_processor"}, SequenceOf("processors", "ByteLevel")),
      Put({"post_processor"},
          With(TypedJson("TemplateProcessing"), "single", Json::Array{sequence_item})),
      Drop({"decoder"}),
      // A token of the model that is no byte-level text, but an added token as well.
      [](Json* json) {
        Put({"model", "vocab", "<end of text>"}, 260)(json);
        PutAdded(AddedTokenJson(260, "<end of text>", true, false))(json);
      },
      // UTF-8 has no byte 0xFF, and no 0xC0: GPT-NeoX's vocabulary leaves them out.
      WithoutAdded(Drop({"model", "vocab", "\xC3\xBF"})),
  };
  int index = 0;
  for (const Edit& edit : edits) {
    EXPECT_EQ(ErrorOf(edit, Code::kOk), "accepted") << "edit " << index;
    ++index;
  }
}

RC_GTEST_PROP(TokenizerJson, SurvivesAnyValueAnywhere, ()) {
  // Replaces one random member, at random depth, by a random value.
  Json json = TinyTokenizerJson();
  const std::vector<Json> values = {Json(),
                                    Json(true),
                                    Json(-1),
                                    Json(1 << 25),
                                    Json(2.5),
                                    Json("x"),
                                    Json(""),
                                    Json::MakeArray(),
                                    Json(Json::Array{"a", "b"}),
                                    Json::MakeObject(),
                                    TypedJson("Sequence"),
                                    TypedJson("NFC")};
  Json* at = &json;
  while (true) {
    std::vector<Json*> children;
    if (at->is_object()) {
      for (auto& member : at->AsObject())
        children.push_back(&member.second);
    } else if (at->is_array()) {
      for (Json& item : at->AsArray())
        children.push_back(&item);
    }
    if (children.empty() || *rc::gen::inRange(0, 4) == 0) break;
    at = children[*rc::gen::inRange<size_t>(0, children.size())];
  }
  *at = *rc::gen::elementOf(values);
  const Result<Tokenizer> t = Tokenizer::FromJson(json);
  if (t.ok()) {
    RC_ASSERT(t->Decode(t->Encode("the <|end|>  x"), false).size() >= 7u);
  } else {
    RC_ASSERT(!t.status().message().empty());
    RC_ASSERT(t.status().message().find('\n') == std::string::npos);
    RC_ASSERT(t.status().code() == Code::kCorrupt || t.status().code() == Code::kUnsupported);
  }
}

}  // namespace
}  // namespace octet
