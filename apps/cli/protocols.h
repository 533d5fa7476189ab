// Named ways to measure perplexity.
#ifndef OCTET_APPS_CLI_PROTOCOLS_H_
#define OCTET_APPS_CLI_PROTOCOLS_H_

#include <cstdint>
#include <string_view>

namespace octet::cli {

struct PerplexityProtocol {
  std::string_view name;
  std::string_view reference;  // what it follows to the letter
  int64_t window, stride;      // tokens; a stride of 0: lm-eval's rolling windows
};

inline constexpr PerplexityProtocol kGptqProtocol{
    "wikitext2-gptq", "GPTQ (arXiv:2210.17323), as Quamba evaluates (arXiv:2410.13229)", 2048,
    2048};
inline constexpr PerplexityProtocol kStridedProtocol{
    "strided", "Hugging Face's guide \"Perplexity of fixed-length models\"", 1024, 512};
inline constexpr PerplexityProtocol kDocumentProtocol{
    "document", "task wikitext of lm-evaluation-harness 0.4.13", 2048, 0};

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_PROTOCOLS_H_
