#include "text/bpe.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace octet {
namespace {

constexpr size_t kNone = std::numeric_limits<size_t>::max();
constexpr int32_t kMerged = -1;  // a symbol that its left neighbour has swallowed

// Orders a std heap so that its front is the next merge.
bool IsWorse(const BpeMerges::Scratch::Candidate& a, const BpeMerges::Scratch::Candidate& b) {
  return std::tie(a.rank, a.left) > std::tie(b.rank, b.left);
}

}  // namespace

BpeMerges::BpeMerges(const std::vector<Merge>& merges, int32_t piece_count) {
  std::vector<int32_t> order(merges.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&merges](int32_t rank) {
    const Merge& m = merges[static_cast<size_t>(rank)];
    return std::make_tuple(m.left, m.right, rank);
  };
  std::sort(order.begin(), order.end(), [&key](int32_t a, int32_t b) { return key(a) < key(b); });
  first_.assign(static_cast<size_t>(piece_count) + 1, 0);
  for (size_t i = 0; i < order.size(); ++i) {
    const Merge& m = merges[static_cast<size_t>(order[i])];
    if (i + 1 < order.size()) {
      const Merge& later = merges[static_cast<size_t>(order[i + 1])];
      if (later.left == m.left && later.right == m.right) continue;
    }
    entries_.push_back({m.right, order[i], m.result});
    ++first_[static_cast<size_t>(m.left) + 1];
  }
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
}

const BpeMerges::Entry* BpeMerges::Find(int32_t left, int32_t right) const {
  const auto begin = entries_.begin() + first_[static_cast<size_t>(left)];
  const auto end = entries_.begin() + first_[static_cast<size_t>(left) + 1];
  const auto it = std::lower_bound(begin, end, right,
                                   [](const Entry& e, int32_t value) { return e.right < value; });
  return it != end && it->right == right ? &*it : nullptr;
}

void BpeMerges::Propose(const std::vector<int32_t>& word, size_t left, size_t right,
                        Scratch* scratch) const {
  const Entry* entry = Find(word[left], word[right]);
  if (entry == nullptr) return;
  scratch->heap.push_back({entry->rank, left, word[left], word[right], entry->result});
  std::push_heap(scratch->heap.begin(), scratch->heap.end(), IsWorse);
}

void BpeMerges::Apply(std::vector<int32_t>* word, Scratch* scratch) const {
  const size_t n = word->size();
  if (n < 2) return;
  std::vector<int32_t>& symbols = *word;
  auto& [heap, next, previous] = *scratch;
  heap.clear();
  next.resize(n);
  previous.resize(n);
  for (size_t i = 0; i < n; ++i) {
    next[i] = i + 1 < n ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
    if (i + 1 < n) Propose(symbols, i, i + 1, scratch);
  }
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), IsWorse);
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    const size_t right = next[best.left];
    // A merge elsewhere may have changed this pair since it was proposed.
    if (symbols[best.left] != best.left_piece || right == kNone ||
        symbols[right] != best.right_piece) {
      continue;
    }
    symbols[best.left] = best.result;
    symbols[right] = kMerged;
    next[best.left] = next[right];
    if (next[right] != kNone) previous[next[right]] = best.left;
    if (previous[best.left] != kNone) Propose(symbols, previous[best.left], best.left, scratch);
    if (next[best.left] != kNone) Propose(symbols, best.left, next[best.left], scratch);
  }
  std::erase(symbols, kMerged);
}

}  // namespace octet
