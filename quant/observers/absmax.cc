#include <algorithm>
#include <cassert>
#include <cmath>

#include "quant/observers/observer.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// The larger magnitude; a NaN wins, and stays.
float Larger(float peak, float value) {
  const float magnitude = std::fabs(value);
  return magnitude > peak || std::isnan(magnitude) ? magnitude : peak;
}

class AbsMaxObserver : public Observer {
 public:
  AbsMaxObserver(ScaleAxis axis, int64_t scales)
      : axis_(axis), absmax_(static_cast<size_t>(scales), 0.0f) {}

  void Update(const Observation& x) override {
    seen_ = true;
    if (axis_ == ScaleAxis::kColumn) {
      UpdateColumns(x);
      return;
    }
    for (int64_t r = 0; r < x.rows; ++r) {
      float peak = 0;
      for (int64_t c = 0; c < x.cols; ++c) {
        peak = Larger(peak, x.values[r * x.cols + c]);
      }
      float& slot = absmax_[static_cast<size_t>(axis_ == ScaleAxis::kRow     ? x.index * x.rows + r
                                                : axis_ == ScaleAxis::kIndex ? x.index
                                                                             : 0)];
      slot = Larger(slot, peak);
    }
  }

  void Merge(const Observer& other) override {
    const auto& o = dynamic_cast<const AbsMaxObserver&>(other);
    assert(o.absmax_.size() == absmax_.size());
    for (size_t i = 0; i < absmax_.size(); ++i) {
      absmax_[i] = Larger(absmax_[i], o.absmax_[i]);
    }
    seen_ = seen_ || o.seen_;
  }

  Result<Encoding> Choose(DType dtype) const override {
    if (!seen_) return InvalidArgument("nothing was observed");
    Encoding e{dtype, ScaleSource::kStatic, {}};
    for (const float peak : absmax_) {
      if (!std::isfinite(peak)) return Corrupt("the model produced values that are not finite");
      e.scales.push_back(ScaleForAbsMax(peak));
    }
    return e;
  }

 private:
  void UpdateColumns(const Observation& x) {
    // Inner sites show one head at a time; node sites show all channels, in equal runs per scale.
    const auto scales = static_cast<int64_t>(absmax_.size());
    const bool per_column = scales >= x.cols;
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t c = 0; c < x.cols; ++c) {
        const int64_t at = per_column ? x.index * x.cols + c : c * scales / x.cols;
        float& slot = absmax_[static_cast<size_t>(at)];
        slot = Larger(slot, x.values[r * x.cols + c]);
      }
    }
  }

  ScaleAxis axis_;
  bool seen_ = false;
  std::vector<float> absmax_;
};

}  // namespace

std::unique_ptr<Observer> MakeAbsMaxObserver(ScaleAxis axis, int64_t scales) {
  return std::make_unique<AbsMaxObserver>(axis, scales);
}

}  // namespace octet
