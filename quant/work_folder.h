// Finished blocks on the disk: what keeps memory small, and lets a killed run go on.
#ifndef OCTET_QUANT_WORK_FOLDER_H_
#define OCTET_QUANT_WORK_FOLDER_H_

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "io/temporary_folder.h"
#include "tensor/state_format.h"
#include "tensor/weights.h"

namespace octet {

// A folder that a run of Quantize owns while it lasts:
//
//   progress.json                what run this is, how many blocks are finished, their edits
//   block.<i>.safetensors        the tensors of finished block i, as in a quantized model's file
//   ends.safetensors             what passes prepared outside the blocks
//   float.<i>, quantized.<i>     residual streams that enter block i (quant/streams.h)
//
// A block counts as finished when progress.json, which is replaced in one step, says so; everything
// that it counts on is on the disk before. So a run that is killed at any moment goes on after the
// last finished block, and the same computation follows: the same bytes. `prepare` of passes runs
// again. One process at a time: the folder is locked.
class WorkFolder {
 public:
  // Opens the folder, or creates it (its parent must exist). `run` describes everything that
  // determines the result: a folder that another run left is emptied. kInvalidArgument when another
  // process uses it, or when it holds files that no run would leave; kIo when the system refuses;
  // errors of ReadWholeFile where it refuses to read what is there, which then stays. Until
  // something counts the folder is a temporary one.
  static Result<WorkFolder> Open(const std::string& path, const Json& run);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();

  const std::string& path() const { return path_; }
  // Blocks that are finished already; the run goes on with block number finished().
  int finished() const { return finished_; }
  // Why an earlier run is not gone on with ("recipe differs"); "" when it is, or there was none.
  const std::string& discarded() const { return discarded_; }
  std::string PathOf(const std::string& file) const;

  // A decision that took long and that later blocks depend on; null until Remember.
  const Json& remembered() const { return remembered_; }
  Status Remember(Json decision);

  // Moves the tensors that are outside the blocks and not shared with `source` to a file.
  Status KeepEnds(const WeightMap& source, WeightMap* weights);
  // Moves the tensors of block `layer` to a file, from which they are mapped again, and counts the
  // block as finished. `state_scales`: by layer, or empty. Streams must have been flushed.
  Status FinishBlock(int layer, const Graph& graph, const std::vector<StateScales>& state_scales,
                     WeightMap* weights);
  // Makes of a graph that passes have prepared, and its weights, what they were when the last
  // finished block was. kIo as the system gives it; kCorrupt, naming the folder, when what is there
  // does not fit.
  Status Restore(Graph* graph, WeightMap* weights, std::vector<StateScales>* state_scales);

  // The result is elsewhere, or of no use: removes the folder. What is mapped stays readable.
  Status Remove();

 private:
  WorkFolder(std::string path, int lock, Json run);
  Status LoadProgress();
  Status Empty() const;
  Status SaveProgress();
  Status RestoreBlocks(Graph* graph, WeightMap* weights,
                       std::vector<StateScales>* state_scales) const;

  std::string path_;
  int lock_ = -1;
  std::optional<TemporaryFolder> temporary_;  // while nothing in it counts
  Json run_, remembered_;
  Json edits_;  // of the finished blocks: DescribeQuantization without what `prepare` makes
  int finished_ = 0;
  std::string discarded_;
};

}  // namespace octet
#endif  // OCTET_QUANT_WORK_FOLDER_H_
