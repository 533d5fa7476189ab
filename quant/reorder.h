// Moving heads and channels of a Mamba-2 block so that clusters are contiguous.
#ifndef OCTET_QUANT_REORDER_H_
#define OCTET_QUANT_REORDER_H_

#include "base/status.h"
#include "graph/graph.h"
#include "quant/cluster.h"
#include "tensor/weights.h"

namespace octet {

// Rewrites the weights of block `layer` so that it computes the same function with its heads and
// their channels in the order `order` (Quamba2; methods_mamba 2.5.3): rows of in_proj (and its
// bias) for z, x and dt; convolution of x; A_log, D and dt_bias; the gated norm's weight; columns
// of out_proj. B and C stay. Bits move and none changes: only sums over heads and channels get
// another order.
//
// To be called before anything else depends on the order: before rotation, quantization of weights
// and calibration of sites with several scales. Shared or tied tensors inside a block do not exist
// in Mamba-2. All or nothing: an error leaves `weights` as they were.
// kUnsupported for a block without heads (Mamba) or with something between gated norm and out_proj;
// kInvalidArgument for an order that is no permutation within groups, a quantized weight or a site
// of the block with several scales; kNotFound for a missing tensor.
Status ReorderHeads(const Graph& graph, int layer, const HeadOrder& order, WeightMap* weights);

}  // namespace octet
#endif  // OCTET_QUANT_REORDER_H_
