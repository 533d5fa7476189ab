#include "apps/cli/s4d_images.h"

#include <fmt/format.h>

#include "io/cifar.h"

namespace octet::cli {

Result<LabeledImages> LoadImages(const ImageFlags& flags, MnistSplit split, const char* command) {
  if (flags.mnist.empty() && flags.cifar10.empty()) {
    return InvalidArgument(fmt::format("octet s4d {} needs --mnist or --cifar10", command));
  }
  if (!flags.cifar10.empty()) return ReadCifar10(flags.cifar10);
  return ReadMnist(flags.mnist, split);
}

PixelScale ScaleOf(const ImageFlags& flags) {
  PixelScale scale = flags.cifar10.empty()
                         ? PixelScale{{0}, {1}}
                         : PixelScale{{0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}};
  if (!flags.mean.empty()) scale.mean = flags.mean;
  if (!flags.std.empty()) scale.std = flags.std;
  return scale;
}

}  // namespace octet::cli
