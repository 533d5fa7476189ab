// The merging step of byte pair encoding.
#ifndef OCTET_TEXT_BPE_H_
#define OCTET_TEXT_BPE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octet {

// A list of merges over pieces numbered 0 .. piece_count - 1. Immutable and thread-safe.
class BpeMerges {
 public:
  struct Merge {
    int32_t left, right, result;
  };
  // Working memory of Apply, reused between words; holds nothing from one word to the next.
  struct Scratch {
    struct Candidate {
      int32_t rank;
      size_t left;  // index of the left symbol
      int32_t left_piece, right_piece, result;
    };
    std::vector<Candidate> heap;
    std::vector<size_t> next, previous;
  };

  BpeMerges() = default;
  // Fewer than 2^31 `merges`, best first; of two with the same pair the later one counts, with its
  // later rank, as in Hugging Face. All pieces are >= 0 and < piece_count, and no result is the
  // left or right piece of its own merge.
  BpeMerges(const std::vector<Merge>& merges, int32_t piece_count);

  // Merges adjacent symbols of the word until no merge applies: always the best-ranked pair, the
  // leftmost of equals (Sennrich et al. 2016). Time is n log n in the length of the word.
  void Apply(std::vector<int32_t>* word, Scratch* scratch) const;

 private:
  struct Entry {
    int32_t right, rank, result;
  };
  const Entry* Find(int32_t left, int32_t right) const;
  void Propose(const std::vector<int32_t>& word, size_t left, size_t right, Scratch* scratch) const;

  std::vector<Entry> entries_;  // by left piece, then right piece
  std::vector<int64_t> first_;  // [piece_count + 1]: entries of a left piece
};

}  // namespace octet
#endif  // OCTET_TEXT_BPE_H_
