// Where training of an S4D classifier starts.
#ifndef OCTET_TRAIN_S4D_INIT_H_
#define OCTET_TRAIN_S4D_INIT_H_

#include <cstdint>

#include "tensor/weights.h"

namespace octet {

struct S4dShape {
  int64_t d_input = 1, d_model = 64, layers = 1, modes = 32, classes = 10;
  bool norms = false;
};

// S4D-Lin (Gu et al. 2022, S4D): poles -1/2 + i pi n, B = 1, C complex normal of variance 1, D
// normal, log_dt uniform in [log 0.001, log 0.1]; matrices and biases uniform in +-1 /
// sqrt(inputs), norms the identity. Names and shapes are those of arch/s4d.h; real_transform is
// "exp".
WeightMap InitS4d(const S4dShape& shape, uint64_t seed);

}  // namespace octet
#endif  // OCTET_TRAIN_S4D_INIT_H_
