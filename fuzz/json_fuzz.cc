// Any bytes are refused or parsed, and what was parsed survives printing and parsing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = octet::Json::Parse({reinterpret_cast<const char*>(data), size});
  if (!value.ok()) return 0;
  const auto again = octet::Json::Parse(value->Dump(size % 4 == 0 ? -1 : 2));
  if (!again.ok() || !(*again == *value)) std::abort();
  return 0;
}
