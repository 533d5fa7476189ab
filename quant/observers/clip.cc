#include "quant/observers/clip.h"

#include <cassert>
#include <cmath>

#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

int64_t ScaleOf(ScaleAxis axis, int64_t scales, const Observation& x, int64_t row, int64_t column) {
  switch (axis) {
    case ScaleAxis::kTensor:
      return 0;
    case ScaleAxis::kRow:
      return x.index * x.rows + row;
    case ScaleAxis::kIndex:
      return x.index;
    case ScaleAxis::kColumn:
      // Inner sites show one head at a time; node sites show all channels, in equal runs per scale.
      return scales >= x.cols ? x.index * x.cols + column : column * scales / x.cols;
  }
  return 0;
}

}  // namespace

ClipObserver::ClipObserver(ScaleAxis axis, int64_t scales, Propose propose, Combine combine)
    : axis_(axis),
      propose_(std::move(propose)),
      combine_(combine),
      document_(static_cast<size_t>(scales)),
      clips_(static_cast<size_t>(scales)) {}

void ClipObserver::Update(const Observation& x) {
  seen_ = true;
  const auto scales = static_cast<int64_t>(document_.size());
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      const float magnitude = std::fabs(x.values[r * x.cols + c]);
      finite_ = finite_ && std::isfinite(magnitude);
      document_[static_cast<size_t>(ScaleOf(axis_, scales, x, r, c))].push_back(magnitude);
    }
  }
}

void ClipObserver::EndDocument() {
  for (size_t i = 0; i < document_.size(); ++i) {
    if (finite_ && !document_[i].empty()) clips_[i].push_back(propose_(&document_[i]));
    document_[i] = {};  // gives the memory back, which clear() would not
  }
}

void ClipObserver::Merge(const Observer& other) {
  ClipObserver o = dynamic_cast<const ClipObserver&>(other);
  assert(o.clips_.size() == clips_.size());
  EndDocument();
  o.EndDocument();
  for (size_t i = 0; i < clips_.size(); ++i) {
    clips_[i].insert(clips_[i].end(), o.clips_[i].begin(), o.clips_[i].end());
  }
  finite_ = finite_ && o.finite_;
  seen_ = seen_ || o.seen_;
}

Result<Encoding> ClipObserver::Choose(DType dtype) const {
  if (!seen_) return InvalidArgument("nothing was observed");
  if (!finite_) return Corrupt("the model produced values that are not finite");
  ClipObserver done = *this;
  done.EndDocument();
  Encoding e{dtype, ScaleSource::kStatic, {}};
  for (const std::vector<double>& clips : done.clips_) {
    e.scales.push_back(ScaleForAbsMax(clips.empty() ? 0 : static_cast<float>(combine_(clips))));
  }
  return e;
}

}  // namespace octet
