// Normalization form C.
#ifndef OCTET_TEXT_NFC_H_
#define OCTET_TEXT_NFC_H_

#include <string>
#include <string_view>

namespace octet {

// Normalization form C (Unicode standard annex 15) of well-formed `text` with the character data of
// Unicode 9, as Hugging Face's tokenizers 0.23 normalizes: marks assigned later are neither
// reordered nor composed. Time is n log n in the longest run of combining marks, linear otherwise.
std::string Nfc(std::string_view text);

}  // namespace octet
#endif  // OCTET_TEXT_NFC_H_
