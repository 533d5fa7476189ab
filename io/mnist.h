// MNIST, and sets in its form such as Fashion-MNIST: 10 classes of grey images in idx files.
#ifndef OCTET_IO_MNIST_H_
#define OCTET_IO_MNIST_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "io/labeled_images.h"

namespace octet {

enum class MnistSplit : uint8_t { kTrain, kTest };

// Reads a split from two files in `folder`; channels is 1. The images of kTrain are the first of
// train-images-idx3-ubyte, train-images-idx3-ubyte.gz, train-images.idx3-ubyte and
// train-images.idx3-ubyte.gz that is a file; so for train-labels and idx1, and for t10k, kTest.
// kNotFound, naming `folder`, when that or one of them is missing; kCorrupt, naming a file, when
// images and labels differ in number or a label is above 9; else the errors of ReadIdx.
Result<LabeledImages> ReadMnist(const std::string& folder, MnistSplit split);

}  // namespace octet
#endif  // OCTET_IO_MNIST_H_
