// The meaning of a tokenizer.json file, checked.
#ifndef OCTET_TEXT_TOKENIZER_JSON_H_
#define OCTET_TEXT_TOKENIZER_JSON_H_

#include <array>
#include <cstdint>

#include "base/json.h"
#include "base/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/vocabulary.h"

namespace octet {

// Everything that encoding and decoding needs. Pieces are named by their numbers in `vocabulary`.
struct TokenizerParts {
  Vocabulary vocabulary;
  BpeMerges merges;
  std::array<int32_t, 256> byte_pieces{};  // -1 for a byte that well-formed UTF-8 never contains
  AddedTokenFinder raw_tokens;             // searched for in the text as given
  AddedTokenFinder normalized_tokens;      // searched for in what is left, once normalized
  bool nfc = false;
  bool add_prefix_space = false;
  bool use_regex = true;
  bool ignore_merges = false;  // a word that is a piece as a whole is not built by merges
};

// What is refused and with which code: Tokenizer::FromJson in text/tokenizer.h.
Result<TokenizerParts> ParseTokenizerJson(const Json& json);

}  // namespace octet
#endif  // OCTET_TEXT_TOKENIZER_JSON_H_
