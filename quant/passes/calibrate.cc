#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "kernels/isa.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

using ObserverMap = std::unordered_map<std::string, std::unique_ptr<Observer>>;

int64_t ScaleCount(const Graph& graph, int layer, SiteRule::Count count) {
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    const SsdAttributes& s = graph.nodes[static_cast<size_t>(v)].ssd;
    if (graph.nodes[static_cast<size_t>(v)].op != Op::kSsd) continue;
    if (count == SiteRule::Count::kGroups) return s.groups;
    if (count == SiteRule::Count::kHeadChannels) return s.heads * s.head_dim;
  }
  return 1;
}

// A rule for one site of one block.
struct SiteObserver {
  std::string site;  // full name
  ScaleAxis axis;
  int64_t scales;
};

// Whether the block has the site, inside its Ssd where the name says so.
bool HasSite(const Graph& graph, int layer, const std::string& site) {
  if (!site.starts_with("ssd.")) {
    return graph.FindSite(fmt::format("layers.{}.{}", layer, site)) >= 0;
  }
  const auto [begin, end] = graph.LayerRange(layer);
  return std::any_of(graph.nodes.begin() + begin, graph.nodes.begin() + end,
                     [](const Node& n) { return n.op == Op::kSsd; });
}

Result<std::vector<SiteObserver>> Resolve(const Graph& graph, const CalibrateOptions& options) {
  std::vector<SiteObserver> sites;
  for (const Node& n : graph.nodes) {
    if (!options.linear_inputs || n.op != Op::kLinear || n.layer < 0) continue;
    sites.push_back({graph.nodes[static_cast<size_t>(n.in[0])].site, ScaleAxis::kTensor, 1});
  }
  for (int layer = 0; layer < graph.layers; ++layer) {
    for (const SiteRule& rule : options.rules) {
      if (HasSite(graph, layer, rule.site)) {
        sites.push_back({fmt::format("layers.{}.{}", layer, rule.site), rule.axis,
                         ScaleCount(graph, layer, rule.count)});
      } else if (!rule.optional) {
        return InvalidArgument(fmt::format("block {} has no site {}", layer, rule.site));
      }
    }
  }
  return sites;
}

// The observers of one document, and the mean of each block's output.
class ObserverTap : public Tap {
 public:
  ObserverTap(const Graph& graph, const CalibrateOptions& options,
              const std::vector<SiteObserver>& sites)
      : options_(options), block_means(static_cast<size_t>(graph.layers)) {
    for (const SiteObserver& s : sites) {
      observers[s.site] = MakeAbsMaxObserver(s.axis, s.scales);
      wants_inner_ = wants_inner_ || s.site.find(".ssd.") != std::string::npos;
    }
    for (int layer = 0; layer < graph.layers; ++layer) {
      outputs_[fmt::format("layers.{}.out", layer)] = layer;
    }
  }

  void At(std::string_view site, int64_t index, float* values, int64_t rows,
          int64_t cols) override {
    std::string name(site);
    if (const auto out = outputs_.find(name); out != outputs_.end()) {
      Means(values, rows, cols, &block_means[static_cast<size_t>(out->second)]);
    }
    constexpr std::string_view kLocal = "local_state", kCarried = "ssd.state";
    if (name.ends_with(kLocal)) {
      name.replace(name.size() - kLocal.size(), kLocal.size(), "state");
    } else if (name.ends_with(kCarried) && !options_.running_state) {
      return;
    }
    if (const auto it = observers.find(name); it != observers.end()) {
      it->second->Update({values, index, rows, cols});
    }
  }
  bool WantsInnerSites() const override { return wants_inner_; }
  bool WantsFullScore() const override { return options_.full_score; }

 private:
  static void Means(const float* values, int64_t rows, int64_t cols, std::vector<double>* means) {
    means->assign(static_cast<size_t>(cols), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        (*means)[static_cast<size_t>(c)] += static_cast<double>(values[r * cols + c]);
      }
    }
    for (double& m : *means) {
      m /= static_cast<double>(rows);
    }
  }

  CalibrateOptions options_;
  std::unordered_map<std::string, int> outputs_;
  bool wants_inner_ = false;

 public:
  ObserverMap observers;
  std::vector<std::vector<double>> block_means;  // [layer][channel]
};

Status RunDocument(const Interpreter& interpreter, const Graph& graph,
                   const std::vector<TokenId>& document, ObserverTap* tap) {
  State state(graph);
  OCTET_ASSIGN(std::vector<float> residual, interpreter.Embed(document));
  for (int layer = 0; layer < graph.layers; ++layer) {
    OCTET_TRY(interpreter.RunLayer(layer, &residual, &state, tap));
  }
  return {};
}

}  // namespace

Pass Calibrate(const CalibrateOptions& options) {
  return {"calibrate", [options](QuantContext& c) -> Status {
            OCTET_ASSIGN(const std::vector<SiteObserver> sites, Resolve(c.graph, options));
            const Interpreter interpreter(c.graph, c.weights, AllowedIsas());
            const size_t count = c.data.documents.size();
            std::vector<std::unique_ptr<ObserverTap>> taps(count);
            std::vector<Status> statuses(count);
            // Documents run side by side in groups, so that progress can be shown between them.
            const size_t group = static_cast<size_t>(c.pool.threads()) * 2;
            for (size_t first = 0; first < count; first += group) {
              const size_t last = std::min(count, first + group);
              c.pool.For(static_cast<int64_t>(last - first), [&](int64_t task, int) {
                const size_t i = first + static_cast<size_t>(task);
                taps[i] = std::make_unique<ObserverTap>(c.graph, options, sites);
                statuses[i] = RunDocument(interpreter, c.graph, c.data.documents[i], taps[i].get());
              });
              if (c.progress) {
                c.progress("calibrating", static_cast<int64_t>(last), static_cast<int64_t>(count));
              }
            }
            for (const Status& s : statuses) {
              OCTET_TRY(s);
            }
            ObserverTap total(c.graph, options, sites);
            c.calibration.block_means.assign(static_cast<size_t>(c.graph.layers), {});
            for (const auto& tap : taps) {
              for (auto& [site, observer] : total.observers) {
                observer->Merge(*tap->observers.at(site));
              }
              for (size_t layer = 0; layer < tap->block_means.size(); ++layer) {
                c.calibration.block_means[layer].push_back(tap->block_means[layer]);
              }
            }
            for (const auto& [site, observer] : total.observers) {
              Result<Encoding> e = observer->Choose(DType::kI8);
              if (!e.ok()) return e.status().Annotate(site);
              c.graph.encodings[site] = *std::move(e);
            }
            return {};
          }};
}

}  // namespace octet
