// The tensors that a pickle written by torch.save describes, found without executing it.
#ifndef OCTET_IO_PICKLE_H_
#define OCTET_IO_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace octet {

// A view of one of the archive's storages, in elements. All sizes are >= 0, and the last element
// lies inside the storage.
struct PickledTensor {
  std::string name;          // the key in the dictionary; keys of nested ones joined with "."
  std::string storage;       // the storage's key: the archive entry "data/<key>"
  std::string storage_type;  // torch's name: "FloatStorage", "BFloat16Storage", ...
  int64_t storage_count = 0;
  int64_t offset = 0;
  // At most 8 dimensions, equally many; the stride of a dimension without a second index is 0.
  std::vector<int64_t> shape, strides;
};

// Interprets `pickle` (protocols 2 to 5), whose value must be a dict or OrderedDict with string
// or integer keys. Tensors and parameters are returned in its order; anything that is neither a
// tensor nor a dictionary is ignored. A pickle is a program: only calls of collections.OrderedDict,
// torch._utils._rebuild_tensor_v2 and _rebuild_parameter are understood. kUnsupported, naming it,
// for every other function, class or opcode; kCorrupt for a malformed pickle, a tensor that leaves
// its storage or two tensors of one name; kTooLarge beyond 4 MiB, 131072 entries or 8 levels.
Result<std::vector<PickledTensor>> ParsePickle(std::span<const std::byte> pickle);

}  // namespace octet
#endif  // OCTET_IO_PICKLE_H_
