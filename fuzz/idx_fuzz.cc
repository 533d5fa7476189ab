// Any bytes are refused or give as many bytes as the sizes say, all of which can be read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/checked.h"
#include "base/sha256.h"
#include "io/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const octet::IdxKind kind : {octet::IdxKind::kLabels, octet::IdxKind::kImages}) {
    const auto array = octet::ParseIdx(std::as_bytes(std::span(data, size)), kind);
    if (!array.ok()) continue;
    const auto count = octet::CheckedCount(array->shape);
    if (count != static_cast<int64_t>(array->bytes.size())) std::abort();
    octet::Sha256 sha;
    sha.Update(std::as_bytes(std::span(array->bytes)));
  }
  return 0;
}
