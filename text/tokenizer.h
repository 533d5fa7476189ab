// Byte-level BPE tokenizers from Hugging Face's tokenizer.json.
#ifndef OCTET_TEXT_TOKENIZER_H_
#define OCTET_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace octet {

using TokenId = int32_t;

// The GPT-2 and GPT-NeoX families: ByteLevel pre-tokenizer, BPE model, added tokens, normalizer
// null or NFC. Truncation and padding settings of the file are ignored. Immutable and thread-safe;
// cheap to copy (shared).
class Tokenizer {
 public:
  // kUnsupported, naming the part, for a tokenizer of another kind: WordPiece, Unigram, another
  // pre-tokenizer, normalizer or decoder, a post-processor that adds tokens, an added token with
  // single_word, lstrip or rstrip or with another id than Hugging Face gives it, or no token for a
  // byte that UTF-8 uses. kCorrupt for a malformed one: ids that are negative, duplicate or above
  // 2^24, a merge of unknown pieces, an unmappable symbol. kTooLarge for an added token of more
  // than 4096 bytes.
  static Result<Tokenizer> FromJson(const Json& json);
  // Reads tokenizer.json (at most 256 MB); errors start with the path.
  static Result<Tokenizer> Load(const std::string& path);

  // Ids of `text`, as tokenizers.Tokenizer.encode(text, add_special_tokens=False) gives them: added
  // tokens are split off first. Invalid UTF-8 is read as U+FFFD per maximal ill-formed subsequence,
  // as Python's errors="replace" does it.
  std::vector<TokenId> Encode(std::string_view text) const;

  // The bytes that `id` stands for; they may be part of a character. Empty for an id that does not
  // exist (padded vocabulary rows).
  std::string_view Bytes(TokenId id) const;
  // Concatenated Bytes, with ill-formed UTF-8 replaced by U+FFFD; special tokens are skipped when
  // `skip_special`.
  std::string Decode(const std::vector<TokenId>& ids, bool skip_special) const;

  // One more than the largest id.
  int64_t size() const;
  bool IsSpecial(TokenId id) const;
  // The id whose Bytes are exactly `token` ("<|endoftext|>", " the"): an added token before an
  // ordinary one.
  std::optional<TokenId> Find(std::string_view token) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Turns a stream of tokens into text, never emitting part of a character: bytes are held back until
// they complete one. The concatenation of all output equals Tokenizer::Decode of all ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true);
  std::string Push(TokenId id);  // the text that became complete
  std::string Flush();           // what is left, replaced by U+FFFD where ill-formed

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace octet
#endif  // OCTET_TEXT_TOKENIZER_H_
