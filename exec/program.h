// A graph bound to kernels: what a deployed model runs.
#ifndef OCTET_EXEC_PROGRAM_H_
#define OCTET_EXEC_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/parallel.h"
#include "base/status.h"
#include "exec/interpreter.h"
#include "exec/state.h"
#include "graph/graph.h"
#include "kernels/isa.h"
#include "kernels/table.h"
#include "tensor/weights.h"

namespace octet {

// Which kernels run one step: names of kernels/table.h.
struct StepKernels {
  std::string site, decode, prefill;
  ValueId node;   // of the graph
  bool encoding;  // it encodes the node's value, else it computes it
};

// Told after each step, on the thread of the call: its index in Kernels(), the tokens that it ran
// on, and its wall time.
using StepObserver = std::function<void(size_t step, int64_t tokens, int64_t nanoseconds)>;

// Memory and threads that one run at a time uses; belongs to a Session.
class ProgramWorkspace {
 public:
  // `pool` must outlive it.
  explicit ProgramWorkspace(ThreadPool* pool) : pool_(pool) {}
  ThreadPool& pool() { return *pool_; }
  // Later runs go step by step and tell `observer`; none: they do not look at the clock.
  void Observe(StepObserver observer) { observer_ = std::move(observer); }

 private:
  friend class Program;
  ThreadPool* pool_;
  Buffer values_;  // the values of one piece of tokens
  Buffer logits_;
  std::vector<Buffer> scratch_;  // per worker
  StepObserver observer_;
};

// Receives logits of `rows` consecutive positions of the call, the first being `first`;
// logits [rows, vocab_rows] are valid during the call only.
using LogitsSink = std::function<void(int64_t first, int64_t rows, const float* logits)>;

struct LowerOptions {
  IsaMask isas = AllowedIsas();  // kernels to choose from
  bool bf16_compute = false;  // bf16 weights: bf16 matrix products for prefill where there are some
};

// Immutable and thread-safe; every concurrent run has its own State and ProgramWorkspace. Results
// do not depend on the number of threads.
class Program {
 public:
  // Chooses kernels for every node, once for decode (one token) and once for prefill. Values at
  // encoded sites become int8 codes; what consumes codes reads them, what cannot gets them decoded.
  // An int8 or int4 weight is multiplied with codes where its input has them with one scale for a
  // whole token, else with floats. Weights are not copied: their owners are kept. kUnsupported when
  // an integer sum could overflow.
  static Result<std::unique_ptr<Program>> Lower(const Graph& graph, const WeightMap& weights,
                                                const LowerOptions& options);
  // The same for block `layer` alone, whatever state the weights of others are in: only RunLayer
  // of that layer may be called.
  static Result<std::unique_ptr<Program>> LowerBlock(const Graph& graph, const WeightMap& weights,
                                                     int layer, const LowerOptions& options);
  ~Program();

  // Runs the next `tokens` of the stream of `state` (at least one). With a sink, it gets the logits
  // of every position, in order; otherwise nothing is computed beyond the state.
  Status Run(std::span<const TokenId> tokens, State* state, ProgramWorkspace* workspace,
             const LogitsSink& sink) const;
  // The same, giving only the logits after the last token, [vocab_rows].
  Status RunForLast(std::span<const TokenId> tokens, State* state, ProgramWorkspace* workspace,
                    std::span<float> last_logits) const;
  // The next token of each of several streams at once: the weights are read once for all. Each
  // stream gets the bits that RunForLast would give it alone. The states are distinct; logits
  // [streams, vocab_rows]. kInvalidArgument for other sizes or a token outside the vocabulary; no
  // state has then changed.
  Status RunEach(std::span<const TokenId> tokens, std::span<State* const> states,
                 ProgramWorkspace* workspace, std::span<float> logits) const;
  // The same as the first two for a graph of frames [T, width of the Frames node], at least one;
  // kInvalidArgument for frames that are not whole or not finite. Row t of the logits is of the
  // frames up to t.
  Status RunFrames(std::span<const float> frames, State* state, ProgramWorkspace* workspace,
                   const LogitsSink& sink) const;
  Status RunFramesForLast(std::span<const float> frames, State* state, ProgramWorkspace* workspace,
                          std::span<float> last_logits) const;
  // One block on the residual stream [T, d_model], in place; for passes that go layer by layer.
  Status RunLayer(int layer, std::vector<float>* residual, State* state,
                  ProgramWorkspace* workspace) const;

  const Graph& graph() const;
  // One per step, in order.
  std::vector<StepKernels> Kernels() const;

 private:
  Program();
  static Result<std::unique_ptr<Program>> LowerRange(const Graph& graph, const WeightMap& weights,
                                                     ValueId begin, ValueId end,
                                                     const LowerOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace octet
#endif  // OCTET_EXEC_PROGRAM_H_
