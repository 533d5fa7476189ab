// The image flags of `octet s4d`, shared by its commands.
#ifndef OCTET_APPS_CLI_S4D_IMAGES_H_
#define OCTET_APPS_CLI_S4D_IMAGES_H_

#include <string>

#include "apps/cli/options.h"
#include "base/status.h"
#include "eval/classify.h"
#include "io/labeled_images.h"
#include "io/mnist.h"

namespace octet::cli {

// The images that --mnist or --cifar10 names; `split` is for the former. kInvalidArgument, naming
// `command`, without either.
Result<LabeledImages> LoadImages(const ImageFlags& flags, MnistSplit split, const char* command);

// Images of one set, those that calibrate apart from those that are measured: MNIST calibrates on
// its training images; of other sets the last `calibrate` ones are kept for it.
struct ImageSplit {
  LabeledImages calibration, measured;
};
Result<ImageSplit> LoadSplit(const ImageFlags& flags, int64_t calibrate, const char* command);
// Those that calibrate alone; MNIST needs no test images for it.
Result<LabeledImages> LoadCalibrationImages(const ImageFlags& flags, int64_t calibrate,
                                            const char* command);

// --mean and --std; by default what config.json of the folder `model` says ("pixel_mean" and
// "pixel_std", a number for each channel), else what the checkpoints of state-spaces/s4 were
// trained with. Errors of reading config.json.
Result<PixelScale> ScaleOf(const std::string& model, const ImageFlags& flags);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_S4D_IMAGES_H_
