// Static scales of recurrent states (StateScales) from what calibration has seen of them.
//
// An Interpreter shows the state of block `layer` as the site StateSite(layer), [rows, N], after
// each call; an observer of that site keeps the largest absolute value of each element.
#ifndef OCTET_QUANT_STATE_SCALES_H_
#define OCTET_QUANT_STATE_SCALES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/state_format.h"

namespace octet {

// How many scales a state has, and which elements share one.
enum class StateLayout : uint8_t {
  kTensor,   // one for the state (Quamba, methods_mamba 2.4)
  kRow,      // one for each (head, head_dim) or channel (SSDi8, 2.8.5)
  kCluster,  // one for each cluster of rows and state index (Quamba2, 2.5.4)
};

// Absmax scales from `peaks` [rows, N]. kCluster: `row_map` [rows] gives each row's cluster, each
// from 0 to its largest entry; empty otherwise.
StateScales MakeStateScales(StateLayout layout, std::span<const float> peaks, int64_t rows,
                            int64_t N, std::vector<uint16_t> row_map = {});

}  // namespace octet
#endif  // OCTET_QUANT_STATE_SCALES_H_
