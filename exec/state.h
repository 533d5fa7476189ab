// What a stream remembers between tokens: fixed size, however long the text.
#ifndef OCTET_EXEC_STATE_H_
#define OCTET_EXEC_STATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "kernels/ssd.h"

namespace octet {

// Convolution history and recurrent state of every block. A value type: a copy is an exact
// snapshot, and assigning it back continues as if nothing had happened since.
class State {
 public:
  State() = default;
  // The state before the first token: all zeros, in graph.state_dtype.
  explicit State(const Graph& graph);

  // History of block `layer` [K - 1, channels], oldest first (kernels/conv1d.h); null when K is 1.
  float* conv(int layer) { return layers_[static_cast<size_t>(layer)].conv.data(); }
  // Recurrent state of block `layer`: [H, P, N] of an Ssd (kernels/ssd.h), [I, N] of a
  // SelectiveScan (kernels/scan.h).
  StateView ssm(int layer);

  int64_t bytes() const;                          // memory of one stream
  int64_t position() const { return position_; }  // tokens seen so far
  void Advance(int64_t tokens) { position_ += tokens; }

  friend bool operator==(const State&, const State&) = default;

 private:
  struct Layer {
    std::vector<float> conv;
    std::vector<std::byte> h;
    std::vector<float> h_scales;
    friend bool operator==(const Layer&, const Layer&) = default;
  };
  DType dtype_ = DType::kF32;
  std::vector<Layer> layers_;
  int64_t position_ = 0;
};

}  // namespace octet
#endif  // OCTET_EXEC_STATE_H_
