// CIFAR-10 in its binary version: 10 classes of 32 x 32 colour images.
#ifndef OCTET_IO_CIFAR_H_
#define OCTET_IO_CIFAR_H_

#include <string>

#include "base/status.h"
#include "io/labeled_images.h"

namespace octet {

// Reads one file such as test_batch.bin: any number of records of a label, 0 to 9, and 3072 bytes,
// the red, the green and the blue plane. `pixels` holds the three channels of a pixel side by side.
// Errors start with `file`: kNotFound when it does not exist, kCorrupt when it is empty, ends
// inside a record or a label is above 9, kTooLarge for more than 2^31 bytes.
Result<LabeledImages> ReadCifar10(const std::string& file);

}  // namespace octet
#endif  // OCTET_IO_CIFAR_H_
