#include "text/tokenizer_json.h"
#include "base/utf8.h"
#include "text/nfc.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace octet {
namespace {

// The finder's time per byte grows with the longest token.
constexpr size_t kMaxAddedBytes = 4096;

bool IsNull(const Json* json) {
  return json == nullptr || json->is_null();
}

// The member `key` of the right type; absent is an error.
Result<const Json*> Need(const Json& parent, const char* key, Json::Type type, const char* where) {
  const Json* member = parent.Find(key);
  if (member == nullptr) return Corrupt(fmt::format("{} has no \"{}\"", where, key));
  if (member->type() != type) {
    return Corrupt(fmt::format("\"{}\" of {} is {} instead of {}", key, where,
                               TypeName(member->type()), TypeName(type)));
  }
  return member;
}

Result<bool> OptionalBool(const Json& parent, const char* key, bool fallback, const char* where) {
  if (IsNull(parent.Find(key))) return fallback;
  OCTET_ASSIGN(const Json* member, Need(parent, key, Json::Type::kBool, where));
  return member->AsBool();
}

struct Component {
  std::string_view type;
  const Json* json;
};

// The components of `json`, a normalizer or the like, with every Sequence replaced by its items.
Status Flatten(const Json* json, const char* what, const char* list_key,
               std::vector<Component>* out) {
  if (IsNull(json)) return {};
  OCTET_ASSIGN(const Json* type, Need(*json, "type", Json::Type::kString, what));
  if (type->AsString() != "Sequence") {
    out->push_back({type->AsString(), json});
    return {};
  }
  OCTET_ASSIGN(const Json* items, Need(*json, list_key, Json::Type::kArray, what));
  for (const Json& item : items->AsArray())
    OCTET_TRY(Flatten(&item, what, list_key, out));
  return {};
}

Status UnsupportedComponent(const char* what, std::string_view type, const char* known) {
  return Unsupported(
      fmt::format("{} of type {} is not supported ({})", what, QuoteForMessage(type), known));
}

Status ParseNormalizer(const Json& json, TokenizerParts* parts) {
  std::vector<Component> components;
  OCTET_TRY(Flatten(json.Find("normalizer"), "the normalizer", "normalizers", &components));
  for (const Component& c : components) {
    if (c.type != "NFC") return UnsupportedComponent("a normalizer", c.type, "only NFC is");
    parts->nfc = true;
  }
  return {};
}

Status ParsePreTokenizer(const Json& json, TokenizerParts* parts) {
  const char* what = "the pre-tokenizer";
  std::vector<Component> components;
  OCTET_TRY(Flatten(json.Find("pre_tokenizer"), what, "pretokenizers", &components));
  for (const Component& c : components) {
    if (c.type != "ByteLevel") {
      return UnsupportedComponent("a pre-tokenizer", c.type, "only ByteLevel is");
    }
  }
  if (components.size() != 1) {
    return Unsupported(
        fmt::format("the pre-tokenizer is not one ByteLevel but {} of them", components.size()));
  }
  const Json& byte_level = *components[0].json;
  OCTET_ASSIGN(const Json* prefix, Need(byte_level, "add_prefix_space", Json::Type::kBool, what));
  parts->add_prefix_space = prefix->AsBool();
  OCTET_ASSIGN(parts->use_regex, OptionalBool(byte_level, "use_regex", true, what));
  return {};
}

Status CheckPostProcessor(const Json& json) {
  const char* what = "the post-processor";
  std::vector<Component> components;
  OCTET_TRY(Flatten(json.Find("post_processor"), what, "processors", &components));
  for (const Component& c : components) {
    if (c.type == "ByteLevel") continue;
    if (c.type != "TemplateProcessing") {
      return UnsupportedComponent("a post-processor", c.type, "only ByteLevel is");
    }
    OCTET_ASSIGN(const Json* single, Need(*c.json, "single", Json::Type::kArray, what));
    for (const Json& item : single->AsArray()) {
      if (item.Find("Sequence") == nullptr) {
        return Unsupported("a post-processor that adds tokens is not supported");
      }
    }
  }
  return {};
}

Status CheckDecoder(const Json& json) {
  std::vector<Component> components;
  OCTET_TRY(Flatten(json.Find("decoder"), "the decoder", "decoders", &components));
  for (const Component& c : components) {
    if (c.type != "ByteLevel") {
      return UnsupportedComponent("a decoder", c.type, "only ByteLevel is");
    }
  }
  return {};
}

Status CheckModelOptions(const Json& model) {
  const Json* type = model.Find("type");
  if (!IsNull(type) && (!type->is_string() || type->AsString() != "BPE")) {
    const std::string name = type->is_string() ? type->AsString() : TypeName(type->type());
    return UnsupportedComponent("a model", name, "only BPE is");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = model.Find(key);
    if (IsNull(value) || (value->is_string() && value->AsString().empty())) continue;
    return Unsupported(fmt::format("a model with \"{}\" is not supported", key));
  }
  const Json* dropout = model.Find("dropout");
  if (!IsNull(dropout) && *dropout != Json(0) && *dropout != Json(0.0)) {
    return Unsupported("a model with \"dropout\" is not supported");
  }
  return {};
}

Result<TokenId> CheckedId(const Json& id, std::string_view token) {
  if (!id.is_int()) {
    return Corrupt(fmt::format("the id of token {} is {} instead of an integer",
                               QuoteForMessage(token), TypeName(id.type())));
  }
  if (id.AsInt() < 0 || id.AsInt() > Vocabulary::kMaxId) {
    return Corrupt(fmt::format("the id {} of token {} is not between 0 and {}", id.AsInt(),
                               QuoteForMessage(token), Vocabulary::kMaxId));
  }
  return static_cast<TokenId>(id.AsInt());
}

// An entry of "added_tokens".
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;
};

