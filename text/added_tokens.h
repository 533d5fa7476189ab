// Finds added tokens ("<|endoftext|>") inside text.
#ifndef OCTET_TEXT_ADDED_TOKENS_H_
#define OCTET_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

// A fixed set of non-empty strings, each with the number of its piece. Immutable and thread-safe.
class AddedTokenFinder {
 public:
  struct Match {
    size_t begin, end;  // bytes of the text
    int32_t piece;
  };

  AddedTokenFinder() = default;
  // Of equal strings the first counts.
  explicit AddedTokenFinder(std::vector<std::pair<std::string, int32_t>> tokens);

  // The leftmost match that starts at byte `from` or later, the longest of those that start there.
  // Time per byte is bounded by the length of the longest token.
  std::optional<Match> Next(std::string_view text, size_t from) const;

 private:
  std::optional<Match> MatchAt(std::string_view text, size_t pos) const;

  std::vector<std::pair<std::string, int32_t>> tokens_;  // sorted
  std::array<size_t, 257> first_{};                      // tokens that start with a byte
};

}  // namespace octet
#endif  // OCTET_TEXT_ADDED_TOKENS_H_
