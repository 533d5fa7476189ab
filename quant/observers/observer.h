// Statistics of a site over calibration data.
#ifndef OCTET_QUANT_OBSERVERS_OBSERVER_H_
#define OCTET_QUANT_OBSERVERS_OBSERVER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "tensor/encoding.h"

namespace octet {

// How the values that a Tap shows map to the scales of an encoding.
enum class ScaleAxis : uint8_t {
  kTensor,  // one scale
  kColumn,  // scale = index * columns + column, folded onto the number of scales: channels of a
            // node site, or (head, head_dim) for x_scaled
  kRow,     // scale = index * rows + row: (head, head_dim) for states
  kIndex,   // scale = index: the group for scores
};

// Values of one call of Tap::At.
struct Observation {
  const float* values;  // [rows, cols]
  int64_t index, rows, cols;
};

// Sees the values of one site, in any number of calls; several observers of one site merge in
// document order, so that results do not depend on threads.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void Update(const Observation& x) = 0;
  // `other` must be of the same kind and size.
  virtual void Merge(const Observer& other) = 0;
  // The encoding that the statistics call for. kInvalidArgument when nothing was observed, kCorrupt
  // when a value was NaN or infinite.
  virtual Result<Encoding> Choose(DType dtype) const = 0;
  // The range of values that each scale must hold; errors as Choose. kUnsupported from an observer
  // that does not tell signs apart.
  virtual Result<std::vector<ValueRange>> Ranges() const;
};

// The static encoding in `codec` that the observed ranges call for, by FitCodec (tensor/codec.h).
Result<Encoding> ChooseCodec(const Observer& observer, Codec codec);

// Running minimum and maximum for each of `scales` scales, Choose using the larger magnitude: no
// clipping on the calibration data.
std::unique_ptr<Observer> MakeAbsMaxObserver(ScaleAxis axis, int64_t scales);

}  // namespace octet
#endif  // OCTET_QUANT_OBSERVERS_OBSERVER_H_
