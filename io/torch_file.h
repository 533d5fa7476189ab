// Weights saved by torch.save (torch 1.6 or later: a zip archive with a pickle in it).
#ifndef OCTET_IO_TORCH_FILE_H_
#define OCTET_IO_TORCH_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "tensor/weights.h"

namespace octet {

// Parses a whole file that is in memory. Contiguous tensors point into `file` and share `owner`;
// others are copied into row-major order, at most file.size() bytes in all (kTooLarge otherwise).
// Names and errors are those of io/pickle.h and io/zip.h; kUnsupported, naming the tensor, for an
// element type that Octet does not compute with. Nothing in the file is executed.
Result<WeightMap> ParseTorchFile(std::span<const std::byte> file,
                                 const std::shared_ptr<const void>& owner);

// Maps and parses the file; errors start with its path.
Result<WeightMap> ReadTorchFile(const std::string& path);

}  // namespace octet
#endif  // OCTET_IO_TORCH_FILE_H_
