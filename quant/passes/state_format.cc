#include <algorithm>
#include <cmath>
#include <memory>

#include "quant/observers/observer.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

// Decoding stores the state at every token, prefill at the ends of chunks, and a state is largest
// right after a large input: it is looked at often, but not after every token, which would make
// each matrix product one for a single row.
constexpr int64_t kPart = 8;

// Of the states of one document: the largest absolute value of each element, or what an observer of
// one scale for all makes of them.
class StateTap : public Tap {
 public:
  StateTap(int layer, std::unique_ptr<Observer> observer)
      : one_scale(std::move(observer)), site_(StateSite(layer)) {}
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (site != site_) return;
    if (one_scale != nullptr) {
      one_scale->Update({values, 0, rows, cols});
      return;
    }
    peaks.resize(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < peaks.size(); ++i) {
      const float magnitude = std::fabs(values[i]);
      peaks[i] = magnitude > peaks[i] || std::isnan(magnitude) ? magnitude : peaks[i];
    }
  }
  bool WantsInnerSites() const override { return false; }

  std::vector<float> peaks;  // [rows, N]
  std::unique_ptr<Observer> one_scale;

 private:
  std::string site_;
};

Result<StateScales> Calibrate(QuantContext& c, int layer, const StatePlan& plan) {
  const bool percentile = plan.observer == ObserverKind::kPercentile;
  const auto observer = [&] {
    return percentile ? MakePercentileObserver(ScaleAxis::kTensor, 1, plan.alpha) : nullptr;
  };
  const Node& n = *FindStateNode(c.graph, layer);
  const std::unique_ptr<Observer> total = observer();
  std::vector<float> peaks(static_cast<size_t>(n.width * StateSize(n)), 0.0f);
  bool finite = true;
  std::vector<std::unique_ptr<StateTap>> taps(c.data.documents.size());
  const auto make = [&](size_t d) {
    taps[d] = std::make_unique<StateTap>(layer, observer());
    return taps[d].get();
  };
  const auto seen = [&](size_t d) {
    if (percentile) {
      taps[d]->one_scale->EndDocument();
      total->Merge(*taps[d]->one_scale);
    } else {
      for (size_t i = 0; i < peaks.size(); ++i) {
        finite = finite && std::isfinite(taps[d]->peaks[i]);
        peaks[i] = std::max(peaks[i], taps[d]->peaks[i]);
      }
    }
    taps[d].reset();
  };
  OCTET_TRY(ObserveStates(c, layer, kPart, make, seen));
  if (percentile) {
    OCTET_ASSIGN(const Encoding e, total->Choose(DType::kI8));
    return StateScales{1, e.scales, {}};
  }
  if (!finite) return Corrupt("the model has states that are not finite");
  std::vector<uint16_t> map;
  if (plan.layout == StateLayout::kCluster) map = ClusterOfChannel(*c.clusters);
  return MakeStateScales(plan.layout, peaks, n.width, StateSize(n), std::move(map));
}

}  // namespace

Pass SetStateFormat(const StatePlan& plan) {
  return {"state format",
          [plan](QuantContext& c) -> Status {
            OCTET_ASSIGN(c.state, ParseStateFormat(plan.format));
            if (!c.state.static_scales()) return {};
            // Blocks that are not calibrated yet have some legal scale.
            c.state_scales.assign(static_cast<size_t>(c.graph.layers), {1, {1.0f}, {}});
            return StartStreams(c, &c.float_streams);
          },
          [plan](QuantContext& c, int layer) -> Status {
            if (!c.state.static_scales()) return {};
            OCTET_ASSIGN(c.state_scales[static_cast<size_t>(layer)], Calibrate(c, layer, plan));
            return {};
          },
          [](QuantContext& c) -> Status {
            c.graph.state = c.state;
            c.graph.state_scales = nullptr;
            if (c.state.static_scales()) {
              c.graph.state_scales =
                  std::make_shared<const std::vector<StateScales>>(c.state_scales);
            }
            return {};
          }};
}

}  // namespace octet
