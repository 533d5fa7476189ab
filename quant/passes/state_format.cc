#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "quant/passes/passes.h"
#include "quant/state_scales.h"

namespace octet {
namespace {

// The largest absolute value of each element of the states.
class StatePeaks : public Tap {
 public:
  explicit StatePeaks(const Graph& graph) : peaks(static_cast<size_t>(graph.layers)) {
    for (int layer = 0; layer < graph.layers; ++layer) {
      layers_[StateSite(layer)] = static_cast<size_t>(layer);
    }
  }
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    const auto found = layers_.find(site);
    if (found == layers_.end()) return;
    std::vector<float>& most = peaks[found->second];
    most.resize(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < most.size(); ++i) {
      most[i] = std::max(most[i], std::fabs(values[i]));
    }
  }
  bool WantsInnerSites() const override { return false; }

 private:
  std::map<std::string, size_t, std::less<>> layers_;

 public:
  std::vector<std::vector<float>> peaks;  // by layer, [rows, N]
};

// Decoding stores the state at every token, prefill at the ends of chunks, and a state is largest
// right after a large input: it is looked at often, but not after every token, which would make
// each matrix product one for a single row.
constexpr size_t kPart = 8;

Status Observe(const Interpreter& interpreter, const Graph& graph,
               const std::vector<TokenId>& document, StatePeaks* peaks) {
  State state(graph);
  for (size_t begin = 0; begin < document.size(); begin += kPart) {
    const size_t count = std::min(kPart, document.size() - begin);
    OCTET_ASSIGN(std::vector<float> residual,
                 interpreter.Embed(std::span(document).subspan(begin, count)));
    for (int layer = 0; layer < graph.layers; ++layer) {
      OCTET_TRY(interpreter.RunLayer(layer, &residual, &state, peaks));
    }
    state.Advance(static_cast<int64_t>(count));
  }
  return {};
}

Status CalibrateStates(QuantContext* c) {
  if (c->data.documents.empty()) {
    return InvalidArgument("the state format i8s needs calibration text for its static scales");
  }
  const Interpreter interpreter(c->graph, c->weights, AllowedIsas());
  const size_t count = c->data.documents.size();
  std::vector<StatePeaks> taps(static_cast<size_t>(c->pool.threads()), StatePeaks(c->graph));
  std::vector<Status> statuses(count);
  c->pool.For(static_cast<int64_t>(count), [&](int64_t task, int worker) {
    const auto i = static_cast<size_t>(task);
    statuses[i] =
        Observe(interpreter, c->graph, c->data.documents[i], &taps[static_cast<size_t>(worker)]);
  });
  for (const Status& s : statuses) {
    OCTET_TRY(s);
  }
  std::vector<StateScales> scales;
  for (int layer = 0; layer < c->graph.layers; ++layer) {
    const auto l = static_cast<size_t>(layer);
    const Node& n = *FindStateNode(c->graph, layer);
    std::vector<float> most(static_cast<size_t>(n.width * StateSize(n)));
    for (StatePeaks& tap : taps) {  // a worker without tasks has seen nothing
      for (size_t i = 0; i < tap.peaks[l].size(); ++i) {
        most[i] = std::max(most[i], tap.peaks[l][i]);
      }
    }
    scales.push_back(MakeStateScales(StateLayout::kRow, most, n.width, StateSize(n)));
  }
  c->graph.state_scales = std::make_shared<const std::vector<StateScales>>(std::move(scales));
  return {};
}

}  // namespace

Pass SetStateFormat(const std::string& format) {
  return {"state format", [format](QuantContext& c) -> Status {
            OCTET_ASSIGN(const StateFormat parsed, ParseStateFormat(format));
            c.graph.state = {};
            c.graph.state_scales = nullptr;
            if (parsed.static_scales()) OCTET_TRY(CalibrateStates(&c));
            c.graph.state = parsed;
            return {};
          }};
}

}  // namespace octet
