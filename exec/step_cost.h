// What a step of a program moves and computes at least, from its sizes: for comparing its time with
// what a machine can do (Williams et al. 2009, Roofline).
#ifndef OCTET_EXEC_STEP_COST_H_
#define OCTET_EXEC_STEP_COST_H_

#include <cstdint>
#include <string>

#include "exec/program.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// Of one run on some tokens. Work that a kernel does twice, for its own reasons, counts once.
struct StepCost {
  double weight_bytes = 0;  // as stored, scales included; read once, whatever the tokens
  double state_bytes = 0;   // recurrent state: read and written; history: read, new rows written
  double activation_bytes = 0;  // inputs read and results written, codes where there are codes
  // A multiply-add is two, an exponential one. Of an Ssd: those of its chunked form for more than
  // one token.
  double operations = 0;
  bool integer = false;  // operations on codes rather than floats, for the larger part
  double bytes() const { return weight_bytes + state_bytes + activation_bytes; }
};

// `tokens` >= 1; the graph and the weights are those that the program was lowered from.
StepCost CostOf(const Graph& graph, const WeightMap& weights, const StepKernels& step,
                int64_t tokens);

// The stage that a step belongs to, the same for all blocks: the matrix of a Linear ("in_proj",
// "x_proj", "dt_proj", "out_proj", "head"), else "conv", "dt", "ssd", "scan", "norms", "gate",
// "hadamard", "encoding", "residual", "copies", or the operation's name.
std::string StageOf(const Graph& graph, const StepKernels& step);

}  // namespace octet
#endif  // OCTET_EXEC_STEP_COST_H_
