// Any bytes are refused or give tensors all of whose bytes can be read.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/sha256.h"
#include "io/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto owner = std::shared_ptr<const void>(data, [](const void*) {});
  const auto weights = octet::ParseTorchFile(std::as_bytes(std::span(data, size)), owner);
  if (!weights.ok()) return 0;
  octet::Sha256 sha;
  for (const auto& [name, w] : weights->all()) {
    sha.Update({w.data, static_cast<size_t>(w.bytes())});
  }
  return 0;
}
