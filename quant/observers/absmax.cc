#include <algorithm>
#include <cassert>
#include <cmath>

#include "quant/observers/observer.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// Widens `range` to hold `value`; a NaN lands in `high`, and stays.
void Include(float value, ValueRange* range) {
  if (value > range->high || std::isnan(value)) range->high = value;
  if (value < range->low) range->low = value;
}

class AbsMaxObserver : public Observer {
 public:
  AbsMaxObserver(ScaleAxis axis, int64_t scales)
      : axis_(axis), ranges_(static_cast<size_t>(scales), ValueRange{0.0f, 0.0f}) {}

  void Update(const Observation& x) override {
    seen_ = true;
    if (axis_ == ScaleAxis::kColumn) {
      UpdateColumns(x);
      return;
    }
    for (int64_t r = 0; r < x.rows; ++r) {
      ValueRange row{0.0f, 0.0f};
      for (int64_t c = 0; c < x.cols; ++c) {
        Include(x.values[r * x.cols + c], &row);
      }
      ValueRange& slot = ranges_[static_cast<size_t>(axis_ == ScaleAxis::kRow ? x.index * x.rows + r
                                                     : axis_ == ScaleAxis::kIndex ? x.index
                                                                                  : 0)];
      Include(row.low, &slot);
      Include(row.high, &slot);
    }
  }

  void Merge(const Observer& other) override {
    const auto& o = dynamic_cast<const AbsMaxObserver&>(other);
    assert(o.ranges_.size() == ranges_.size());
    for (size_t i = 0; i < ranges_.size(); ++i) {
      Include(o.ranges_[i].low, &ranges_[i]);
      Include(o.ranges_[i].high, &ranges_[i]);
    }
    seen_ = seen_ || o.seen_;
  }

  Result<Encoding> Choose(DType dtype) const override {
    OCTET_ASSIGN(const std::vector<ValueRange> ranges, Ranges());
    Encoding e{dtype, ScaleSource::kStatic, {}};
    for (const ValueRange& range : ranges) {
      e.scales.push_back(ScaleForAbsMax(std::max(-range.low, range.high)));
    }
    return e;
  }

  Result<std::vector<ValueRange>> Ranges() const override {
    if (!seen_) return InvalidArgument("nothing was observed");
    for (const ValueRange& range : ranges_) {
      if (!std::isfinite(range.low) || !std::isfinite(range.high)) {
        return Corrupt("the model produced values that are not finite");
      }
    }
    return ranges_;
  }

 private:
  void UpdateColumns(const Observation& x) {
    // Inner sites show one head at a time; node sites show all channels, in equal runs per scale.
    const auto scales = static_cast<int64_t>(ranges_.size());
    const bool per_column = scales >= x.cols;
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t c = 0; c < x.cols; ++c) {
        const int64_t at = per_column ? x.index * x.cols + c : c * scales / x.cols;
        Include(x.values[r * x.cols + c], &ranges_[static_cast<size_t>(at)]);
      }
    }
  }

  ScaleAxis axis_;
  bool seen_ = false;
  std::vector<ValueRange> ranges_;
};

}  // namespace

std::unique_ptr<Observer> MakeAbsMaxObserver(ScaleAxis axis, int64_t scales) {
  return std::make_unique<AbsMaxObserver>(axis, scales);
}

}  // namespace octet
