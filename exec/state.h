// What a stream remembers between tokens: fixed size, however long the text.
#ifndef OCTET_EXEC_STATE_H_
#define OCTET_EXEC_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "exec/conv_history.h"
#include "graph/graph.h"
#include "kernels/ssd.h"
#include "tensor/state_format.h"

namespace octet {

// Convolution history and recurrent state of every block, and the sum of a Mean. A value type: a
// copy is an exact snapshot, and assigning it back continues as if nothing had happened since.
class State {
 public:
  State() = default;
  // The state before the first token: all zeros, in the format graph.state. Static scales are
  // shared with the graph. A run that ignores the graph's encodings wants kFloats.
  explicit State(const Graph& graph, HistoryStorage history = HistoryStorage::kCodes);
  // Of block `layer` alone, for passes that go layer by layer: the others have no memory.
  static State OfBlock(const Graph& graph, int layer,
                       HistoryStorage history = HistoryStorage::kCodes);

  // What a Mean has added up [width].
  std::vector<float>& sum() { return sum_; }
  // History of the convolution of block `layer`.
  ConvHistory& conv(int layer) { return layers_[static_cast<size_t>(layer)].conv; }
  // Recurrent state of block `layer`: [H, P, N] of an Ssd (kernels/ssd.h), [I, N] of a
  // SelectiveScan (kernels/scan.h), [H, 2 N] of an S4d (kernels/s4d.h). `offset`: tokens between
  // position() and the first of the call.
  StateView ssm(int layer, int64_t offset = 0);
  // The values that the recurrent state holds, decoded.
  std::vector<float> Values(int layer) const;

  // Memory of one stream: history, codes, residuals and dynamic scales.
  int64_t bytes() const;
  int64_t position() const { return position_; }  // tokens seen so far
  void Advance(int64_t tokens) { position_ += tokens; }

  // The same as bytes, of a number that graph and format alone decide: position(), then of each
  // block the history, its oldest row first, the codes, dynamic scales and residuals, then the sum;
  // all little endian.
  std::string ToBytes() const;
  // Takes the place of what a state of the same graph remembered. kCorrupt, with `this` unchanged,
  // for another number of bytes, a position below 0 or above 2^62, a code that the format does not
  // have or a value that is not finite.
  Status FromBytes(std::span<const std::byte> bytes);

  friend bool operator==(const State& a, const State& b);

 private:
  struct Layer {
    ConvHistory conv;
    int64_t rows = 0, N = 0;  // of h
    std::vector<std::byte> h;
    std::vector<float> h_scales;       // dynamic ones
    std::vector<uint8_t> h_residuals;  // kFeedback
    friend bool operator==(const Layer&, const Layer&) = default;
  };
  void Allocate(const Graph& graph, const Node& n, HistoryStorage history);
  // Calls part(bytes) for each run of bytes of `state`, a State or const State, in order.
  template <class S, class Part>
  static void ForEachPart(S& state, const Part& part);
  bool IsSound() const;

  StateFormat format_;
  std::shared_ptr<const std::vector<StateScales>> fixed_;  // by layer
  std::vector<Layer> layers_;
  std::vector<float> sum_;
  int64_t position_ = 0;
};

}  // namespace octet
#endif  // OCTET_EXEC_STATE_H_
