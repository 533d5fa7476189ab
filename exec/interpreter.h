// Runs a graph in floats, node by node, showing every site to a tap: calibration and simulation.
#ifndef OCTET_EXEC_INTERPRETER_H_
#define OCTET_EXEC_INTERPRETER_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "exec/inputs.h"
#include "exec/s4d_discretize.h"
#include "exec/state.h"
#include "graph/graph.h"
#include "kernels/table.h"
#include "tensor/weights.h"

namespace octet {

// Sees, and may overwrite, the values of every site. Node sites: values [rows = tokens, cols =
// width], index 0. Inner sites of an Ssd ("layers.3.ssd.x_scaled", ".score", ".local_state",
// ".state"): see SsdTap; index is the head or the group. The recurrent state of a block
// ("layers.3.state"): [rows, state size] after the call, before it was rounded to its format; what
// the callee writes there is discarded.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual void At(std::string_view site, int64_t index, float* values, int64_t rows,
                  int64_t cols) = 0;
  // Whether inner sites are wanted; the answer "no" allows faster kernels.
  virtual bool WantsInnerSites() const { return true; }
  // Runs an S4d in place of its kernel, as a simulation does that rounds inside of it: y [T, H] of
  // u [T, H], from the zero state. "No" leaves it to the kernel.
  virtual bool RunS4d(const Node&, const DiscreteS4d&, std::span<const float> /*D*/,
                      std::span<const float> /*u*/, std::span<float> /*y*/) {
    return false;
  }
  // Whether scores above the diagonal are computed as well (the paper calibrates on them).
  virtual bool WantsFullScore() const { return false; }
};

// How an Interpreter runs an S4d: as the recurrence, or as the convolution that equals it from a
// zero state (exec/s4d_discretize.h). The latter neither reads nor writes the state: a check.
enum class S4dMode : uint8_t { kRecurrence, kConvolution };

// Float execution of a graph. Quantized weights are decoded; encodings of the graph are ignored
// (SimulationTap applies them), except that an Ssd with gate_q7, shown to a tap that wants inner
// sites, passes its state as the int8 form does. `graph` and `weights` must outlive it.
// Thread-safe: threads share one Interpreter.
class Interpreter {
 public:
  // `isas` selects kernels: kReferenceOnly for double accumulation, AllowedIsas() for speed.
  Interpreter(const Graph& graph, const WeightMap& weights, IsaMask isas,
              S4dMode s4d = S4dMode::kRecurrence);
  // For block `layer` alone, -1: for what is outside the blocks. It holds less memory; only
  // RunLayer of that layer, or Embed, FinalNorm and Logits, may be called.
  Interpreter(const Graph& graph, const WeightMap& weights, IsaMask isas, int layer);

  // Rows of the embedding, the residual stream [T, d_model] that enters block 0. kInvalidArgument
  // for a token outside the vocabulary, and for a graph that reads frames.
  Result<std::vector<float>> Embed(std::span<const TokenId> tokens) const;
  // The same of frames [T, width of the Frames node]. kInvalidArgument for a graph of tokens, and
  // for frames that are not whole or not finite.
  Result<std::vector<float>> Encode(std::span<const float> frames, Tap* tap) const;
  // Replaces the residual stream [T, d_model] by what leaves block `layer`, advancing its part of
  // `state`. `tap` may be null.
  Status RunLayer(int layer, std::vector<float>* residual, State* state, Tap* tap) const;
  // The head's input [T, d_model], as the final norm leaves it.
  Result<std::vector<float>> FinalNorm(std::span<const float> residual, Tap* tap) const;
  // Final norm and head: logits [T, vocab_rows]. With a Mean, both take the residual stream of a
  // whole sequence.
  Status Logits(std::span<const float> residual, Tap* tap, std::vector<float>* logits) const;
  // All of it for the next `tokens` of a stream.
  Status Run(std::span<const TokenId> tokens, State* state, Tap* tap,
             std::vector<float>* logits) const;
  // The same for frames [T, width]: logits [T, classes], row t being those after its token.
  Status RunFrames(std::span<const float> frames, State* state, Tap* tap,
                   std::vector<float>* logits) const;

 private:
  Status RunStream(std::vector<float> residual, State* state, Tap* tap,
                   std::vector<float>* logits) const;
  // The small weights of `n` as fp32.
  void Widen(const Node& n);
  // First node after the blocks.
  ValueId Tail() const;
  Status RunNodes(ValueId begin, ValueId end, std::span<const float> input, int64_t T, State* state,
                  Tap* tap, std::vector<float>* output) const;
  // Small weights (norms, conv, A_log, ...) as fp32; empty name: empty vector.
  const std::vector<float>& Floats(const std::string& name) const;

  const Graph& graph_;
  const WeightMap& weights_;
  IsaMask isas_;
  S4dMode s4d_ = S4dMode::kRecurrence;
  std::map<std::string, std::vector<float>, std::less<>> floats_;  // filled by constructors
};

}  // namespace octet
#endif  // OCTET_EXEC_INTERPRETER_H_