Result<AddedToken> ParseAddedToken(const Json& json) {
  const char* where = "an added token";
  if (!json.is_object()) {
    return Corrupt(fmt::format("an added token is {} instead of an object", TypeName(json.type())));
  }
  AddedToken token;
  OCTET_ASSIGN(const Json* content, Need(json, "content", Json::Type::kString, where));
  token.content = content->AsString();
  OCTET_ASSIGN(const Json* id, Need(json, "id", Json::Type::kInt, where));
  OCTET_ASSIGN(token.id, CheckedId(*id, token.content));
  if (token.content.empty() || !IsUtf8(token.content)) {
    return Corrupt(fmt::format("the added token with id {} is empty or not UTF-8", token.id));
  }
  if (token.content.size() > kMaxAddedBytes) {
    return TooLarge(fmt::format("the added token {} has {} bytes, more than {}",
                                QuoteForMessage(token.content), token.content.size(),
                                kMaxAddedBytes));
  }
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    OCTET_ASSIGN(const bool set, OptionalBool(json, flag, false, where));
    if (set) {
      return Unsupported(fmt::format("the added token {} with \"{}\" is not supported",
                                     QuoteForMessage(token.content), flag));
    }
  }
  OCTET_ASSIGN(token.special, OptionalBool(json, "special", false, where));
  OCTET_ASSIGN(token.normalized, OptionalBool(json, "normalized", !token.special, where));
  return token;
}

