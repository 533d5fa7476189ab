// Bytes as tokenizer.json. A tokenizer that is accepted must encode and decode, and lose nothing
// where no option changes the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace {

// Words, contractions, spaces, marks, an added token's beginning, ill-formed bytes.
constexpr std::string_view kText =
    "the whale's  12\xC2\xBD \xC2\xA0\n e\xCC\xA3\xCC\x82 \xF0\x9F\xA6\x99<|end|> <|end \xE2\x82 "
    "th";

void Check(bool condition) {
  if (!condition) std::abort();
}

// Whether `tokenizer` neither normalizes nor adds a space, seen without its parser.
bool KeepsText(const octet::Json& tokenizer) {
  const octet::Json* normalizer = tokenizer.Find("normalizer");
  const octet::Json* prefix = tokenizer.Find("pre_tokenizer")->Find("add_prefix_space");
  return (normalizer == nullptr || normalizer->is_null()) && prefix != nullptr &&
         prefix->is_bool() && !prefix->AsBool();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const octet::Result<octet::Json> json = octet::Json::Parse(input);
  if (!json.ok()) return 0;
  const octet::Result<octet::Tokenizer> tokenizer = octet::Tokenizer::FromJson(*json);
  if (!tokenizer.ok()) {
    Check(!tokenizer.status().message().empty());
    return 0;
  }
  for (const std::string_view text : {kText, input.substr(0, 1000)}) {
    const std::vector<octet::TokenId> ids = tokenizer->Encode(text);
    octet::StreamDecoder stream(*tokenizer, /*skip_special=*/false);
    std::string streamed;
    for (const octet::TokenId id : ids) {
      Check(id >= 0 && id < tokenizer->size());
      streamed += stream.Push(id);
    }
    streamed += stream.Flush();
    Check(streamed == tokenizer->Decode(ids, /*skip_special=*/false));
    Check(!KeepsText(*json) || streamed == octet::ReplaceIllFormed(text));
  }
  return 0;
}
