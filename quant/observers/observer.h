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
  // All values of a document have been shown: an observer that must see a document as a whole
  // reduces what it kept of it. Optional before Merge and Choose, which do the same.
  virtual void EndDocument() {}
  // `other` must be of the same kind and size.
  virtual void Merge(const Observer& other) = 0;
  // The encoding that the statistics call for. kInvalidArgument when nothing was observed, kCorrupt
  // when a value was NaN or infinite.
  virtual Result<Encoding> Choose(DType dtype) const = 0;
  // The range of values that each scale must hold; errors as Choose. kUnsupported from an observer
  // that does not tell signs apart.
  virtual Result<std::vector<ValueRange>> Ranges() const;
};

// The static encoding in `codec` that `ranges` call for, one a scale, by FitCodec (tensor/codec.h).
Encoding ChooseCodec(const std::vector<ValueRange>& ranges, Codec codec);
// Of what an observer saw; errors as Ranges.
Result<Encoding> ChooseCodec(const Observer& observer, Codec codec);

// Running minimum and maximum for each of `scales` scales, Choose using the larger magnitude: no
// clipping on the calibration data.
std::unique_ptr<Observer> MakeAbsMaxObserver(ScaleAxis axis, int64_t scales);

// The two below clip: codes saturate beyond a value that each document proposes, a document being
// everything that one observer sees before EndDocument, Merge or Choose. They keep its magnitudes
// (4 bytes each) until then, and afterwards 8 bytes for each document and scale. A document that
// shows nothing to a scale proposes nothing for it.

// The `alpha`-quantile of the document's magnitudes, 0 <= alpha <= 1, by linear interpolation
// between order statistics (numpy's and torch's default). Documents combine in their order by an
// exponential moving average, m += 0.01 (q - m), from the first (Quamba; methods_mamba 2.0).
// Merge is associative and gives exactly the average over all documents in order.
std::unique_ptr<Observer> MakePercentileObserver(ScaleAxis axis, int64_t scales, double alpha);

// The clip t that minimizes the document's mean squared error of 8-bit codes,
//     E[(|v| - t)^2; |v| > t] + t^2 / (3 * 4^8) P(|v| <= t),
// by the fixed point t <- E[|v|; |v| > t] / (P(|v| <= t) 4^-8 / 3 + P(|v| > t)) from t = E|v|
// (OCTAV, Sakr et al. 2022; methods_mamba 2.0). Documents combine by their mean, in order.
std::unique_ptr<Observer> MakeOctavObserver(ScaleAxis axis, int64_t scales);

}  // namespace octet
#endif  // OCTET_QUANT_OBSERVERS_OBSERVER_H_
