#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/utf8.h"

namespace octet {
namespace {

constexpr char32_t kSymbolEnd = 0x144;  // bytes_to_unicode ends at U+0143

using ByteTable = std::array<int16_t, kSymbolEnd>;  // byte of a code point, or -1

ByteTable MakeByteTable() {
  ByteTable table;
  table.fill(-1);
  char32_t next = 0x100;
  for (int16_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
    table[printable ? static_cast<char32_t>(b) : next++] = b;
  }
  return table;
}

std::optional<int32_t> FindIn(const std::vector<int32_t>& numbers, const std::vector<Piece>& pieces,
                              std::string_view bytes) {
  const auto bytes_of = [&pieces](int32_t n) -> std::string_view {
    return pieces[static_cast<size_t>(n)].bytes;
  };
  const auto it =
      std::lower_bound(numbers.begin(), numbers.end(), bytes,
                       [&](int32_t n, std::string_view value) { return bytes_of(n) < value; });
  if (it == numbers.end() || bytes_of(*it) != bytes) return std::nullopt;
  return *it;
}

// Sorts `numbers` by the bytes of their pieces.
Status SortByBytes(const std::vector<Piece>& pieces, std::vector<int32_t>* numbers) {
  const auto piece = [&pieces](int32_t n) -> const Piece& {
    return pieces[static_cast<size_t>(n)];
  };
  std::sort(numbers->begin(), numbers->end(),
            [&](int32_t a, int32_t b) { return piece(a).bytes < piece(b).bytes; });
  const auto same = std::adjacent_find(numbers->begin(), numbers->end(), [&](int32_t a, int32_t b) {
    return piece(a).bytes == piece(b).bytes;
  });
  if (same == numbers->end()) return {};
  return Corrupt(fmt::format("the ids {} and {} both stand for {}", piece(*same).id,
                             piece(*(same + 1)).id, QuoteForMessage(piece(*same).bytes)));
}

}  // namespace

std::optional<std::string> BytesOfSymbols(std::string_view symbols) {
  static const ByteTable table = MakeByteTable();
  std::string bytes;
  bytes.reserve(symbols.size());
  for (size_t pos = 0; pos < symbols.size();) {
    const Utf8Char c = ReadUtf8(symbols, pos);
    if (c.code_point >= table.size() || table[c.code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(table[c.code_point]);
    pos += c.length;
  }
  return bytes;
}

std::string QuoteForMessage(std::string_view text) {
  constexpr size_t kMaxBytes = 60;
  if (text.size() <= kMaxBytes) return Json(ReplaceIllFormed(text)).Dump(-1);
  const std::string_view head = text.substr(0, kMaxBytes);
  return Json(ReplaceIllFormed(head.substr(0, CompletePrefix(head))) + "...").Dump(-1);
}

Result<Vocabulary> Vocabulary::Create(std::vector<Piece> pieces) {
  Vocabulary v;
  v.pieces_ = std::move(pieces);
  std::sort(v.pieces_.begin(), v.pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.id < b.id; });
  for (size_t i = 0; i < v.pieces_.size(); ++i) {
    const Piece& piece = v.pieces_[i];
    if (i > 0 && v.pieces_[i - 1].id == piece.id) {
      return Corrupt(fmt::format("the tokens {} and {} have the same id {}",
                                 QuoteForMessage(v.pieces_[i - 1].bytes),
                                 QuoteForMessage(piece.bytes), piece.id));
    }
    if (piece.ordinary) v.ordinary_.push_back(static_cast<int32_t>(i));
    if (piece.added) v.added_.push_back(static_cast<int32_t>(i));
  }
  OCTET_TRY(SortByBytes(v.pieces_, &v.ordinary_));
  OCTET_TRY(SortByBytes(v.pieces_, &v.added_));
  return v;
}

std::optional<int32_t> Vocabulary::FindId(TokenId id) const {
  const auto it = std::lower_bound(pieces_.begin(), pieces_.end(), id,
                                   [](const Piece& p, TokenId value) { return p.id < value; });
  if (it == pieces_.end() || it->id != id) return std::nullopt;
  return static_cast<int32_t>(it - pieces_.begin());
}

std::optional<int32_t> Vocabulary::FindOrdinary(std::string_view bytes) const {
  return FindIn(ordinary_, pieces_, bytes);
}

std::optional<int32_t> Vocabulary::FindAdded(std::string_view bytes) const {
  return FindIn(added_, pieces_, bytes);
}

}  // namespace octet
