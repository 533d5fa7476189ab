// Where the values of a program live while a piece of tokens runs.
#ifndef OCTET_EXEC_VALUE_PLAN_H_
#define OCTET_EXEC_VALUE_PLAN_H_

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace octet {

// Row-major [T, width] data inside the value memory of a program that handles `piece` tokens at
// once.
struct ValuePlace {
  int64_t floats = -1;        // byte offset of row 0, column 0; -1: never materialised
  int64_t stride = 0;         // floats between rows (a split is a window into its parent)
  bool copy = false;          // a split with memory of its own
  int64_t codes = -1;         // byte offset of int8 codes [T, width], or -1
  int64_t token_scales = -1;  // byte offset of fp32 scales [T], or -1
};

struct ValuePlan {
  std::vector<ValuePlace> places;  // by ValueId; the logits have none
  int64_t bytes = 0;
};

// How the readers of a value take it.
struct ValueUse {
  bool floats = false;  // some reader takes floats, decoded ones if the site is encoded
  bool codes = false;   // some reader takes int8 codes, which are kept beside the floats
};

// Whether an operation treats each token for itself. Consecutive ones run together, a block of
// tokens after the other (Step::rows).
bool TreatsTokensAlone(Op op);

// Whether an operation, which reads tokens before its own too, begins such a run: the operations
// that follow it take each block of tokens when it is done (Step::lead).
bool LeadsTokens(Op op);

// Assigns memory by liveness: a value's bytes are reused after its last reader, and after those
// that run together with it. `uses`: by ValueId. A split whose decoded floats would overwrite what
// another reader of its parent sees gets memory of its own.
ValuePlan PlanValues(const Graph& graph, const std::vector<ValueUse>& uses, int64_t piece);

}  // namespace octet
#endif  // OCTET_EXEC_VALUE_PLAN_H_
