// The pieces of a byte-level vocabulary: ids, bytes and GPT-2's way of writing bytes as text.
#ifndef OCTET_TEXT_VOCABULARY_H_
#define OCTET_TEXT_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace octet {

// The bytes that `symbols` stands for: GPT-2 writes the printable bytes of Latin-1 as themselves
// and the others as U+0100, U+0101, ... (Radford et al. 2019, bytes_to_unicode in encoder.py).
// Nothing when a character stands for no byte or the UTF-8 is ill-formed.
std::optional<std::string> BytesOfSymbols(std::string_view symbols);

// `text`, which may come from a hostile file, quoted and shortened for an error message.
std::string QuoteForMessage(std::string_view text);

// One token. The number of a piece is its index by ascending id.
struct Piece {
  TokenId id = 0;
  std::string bytes;
  bool ordinary = false;  // known to the BPE model
  bool added = false;     // found in the text before BPE
  bool special = false;   // an added token that is not text, such as the end of a document
};

// Immutable and thread-safe.
class Vocabulary {
 public:
  static constexpr TokenId kMaxId = 1 << 24;

  Vocabulary() = default;
  // Ids are in [0, kMaxId]. kCorrupt when two pieces have the same id, or two ordinary or two added
  // ones the same bytes.
  static Result<Vocabulary> Create(std::vector<Piece> pieces);

  int32_t count() const { return static_cast<int32_t>(pieces_.size()); }
  const Piece& operator[](int32_t number) const { return pieces_[static_cast<size_t>(number)]; }
  const std::vector<Piece>& pieces() const { return pieces_; }

  // Numbers, or nothing when there is no such piece.
  std::optional<int32_t> FindId(TokenId id) const;
  std::optional<int32_t> FindOrdinary(std::string_view bytes) const;
  std::optional<int32_t> FindAdded(std::string_view bytes) const;

 private:
  std::vector<Piece> pieces_;      // by id
  std::vector<int32_t> ordinary_;  // numbers, by bytes
  std::vector<int32_t> added_;     // numbers, by bytes
};

}  // namespace octet
#endif  // OCTET_TEXT_VOCABULARY_H_
