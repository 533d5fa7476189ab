// The safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes.
#ifndef OCTET_IO_SAFETENSORS_H_
#define OCTET_IO_SAFETENSORS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "tensor/weights.h"

namespace octet {

// Parses a whole file that is in memory; the weights point into `file` and share `owner`.
// kCorrupt, naming the tensor, unless: the header is at most 100 MB and inside the file, is a JSON
// object without duplicate names, each dtype is known, each shape times its dtype equals the
// tensor's byte range without overflow, and the ranges cover the data section exactly, without
// overlap or holes. kUnsupported for a dtype that Octet does not compute with. `mapped`: see
// Weight.
Result<WeightMap> ParseSafetensors(std::span<const std::byte> file,
                                   const std::shared_ptr<const void>& owner, bool mapped = false);

// Maps and parses the file; errors start with its path.
Result<WeightMap> ReadSafetensors(const std::string& path);

// Writes `tensors` in the given order (names must be unique; row and group scales are not written:
// pass them as tensors of their own; kI4 is stored as U8 of shape [rows, ceil(columns / 2)]) with
// string metadata. The same input gives the same bytes. A full disk is kIo and leaves no file.
Status WriteSafetensors(const std::string& path,
                        const std::vector<std::pair<std::string, Weight>>& tensors,
                        const std::map<std::string, std::string>& metadata);

}  // namespace octet
#endif  // OCTET_IO_SAFETENSORS_H_
