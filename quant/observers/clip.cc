#include "quant/observers/clip.h"

#include <algorithm>
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
      clips_(static_cast<size_t>(scales)),
      seen_range_(static_cast<size_t>(scales), {0.0f, 0.0f}) {}

void ClipObserver::Update(const Observation& x) {
  seen_ = true;
  const auto scales = static_cast<int64_t>(document_.size());
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.cols; ++c) {
      const float value = x.values[r * x.cols + c];
      finite_ = finite_ && std::isfinite(value);
      const auto at = static_cast<size_t>(ScaleOf(axis_, scales, x, r, c));
      document_[at].push_back(std::fabs(value));
      seen_range_[at] = {std::min(seen_range_[at].low, value),
                         std::max(seen_range_[at].high, value)};
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
    seen_range_[i] = {std::min(seen_range_[i].low, o.seen_range_[i].low),
                      std::max(seen_range_[i].high, o.seen_range_[i].high)};
  }
  finite_ = finite_ && o.finite_;
  seen_ = seen_ || o.seen_;
}

Result<std::vector<float>> ClipObserver::Clips() const {
  if (!seen_) return InvalidArgument("nothing was observed");
  if (!finite_) return Corrupt("the model produced values that are not finite");
  ClipObserver done = *this;
  done.EndDocument();
  std::vector<float> clips;
  for (const std::vector<double>& own : done.clips_) {
    clips.push_back(own.empty() ? 0.0f : static_cast<float>(combine_(own)));
  }
  return clips;
}

Result<Encoding> ClipObserver::Choose(DType dtype) const {
  OCTET_ASSIGN(const std::vector<float> clips, Clips());
  Encoding e{dtype, ScaleSource::kStatic, {}};
  for (const float clip : clips) {
    e.scales.push_back(ScaleForAbsMax(clip));
  }
  return e;
}

Result<std::vector<ValueRange>> ClipObserver::Ranges() const {
  OCTET_ASSIGN(const std::vector<float> clips, Clips());
  std::vector<ValueRange> ranges;
  for (size_t i = 0; i < clips.size(); ++i) {
    ranges.push_back(
        {std::max(seen_range_[i].low, -clips[i]), std::min(seen_range_[i].high, clips[i])});
  }
  return ranges;
}

}  // namespace octet
