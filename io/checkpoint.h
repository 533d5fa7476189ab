// The weights of a model folder, as downloaded.
#ifndef OCTET_IO_CHECKPOINT_H_
#define OCTET_IO_CHECKPOINT_H_

#include <string>

#include "base/status.h"
#include "tensor/weights.h"

namespace octet {

// Maps every tensor of `folder`, without reading or converting the data:
//   model.safetensors, or the shards of model.safetensors.index.json ("weight_map"), or
//   pytorch_model.bin, or the shards of pytorch_model.bin.index.json (io/torch_file.h: nothing in
//   them is executed).
// The first of these that exists is used. Shards must lie in `folder` and hold exactly the tensors
// that the index places there. Names are kept as stored. Float tensors are kF32, kF16 or kBF16;
// int8 and uint8 tensors are passed through (a quantized folder has them); any other dtype is
// kUnsupported. Every error names the file and, where there is one, the tensor. The mapping lives
// as long as a Weight that came from it.
Result<WeightMap> OpenCheckpoint(const std::string& folder);

}  // namespace octet
#endif  // OCTET_IO_CHECKPOINT_H_
