#include "text/added_tokens.h"

#include <algorithm>

namespace octet {
namespace {

unsigned char ByteAt(std::string_view text, size_t pos) {
  return static_cast<unsigned char>(text[pos]);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<std::pair<std::string, int32_t>> tokens)
    : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const auto& [token, piece] : tokens_)
    ++first_[ByteAt(token, 0) + size_t{1}];
  for (size_t b = 1; b < first_.size(); ++b)
    first_[b] += first_[b - 1];
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::Next(std::string_view text,
                                                              size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (size_t pos = from; pos < text.size(); ++pos) {
    const unsigned char b = ByteAt(text, pos);
    if (first_[b] == first_[b + size_t{1}]) continue;
    if (std::optional<Match> match = MatchAt(text, pos)) return match;
  }
  return std::nullopt;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::MatchAt(std::string_view text,
                                                                 size_t pos) const {
  const unsigned char b = ByteAt(text, pos);
  auto begin = tokens_.begin() + static_cast<ptrdiff_t>(first_[b]);
  auto end = tokens_.begin() + static_cast<ptrdiff_t>(first_[b + size_t{1}]);
  std::optional<Match> longest;
  // [begin, end) are the tokens that agree with the first `depth` bytes; a token of that very
  // length sorts first among them.
  for (size_t depth = 1; begin != end; ++depth) {
    if (begin->first.size() == depth) {
      longest = {pos, pos + depth, begin->second};
      ++begin;
    }
    if (pos + depth >= text.size()) break;
    const unsigned char wanted = ByteAt(text, pos + depth);
    begin = std::partition_point(begin, end,
                                 [=](const auto& t) { return ByteAt(t.first, depth) < wanted; });
    end = std::partition_point(begin, end,
                               [=](const auto& t) { return ByteAt(t.first, depth) == wanted; });
  }
  return longest;
}

}  // namespace octet
