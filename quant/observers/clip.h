// What observers share that propose a clip for each document and then combine the proposals.
#ifndef OCTET_QUANT_OBSERVERS_CLIP_H_
#define OCTET_QUANT_OBSERVERS_CLIP_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "quant/observers/observer.h"

namespace octet {

// Keeps a document's magnitudes by scale, and the clips of the documents before it.
class ClipObserver : public Observer {
 public:
  // The clip of one document, from its magnitudes: finite, at least one, in any order; may reorder.
  using Propose = std::function<double(std::vector<float>* magnitudes)>;
  // One clip from those of the documents, in their order, at least one.
  using Combine = double (*)(const std::vector<double>& clips);

  ClipObserver(ScaleAxis axis, int64_t scales, Propose propose, Combine combine);
  void Update(const Observation& x) override;
  void EndDocument() override;
  void Merge(const Observer& other) override;
  Result<Encoding> Choose(DType dtype) const override;
  // What was seen, cut off at the clip on either side.
  Result<std::vector<ValueRange>> Ranges() const override;

 private:
  ScaleAxis axis_;
  Propose propose_;
  Combine combine_;
  // By scale; 0 where nothing was seen.
  Result<std::vector<float>> Clips() const;

  bool finite_ = true, seen_ = false;
  std::vector<std::vector<float>> document_;  // by scale: magnitudes
  std::vector<std::vector<double>> clips_;    // by scale and document
  std::vector<ValueRange> seen_range_;        // by scale
};

}  // namespace octet
#endif  // OCTET_QUANT_OBSERVERS_CLIP_H_
