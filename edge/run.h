// Runs an integer S4D classifier on this machine, as edge/integer_s4d.h defines it.
#ifndef OCTET_EDGE_RUN_H_
#define OCTET_EDGE_RUN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"

namespace octet {

// Everything that a step computed.
struct IntegerTrace {
  struct Layer {
    std::vector<int32_t> u;     // [heads], codes less their zero point
    std::vector<int16_t> x;     // [heads, modes, 2]
    std::vector<int8_t> y, g;   // [heads]
    std::vector<int32_t> gate;  // [heads]
    std::vector<int32_t> r;     // [heads], the stream after the layer
    std::vector<int32_t> s;     // [heads], codes of y_ssm less their zero point, or Y
    // How many values of u, y_ssm and y, and parts of x, lay beyond their codes and were cut off.
    struct {
      int64_t u = 0, x = 0, y_ssm = 0, y = 0;
    } cut;
  };
  std::vector<int32_t> encoder;  // [heads]
  std::vector<Layer> layers;
};

// One stream of frames from a zero state. `model` must outlive it. A copy continues on its own.
class IntegerRun {
 public:
  explicit IntegerRun(const IntegerS4d& model);

  void Reset();
  // Takes in a frame of model.inputs codes; any int8 is allowed. `trace` may be null.
  // kInvalidArgument for a frame of another length, kTooLarge after kMaxFrames frames.
  Status Step(std::span<const int8_t> frame, IntegerTrace* trace = nullptr);
  // The means [heads] as codes, before their limits.
  std::vector<int64_t> Mean() const;
  // Logits [classes] after the frames so far; of a zero mean before the first.
  std::vector<int32_t> Read() const;

 private:
  void RunLayer(size_t layer, std::vector<int32_t>* r, IntegerTrace::Layer* trace);

  const IntegerS4d* model_;
  std::vector<std::vector<int16_t>> x_;  // by layer, [heads, modes, 2]
  std::vector<int64_t> sum_;             // [heads]
  uint32_t frames_ = 0;
};

// The codes of values of frames.
std::vector<int8_t> FrameCodesOf(const IntegerS4d& model, std::span<const float> frames);

// Logits after the last of `frames` [T, inputs] from a zero state, as numbers: what
// S4dSimulation::Run gives. kInvalidArgument for frames that are not whole, or none.
Result<std::vector<float>> RunFrames(const IntegerS4d& model, std::span<const float> frames);

}  // namespace octet
#endif  // OCTET_EDGE_RUN_H_
