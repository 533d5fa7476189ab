// GPT-2's pre-tokenizer: cuts text into the words that byte pairs are merged in.
#ifndef OCTET_TEXT_SPLITTER_H_
#define OCTET_TEXT_SPLITTER_H_

#include <cstddef>
#include <string_view>

namespace octet {

// End of the word of `text` that starts at byte `start`; text is well-formed UTF-8, start is the
// start of a character and < text.size(). Cutting from 0 on gives the matches of
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// (Radford et al. 2019, encoder.py), which cover the text. \s is Unicode's White_Space; \p{L} and
// \p{N} are at least those of Unicode 16, which Hugging Face's tokenizers 0.23 uses.
size_t WordEnd(std::string_view text, size_t start);

}  // namespace octet
#endif  // OCTET_TEXT_SPLITTER_H_
