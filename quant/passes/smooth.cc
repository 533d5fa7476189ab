#include "quant/smooth.h"

#include <map>
#include <memory>

#include "quant/observers/observer.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

using Observers = std::map<std::string, std::unique_ptr<Observer>, std::less<>>;  // by site

class ChannelTap : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    const auto found = observers.find(site);
    if (found != observers.end()) found->second->Update({values, 0, rows, cols});
  }
  bool WantsInnerSites() const override { return false; }
  Observers observers;
};

// The linears of a block whose input a norm with a weight makes, by the site of that input.
std::map<std::string, ValueId> Smoothable(const Graph& graph, int layer) {
  std::map<std::string, ValueId> linears;
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    if (n.op != Op::kLinear) continue;
    const Node& input = graph.nodes[static_cast<size_t>(n.in[0])];
    const bool norm = input.op == Op::kRmsNorm || input.op == Op::kGatedRmsNorm;
    if (norm && !input.weights[0].empty()) linears[input.site] = v;
  }
  return linears;
}

Status SmoothBlock(QuantContext& c, int layer, double alpha) {
  const std::map<std::string, ValueId> linears = Smoothable(c.graph, layer);
  std::vector<ChannelTap> taps(c.data.documents.size());
  for (ChannelTap& tap : taps) {
    for (const auto& [site, v] : linears) {
      const Node& linear = c.graph.nodes[static_cast<size_t>(v)];
      const int64_t width = c.graph.nodes[static_cast<size_t>(linear.in[0])].width;
      tap.observers[site] = MakeAbsMaxObserver(ScaleAxis::kColumn, width);
    }
  }
  OCTET_TRY(RunFloatBlock(c, layer, [&](size_t d) { return &taps[d]; }));
  for (const auto& [site, v] : linears) {
    Observer& total = *taps[0].observers.at(site);
    for (size_t d = 1; d < taps.size(); ++d) {
      total.Merge(*taps[d].observers.at(site));
    }
    OCTET_ASSIGN(const std::vector<ValueRange> ranges, total.Ranges());
    std::vector<float> absmax;
    absmax.reserve(ranges.size());
    for (const ValueRange& r : ranges) {
      absmax.push_back(std::max(-r.low, r.high));
    }
    const Node& linear = c.graph.nodes[static_cast<size_t>(v)];
    OCTET_ASSIGN(const Weight w, c.weights.Get(linear.weights[0]));
    OCTET_ASSIGN(const std::vector<float> factors, SmoothFactors(absmax, w, alpha));
    OCTET_TRY(FoldSmoothing(c.graph, v, factors, &c.weights));
  }
  return {};
}

}  // namespace

Pass Smooth(double alpha) {
  return {"smooth", [](QuantContext& c) { return StartStreams(c, &c.float_streams); },
          [alpha](QuantContext& c, int layer) { return SmoothBlock(c, layer, alpha); }};
}

}  // namespace octet
