#include "apps/cli/suggest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace octet::cli {
namespace {

// Levenshtein's distance, one row of the table at a time.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string Closest(std::string_view word, std::span<const std::string> known) {
  constexpr size_t kLongest = 64;  // nobody mistypes a word into more
  if (word.size() > kLongest) return "";
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  std::string closest;
  for (const std::string& k : known) {
    const size_t distance = Distance(word, k);
    if (distance >= best) continue;
    best = distance;
    closest = k;
  }
  return closest;
}

}  // namespace octet::cli
