// The state of a training run as a file.
#ifndef OCTET_TRAIN_CHECKPOINT_H_
#define OCTET_TRAIN_CHECKPOINT_H_

#include <optional>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "train/training.h"

namespace octet {

// A safetensors file: parameters, mean, square, best as fp32, and "progress", JSON in bytes with
// the rest and `run`, an object that describes all that determines the result. The file is replaced
// in one step, so that a run that is killed at any moment leaves a whole one.
Status WriteCheckpoint(const std::string& path, const Json& run, const TrainingState& state);

// Nothing where there is no file. kInvalidArgument naming the member in which its run differs;
// kCorrupt when it is no checkpoint of `size` parameters; errors start with the path.
Result<std::optional<TrainingState>> ReadCheckpoint(const std::string& path, const Json& run,
                                                    int64_t size);

}  // namespace octet
#endif  // OCTET_TRAIN_CHECKPOINT_H_
