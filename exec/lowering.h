// From nodes to steps: kernels chosen, memory bound, work partitioned.
#ifndef OCTET_EXEC_LOWERING_H_
#define OCTET_EXEC_LOWERING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/parallel.h"
#include "base/status.h"
#include "exec/program.h"
#include "exec/value_plan.h"
#include "graph/graph.h"
#include "kernels/kernel.h"
#include "tensor/weights.h"

namespace octet {

// Consecutive tokens of one stream within a frame.
struct Sequence {
  State* state = nullptr;
  int64_t row = 0;     // of the first of them, among the frame's rows
  int64_t T = 0;       // tokens
  int64_t offset = 0;  // tokens of the call before them
};

// What a step sees at once: a piece of tokens of one stream, or one token of each of several.
struct Frame {
  int64_t T = 0;        // rows, of all sequences
  bool decode = false;  // every sequence has one token
  std::span<const Sequence> sequences;
  std::byte* values = nullptr;  // laid out by the ValuePlan
  float* logits = nullptr;      // [T, vocab_rows], for the last node
  std::vector<Buffer>* scratch = nullptr;
  ThreadPool* pool = nullptr;
};

// Does rows [begin, end) with a worker's scratch memory.
using RowsFunction =
    std::function<void(const Frame&, int64_t begin, int64_t end, const Workspace&)>;

// One of `run`, `lead` and `rows` is set. Consecutive steps with `rows` pass over the tokens
// together, a block at a time, while its values are in cache; one with `lead` begins such a pass.
struct Step {
  std::string site;
  std::string decode_kernel, prefill_kernel;
  std::function<void(const Frame&)> run;
  ValueId node = -1;
  bool encoding = false;  // it encodes the node's value
  // What treats each token for itself.
  RowsFunction rows;
  // What needs more than each token for itself, see LeadsTokens: does all rows, in blocks of one
  // sequence, and calls `next` once for each block when its values are there, from the worker that
  // did it: at the same time as other workers, and with its scratch memory, which is overwritten.
  // The step's inputs stay what they are until all of that is over.
  std::function<void(const Frame&, const RowsFunction& next)> lead;
};

// Runs steps one after the other.
void RunInOrder(std::span<const Step> steps, const Frame& frame);

struct LoweringContext {
  const Graph& graph;
  const WeightMap& weights;
  const ValuePlan& plan;
  const std::vector<ValueUse>& uses;
  const LowerOptions& options;
  int64_t piece;           // most tokens that a step sees
  int64_t* scratch_bytes;  // raised to what a worker needs
  Arena* arena;            // lives as long as the steps
};

// How the readers of each value take it.
std::vector<ValueUse> ValueUses(const Graph& graph, const WeightMap& weights);

// Appends the steps of one node. See Program::Lower for errors.
Status LowerNode(ValueId v, LoweringContext* context, std::vector<Step>* steps);

}  // namespace octet
#endif  // OCTET_EXEC_LOWERING_H_