Result<std::vector<AddedToken>> ParseAddedTokens(const Json& json) {
  std::vector<AddedToken> tokens;
  if (IsNull(json.Find("added_tokens"))) return tokens;
  OCTET_ASSIGN(const Json* list, Need(json, "added_tokens", Json::Type::kArray, "the tokenizer"));
  for (const Json& item : list->AsArray()) {
    OCTET_ASSIGN(AddedToken token, ParseAddedToken(item));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Hugging Face numbers an added token that the model does not know itself, whatever the file says.
class AddedIdRule {
 public:
  explicit AddedIdRule(size_t model_size) : model_size_(static_cast<int64_t>(model_size)) {}

  Status Check(const AddedToken& token, const Piece* known) {
    const int64_t expected =
        known != nullptr ? known->id : (largest_ >= model_size_ ? largest_ + 1 : model_size_);
    if (token.id != expected) {
      return Unsupported(
          fmt::format("the added token {} has id {}, but Hugging Face's tokenizers give it {}",
                      QuoteForMessage(token.content), token.id, expected));
    }
    largest_ = std::max(largest_, expected);
    return {};
  }

 private:
  int64_t model_size_;
  int64_t largest_ = -1;
};

// A token that is not written in byte-level symbols gets its text as bytes and is not ordinary.
Result<std::vector<Piece>> ParseVocab(const Json::Object& vocab) {
  std::vector<Piece> pieces;
  pieces.reserve(vocab.size());
  for (const auto& [symbols, id] : vocab) {
    Piece piece;
    OCTET_ASSIGN(piece.id, CheckedId(id, symbols));
    std::optional<std::string> bytes = BytesOfSymbols(symbols);
    piece.ordinary = bytes && !bytes->empty();
    piece.bytes = piece.ordinary ? *std::move(bytes) : symbols;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// Marks `piece` of the model as the added token that has the same text.
Status MarkAdded(const AddedToken& token, Piece* piece) {
  if (piece->bytes != token.content) {
    return Unsupported(fmt::format("the added token {} means other bytes as a token of the model",
                                   QuoteForMessage(token.content)));
  }
  if (piece->added) {
    return Corrupt(
        fmt::format("the added token {} is there twice", QuoteForMessage(token.content)));
  }
  piece->added = true;
  piece->special = token.special;
  return {};
}

// Marks or appends the pieces of `added` to those of the model, `pieces`, made from `vocab`.
Status AddPieces(const std::vector<AddedToken>& added, const Json::Object& vocab,
                 std::vector<Piece>* pieces) {
  std::vector<size_t> by_text(vocab.size());
  std::iota(by_text.begin(), by_text.end(), size_t{0});
  std::sort(by_text.begin(), by_text.end(),
            [&vocab](size_t a, size_t b) { return vocab[a].first < vocab[b].first; });
  AddedIdRule rule(vocab.size());
  for (const AddedToken& token : added) {
    const auto it =
        std::lower_bound(by_text.begin(), by_text.end(), token.content,
                         [&](size_t i, const std::string& text) { return vocab[i].first < text; });
    const bool known = it != by_text.end() && vocab[*it].first == token.content;
    OCTET_TRY(rule.Check(token, known ? &(*pieces)[*it] : nullptr));
    if (known) {
      OCTET_TRY(MarkAdded(token, &(*pieces)[*it]));
    } else {
      pieces->push_back({token.id, token.content, false, true, token.special});
    }
  }
  for (const Piece& piece : *pieces) {
    if (piece.ordinary || piece.added) continue;
    return Corrupt(fmt::format("the token {} is not written in byte-level symbols",
                               QuoteForMessage(piece.bytes)));
  }
  return {};
}

Status ParseFinders(std::vector<AddedToken> added, TokenizerParts* parts) {
  // Of two that normalize to the same text a special one is found, or else the first.
  std::stable_partition(added.begin(), added.end(), [](const AddedToken& t) { return t.special; });
  std::vector<std::pair<std::string, int32_t>> raw, normalized;
  for (AddedToken& token : added) {
    const std::optional<int32_t> number = parts->vocabulary.FindAdded(token.content);
    if (!number) return Internal("an added token was lost");
    if (!token.normalized) {
      raw.emplace_back(std::move(token.content), *number);
    } else {
      normalized.emplace_back(parts->nfc ? Nfc(token.content) : std::move(token.content), *number);
    }
  }
  parts->raw_tokens = AddedTokenFinder(std::move(raw));
  parts->normalized_tokens = AddedTokenFinder(std::move(normalized));
  return {};
}

Status ParseBytes(TokenizerParts* parts) {
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const std::optional<int32_t> piece = parts->vocabulary.FindOrdinary({&byte, 1});
    const bool in_utf8 = b < 0xC0 || (b > 0xC1 && b < 0xF5);
    if (!piece && in_utf8) {
      return Unsupported(fmt::format("the vocabulary has no token for the byte 0x{:02X}", b));
    }
    parts->byte_pieces[static_cast<size_t>(b)] = piece.value_or(-1);
  }
  return {};
}

// The two sides of a merge, "a b" or ["a", "b"].
std::optional<std::pair<std::string_view, std::string_view>> MergeSides(const Json& merge) {
  if (merge.is_string()) {
    const std::string_view text = merge.AsString();
    const size_t space = text.find(' ');
    if (space == text.npos || text.find(' ', space + 1) != text.npos) return std::nullopt;
    return std::pair(text.substr(0, space), text.substr(space + 1));
  }
  if (!merge.is_array()) return std::nullopt;
  const Json::Array& sides = merge.AsArray();
  if (sides.size() != 2 || !sides[0].is_string() || !sides[1].is_string()) return std::nullopt;
  return std::pair<std::string_view, std::string_view>(sides[0].AsString(), sides[1].AsString());
}

Status ParseMerges(const Json& model, TokenizerParts* parts) {
  OCTET_ASSIGN(const Json* list, Need(model, "merges", Json::Type::kArray, "the model"));
  const auto find = [parts](const std::optional<std::string>& bytes) {
    return bytes ? parts->vocabulary.FindOrdinary(*bytes) : std::nullopt;
  };
  std::vector<BpeMerges::Merge> merges;
  merges.reserve(list->AsArray().size());
  for (const Json& item : list->AsArray()) {
    // The head line of a merges.txt, which converters have copied along.
    if (item.is_string() && item.AsString().starts_with("#version")) continue;
    const auto sides = MergeSides(item);
    if (!sides) {
      return Corrupt(
          fmt::format("merge {} is not a pair of tokens", QuoteForMessage(item.Dump(-1))));
    }
    const std::optional<std::string> left = BytesOfSymbols(sides->first);
    const std::optional<std::string> right = BytesOfSymbols(sides->second);
    const std::optional<int32_t> left_piece = find(left), right_piece = find(right);
    const std::optional<int32_t> result =
        left_piece && right_piece ? find(*left + *right) : std::nullopt;
    if (!result) {
      return Corrupt(
          fmt::format("the merge of {} and {} uses or makes a token that is not in the "
                      "vocabulary",
                      QuoteForMessage(sides->first), QuoteForMessage(sides->second)));
    }
    merges.push_back({*left_piece, *right_piece, *result});
  }
  parts->merges = BpeMerges(merges, parts->vocabulary.count());
  return {};
}

}  // namespace

Result<TokenizerParts> ParseTokenizerJson(const Json& json) {
  if (!json.is_object()) {
    return Corrupt(fmt::format("the tokenizer is {} instead of an object", TypeName(json.type())));
  }
  OCTET_ASSIGN(const Json* model, Need(json, "model", Json::Type::kObject, "the tokenizer"));
  TokenizerParts parts;
  OCTET_TRY(CheckModelOptions(*model));
  OCTET_TRY(ParseNormalizer(json, &parts));
  OCTET_TRY(ParsePreTokenizer(json, &parts));
  OCTET_TRY(CheckPostProcessor(json));
  OCTET_TRY(CheckDecoder(json));
  OCTET_ASSIGN(parts.ignore_merges, OptionalBool(*model, "ignore_merges", false, "the model"));
  OCTET_ASSIGN(const Json* vocab, Need(*model, "vocab", Json::Type::kObject, "the model"));
  OCTET_ASSIGN(std::vector<Piece> pieces, ParseVocab(vocab->AsObject()));
  OCTET_ASSIGN(std::vector<AddedToken> added, ParseAddedTokens(json));
  OCTET_TRY(AddPieces(added, vocab->AsObject(), &pieces));
  OCTET_ASSIGN(parts.vocabulary, Vocabulary::Create(std::move(pieces)));
  OCTET_TRY(ParseBytes(&parts));
  OCTET_TRY(ParseMerges(*model, &parts));
  OCTET_TRY(ParseFinders(std::move(added), &parts));
  return parts;
}

}  // namespace octet
