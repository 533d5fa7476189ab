// A small tokenizer.json to change in tests.
#ifndef OCTET_TEXT_TOKENIZER_TESTING_H_
#define OCTET_TEXT_TOKENIZER_TESTING_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/unicode_testing.h"

namespace octet {

// `bytes` in GPT-2's symbols, by the rule of encoder.py: printable Latin-1 stands for itself, the
// remaining bytes in ascending order for U+0100 on.
inline std::string SymbolsOf(std::string_view bytes) {
  std::array<uint32_t, 256> table{};
  uint32_t n = 0;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool self = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    table[b] = self ? b : 256 + n++;
  }
  std::string out;
  for (const char c : bytes)
    AppendUtf8(table[static_cast<unsigned char>(c)], &out);
  return out;
}

inline Json AddedTokenJson(int id, const char* content, bool special, bool normalized) {
  Json token = Json::MakeObject();
  token.Set("id", id);
  token.Set("content", content);
  for (const char* flag : {"single_word", "lstrip", "rstrip"})
    token.Set(flag, false);
  token.Set("normalized", normalized);
  token.Set("special", special);
  return token;
}

inline Json TypedJson(const char* type) {
  Json json = Json::MakeObject();
  json.Set("type", type);
  return json;
}

// Ids 0 to 255 are the bytes, 256 "th", 257 "the", 258 " t", 259 " the", 260 "<|end|>" (special,
// raw), 261 and 262 runs of 2 and 3 spaces (added, normalized). Merges, best first: t+h, th+e,
// " "+t, " "+the.
inline Json TinyTokenizerJson() {
  Json vocab = Json::MakeObject();
  for (int b = 0; b < 256; ++b)
    vocab.Set(SymbolsOf(std::string(1, static_cast<char>(b))), b);
  int id = 256;
  for (const char* piece : {"th", "the", " t", " the"})
    vocab.Set(SymbolsOf(piece), id++);
  Json model = TypedJson("BPE");
  model.Set("vocab", std::move(vocab));
  Json merges = Json::MakeArray();
  merges.Append("t h");
  merges.Append(Json::Array{"th", "e"});
  merges.Append(SymbolsOf(" ") + " t");
  merges.Append(SymbolsOf(" ") + " the");
  model.Set("merges", std::move(merges));

  Json byte_level = TypedJson("ByteLevel");
  byte_level.Set("add_prefix_space", false);
  Json json = Json::MakeObject();
  json.Set("added_tokens", Json::Array{AddedTokenJson(260, "<|end|>", true, false),
                                       AddedTokenJson(261, "  ", false, true),
                                       AddedTokenJson(262, "   ", false, true)});
  json.Set("normalizer", TypedJson("NFC"));
  json.Set("pre_tokenizer", std::move(byte_level));
  json.Set("decoder", TypedJson("ByteLevel"));
  json.Set("model", std::move(model));
  return json;
}

}  // namespace octet
#endif  // OCTET_TEXT_TOKENIZER_TESTING_H_
