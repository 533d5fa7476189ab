// Telling a person how far a long computation is.
#ifndef OCTET_EVAL_PROGRESS_H_
#define OCTET_EVAL_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <string_view>

namespace octet {

// Called with a short phrase ("measuring perplexity") and how much of it is done; never by two
// threads at once. May be empty. The same type as in quant/recipe.h, which eval does not see.
using Progress = std::function<void(std::string_view what, int64_t done, int64_t total)>;

}  // namespace octet
#endif  // OCTET_EVAL_PROGRESS_H_
