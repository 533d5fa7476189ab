#include "text/tokenizer.h"

#include <utility>

#include "base/utf8.h"
#include "text/nfc.h"
#include "text/splitter.h"
#include "text/tokenizer_json.h"

namespace octet {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

// Encodes one text: holds the working memory that all its words share.
class Encoder {
 public:
  explicit Encoder(const TokenizerParts& parts) : parts_(parts) {}

  std::vector<TokenId> Encode(std::string_view text) && {
    Split(text, parts_.raw_tokens, [this](std::string_view raw) {
      const std::string normalized = parts_.nfc ? Nfc(raw) : std::string();
      Split(parts_.nfc ? normalized : raw, parts_.normalized_tokens,
            [this](std::string_view segment) { EncodeSegment(segment); });
    });
    return std::move(ids_);
  }

 private:
  // Appends the ids of the added tokens in `text` and calls `encode` with each part between them.
  template <class F>
  void Split(std::string_view text, const AddedTokenFinder& finder, const F& encode) {
    size_t pos = 0;
    while (const auto match = finder.Next(text, pos)) {
      if (match->begin > pos) encode(text.substr(pos, match->begin - pos));
      ids_.push_back(parts_.vocabulary[match->piece].id);
      pos = match->end;
    }
    if (pos < text.size()) encode(text.substr(pos));
  }

  void EncodeSegment(std::string_view segment) {
    std::string prefixed;
    if (parts_.add_prefix_space && segment[0] != ' ') {
      prefixed = " ";
      prefixed += segment;
      segment = prefixed;
    }
    for (size_t pos = 0; pos < segment.size();) {
      const size_t end = parts_.use_regex ? WordEnd(segment, pos) : segment.size();
      EncodeWord(segment.substr(pos, end - pos));
      pos = end;
    }
  }

  void EncodeWord(std::string_view word) {
    if (parts_.ignore_merges) {
      if (const std::optional<int32_t> piece = parts_.vocabulary.FindOrdinary(word)) {
        ids_.push_back(parts_.vocabulary[*piece].id);
        return;
      }
    }
    word_.clear();
    for (const char c : word)
      word_.push_back(parts_.byte_pieces[static_cast<unsigned char>(c)]);
    parts_.merges.Apply(&word_, &scratch_);
    for (const int32_t piece : word_)
      ids_.push_back(parts_.vocabulary[piece].id);
  }

  const TokenizerParts& parts_;
  std::vector<TokenId> ids_;
  std::vector<int32_t> word_;
  BpeMerges::Scratch scratch_;
};

}  // namespace

struct Tokenizer::Impl {
  TokenizerParts parts;
};

Result<Tokenizer> Tokenizer::FromJson(const Json& json) {
  OCTET_ASSIGN(TokenizerParts parts, ParseTokenizerJson(json));
  Tokenizer tokenizer;
  tokenizer.impl_ = std::make_shared<const Impl>(Impl{std::move(parts)});
  return tokenizer;
}

Result<Tokenizer> Tokenizer::Load(const std::string& path) {
  OCTET_ASSIGN(const Json json, Json::ParseFile(path, kMaxFileBytes));
  Result<Tokenizer> tokenizer = FromJson(json);
  if (!tokenizer.ok()) return tokenizer.status().Annotate(path);
  return tokenizer;
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text) const {
  Encoder encoder(impl_->parts);
  if (IsUtf8(text)) return std::move(encoder).Encode(text);
  return std::move(encoder).Encode(ReplaceIllFormed(text));
}

std::string_view Tokenizer::Bytes(TokenId id) const {
  const Vocabulary& vocabulary = impl_->parts.vocabulary;
  const std::optional<int32_t> piece = vocabulary.FindId(id);
  return piece ? std::string_view(vocabulary[*piece].bytes) : std::string_view();
}

std::string Tokenizer::Decode(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (!skip_special || !IsSpecial(id)) bytes += Bytes(id);
  }
  return ReplaceIllFormed(bytes);
}

int64_t Tokenizer::size() const {
  const std::vector<Piece>& pieces = impl_->parts.vocabulary.pieces();
  return pieces.empty() ? 0 : int64_t{pieces.back().id} + 1;
}

bool Tokenizer::IsSpecial(TokenId id) const {
  const Vocabulary& vocabulary = impl_->parts.vocabulary;
  const std::optional<int32_t> piece = vocabulary.FindId(id);
  return piece && vocabulary[*piece].special;
}

std::optional<TokenId> Tokenizer::Find(std::string_view token) const {
  const Vocabulary& vocabulary = impl_->parts.vocabulary;
  std::optional<int32_t> piece = vocabulary.FindAdded(token);
  if (!piece) piece = vocabulary.FindOrdinary(token);
  if (!piece) return std::nullopt;
  return vocabulary[*piece].id;
}

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string StreamDecoder::Push(TokenId id) {
  if (skip_special_ && tokenizer_.IsSpecial(id)) return "";
  pending_ += tokenizer_.Bytes(id);
  const size_t complete = CompletePrefix(pending_);
  std::string text = ReplaceIllFormed(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::Flush() {
  std::string text = ReplaceIllFormed(pending_);
  pending_.clear();
  return text;
}

}  // namespace octet
