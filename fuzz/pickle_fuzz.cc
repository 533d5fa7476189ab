// Any bytes are refused or give tensors whose elements lie in their storages.
#include "io/pickle.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tensors = octet::ParsePickle(std::as_bytes(std::span(data, size)));
  if (!tensors.ok()) return 0;
  for (const octet::PickledTensor& t : *tensors) {
    // 128 bits: an independent sum of what the library checks with overflow tests.
    __extension__ using Wide = __int128;
    Wide last = t.offset;
    bool empty = false;
    for (size_t d = 0; d < t.shape.size(); ++d) {
      empty = empty || t.shape[d] == 0;
      last += static_cast<Wide>(t.shape[d] - 1) * t.strides[d];
    }
    if (!empty && (t.offset < 0 || last >= t.storage_count)) std::abort();
  }
  return 0;
}
