// "did you mean": the known word that a misspelled one is closest to.
#ifndef OCTET_APPS_CLI_SUGGEST_H_
#define OCTET_APPS_CLI_SUGGEST_H_

#include <span>
#include <string>
#include <string_view>

namespace octet::cli {

// The word of `known` that the fewest insertions, deletions and substitutions of characters make of
// `word`, the first of equals; "" when that takes more than a third of the characters of `word`
// (but 2 are always close).
std::string Closest(std::string_view word, std::span<const std::string> known);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_SUGGEST_H_
