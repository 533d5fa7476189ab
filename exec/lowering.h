// From nodes to steps: kernels chosen, memory bound, work partitioned.
#ifndef OCTET_EXEC_LOWERING_H_
#define OCTET_EXEC_LOWERING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/parallel.h"
#include "base/status.h"
#include "exec/program.h"
#include "exec/value_plan.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// What a step sees of one piece of tokens.
struct Frame {
  int64_t T = 0;
  State* state = nullptr;
  int64_t offset = 0;           // tokens of the call before this piece
  std::byte* values = nullptr;  // laid out by the ValuePlan
  float* logits = nullptr;      // [T, vocab_rows], for the last node
  std::vector<Buffer>* scratch = nullptr;
  ThreadPool* pool = nullptr;
};

struct Step {
  std::string site;
  std::string decode_kernel, prefill_kernel;
  std::function<void(const Frame&)> run;
};

struct LoweringContext {
  const Graph& graph;
  const WeightMap& weights;
  const ValuePlan& plan;
  const std::vector<ValueUse>& uses;
  const LowerOptions& options;
  int64_t piece;           // most tokens that a step sees
  int64_t* scratch_bytes;  // raised to what a worker needs
};

// How the readers of each value take it.
std::vector<ValueUse> ValueUses(const Graph& graph, const WeightMap& weights);

// Appends the steps of one node. See Program::Lower for errors.
Status LowerNode(ValueId v, LoweringContext* context, std::vector<Step>* steps);

}  // namespace octet
#endif  // OCTET_EXEC_LOWERING_H_
