// What the passes of a recipe share: the model under the knife, and the calibration text in it.
#ifndef OCTET_QUANT_CONTEXT_H_
#define OCTET_QUANT_CONTEXT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"
#include "exec/interpreter.h"
#include "exec/program.h"
#include "graph/graph.h"
#include "quant/cluster.h"
#include "quant/streams.h"
#include "quant/work_folder.h"
#include "tensor/weights.h"

namespace octet {

// Told how far a long computation is; `what` is a short phrase ("quantizing"). May be empty.
using Progress = std::function<void(std::string_view what, int64_t done, int64_t total)>;

// What passes read and edit. A model is quantized block by block: all passes do their work on one
// block before any sees the next, so that only one block's float matrices are ever in memory.
struct QuantContext {
  Graph& graph;
  WeightMap& weights;
  const TokenDataset& data;
  ThreadPool& pool;
  const Progress& progress;

  // Residual streams as they enter the current block: the float model's, and the quantized one's.
  // Passes start those that they need in `prepare`; whoever runs a block through them fills what
  // leaves it.
  std::optional<ResidualStreams> float_streams = {}, quantized_streams = {};
  // Mean of the float model's block output (the site "out"), by document and channel.
  std::vector<std::vector<double>> block_means = {};

  // Where finished blocks and the streams are kept; null: in memory.
  WorkFolder* work = nullptr;

  // Of the current block of a Mamba-2, where heads are sorted and clustered.
  std::optional<HeadClusters> clusters = {};
  // The format that states will have, and by layer its static scales, if it has them: graph.state
  // stays fp32 until all blocks are done, for the float model is run through the same graph.
  StateFormat state = {};
  std::vector<StateScales> state_scales = {};

  // How far the whole run is, in steps of one pass over one block.
  int64_t steps_done = 0, steps = 1;
  // Part of the current step is done.
  void Report(int64_t done, int64_t total) const;
};

// Fills `*streams`, a member of `c`, unless it is started already: with the embedding's rows as
// they are now, or, when c.work has finished blocks, with what entered the first that is not
// finished.
Status StartStreams(QuantContext& c, std::optional<ResidualStreams>* streams);

// The cluster of each channel of x [H * P], counted over the block.
std::vector<uint16_t> ClusterOfChannel(const HeadClusters& clusters);

// Makes the tap that sees one document; null: none.
using TapOfDocument = std::function<Tap*(size_t document)>;

// Told that a document's tap has seen all: for one after the other, in their order, soon after, so
// that what taps hold is that of the few documents that run side by side.
using DocumentSeen = std::function<void(size_t document)>;

// Runs block `layer` of the graph, in floats with the weights as they are now, over
// c.float_streams: fills what leaves the block. Documents run side by side.
Status RunFloatBlock(QuantContext& c, int layer, const TapOfDocument& tap,
                     const DocumentSeen& seen = nullptr);
// The same in parts of `part` tokens, after each of which the tap sees the state.
Status ObserveStates(QuantContext& c, int layer, int64_t part, const TapOfDocument& tap,
                     const DocumentSeen& seen);
// As RunFloatBlock over c.quantized_streams, whose leaving rows are not touched.
Status ObserveQuantizedBlock(QuantContext& c, int layer, const TapOfDocument& tap,
                             const DocumentSeen& seen);
// Runs block `layer` as it will be deployed over c.quantized_streams: fills what leaves the block.
Status RunQuantizedBlock(QuantContext& c, int layer);

}  // namespace octet
#endif  // OCTET_QUANT_CONTEXT_H_
