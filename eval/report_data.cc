#include "eval/report_data.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/checked.h"
#include "exec/quantized_format.h"
#include "exec/state.h"
#include "kernels/isa.h"

namespace octet {
namespace {

constexpr int64_t kPiece = 64;

// "a.weight" of "a.weight_scale" and "a.weight_group_scale".
std::string WithoutScale(const std::string& name) {
  for (const char* suffix : {"_group_scale", "_scale"}) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - std::string(suffix).size());
  }
  return name;
}

std::vector<int> LayersOf(const ReportOptions& options, const Graph& graph) {
  std::vector<int> layers = options.layers;
  if (layers.empty()) layers = {0, graph.layers / 2, graph.layers - 1};
  std::ranges::sort(layers);
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

}  // namespace

StoredSize SizeOf(const Model& model) {
  const Graph& graph = model.graph();
  std::set<std::string> ends, matrices;
  for (size_t v = 0; v < graph.nodes.size(); ++v) {
    const Node& n = graph.nodes[v];
    if (n.op != Op::kEmbedding && n.op != Op::kLinear) continue;
    (n.layer < 0 ? ends : matrices).insert(n.weights.front());
  }
  StoredSize size;
  for (const auto& [name, w] : StoredTensors(graph, model.weights())) {
    const std::string tensor = WithoutScale(name);
    int64_t& part = ends.contains(tensor)       ? size.ends
                    : matrices.contains(tensor) ? size.matrices
                                                : size.rest;
    part += w.data_bytes();
  }
  return size;
}

Result<SiteReport> MeasureSites(const Model& model, std::span<const TokenDocument> documents,
                                std::span<const int> layers, const Progress& progress) {
  const Graph& graph = model.graph();
  std::vector<SiteReport::Panel> wanted;
  std::set<std::string, std::less<>> sites;
  for (const int layer : layers) {
    if (layer < 0 || layer >= graph.layers) {
      return InvalidArgument(
          fmt::format("there is no block {}; the model has {}", layer, graph.layers));
    }
    for (NamedSite& s : NotableSites(graph, layer)) {
      sites.insert(s.site);
      wanted.push_back({layer, std::move(s), {}});
    }
  }
  const Interpreter interpreter(graph, model.weights(), AllowedIsas());
  HistogramTap tap(graph, std::move(sites));
  const int64_t chunk = ChunkSize(graph);
  const auto piece = static_cast<size_t>(CeilDiv(kPiece, chunk) * chunk);
  SiteReport report;
  std::vector<float> logits;
  int64_t done = 0;
  for (const TokenDocument& document : documents) {
    State state(graph);
    for (size_t t = 0; t < document.size(); t += piece) {
      const auto part = std::span(document).subspan(t, std::min(piece, document.size() - t));
      OCTET_TRY(interpreter.Run(part, &state, &tap, &logits));
      report.tokens += std::ssize(part);
    }
    if (progress) progress("watching activations", ++done, std::ssize(documents));
  }
  for (SiteReport::Panel& p : wanted) {
    const auto seen = tap.histograms().find(p.site.site);
    if (seen == tap.histograms().end() || seen->second.values == 0) continue;
    if (p.site.inner && !seen->second.grid) continue;
    p.histogram = seen->second;
    report.panels.push_back(std::move(p));
  }
  report.saturation = tap.saturation();
  return report;
}

Result<ReportData> MeasureReport(std::span<const std::shared_ptr<const Model>> models,
                                 std::span<const TokenId> tokens, const std::string& name,
                                 std::span<const TokenDocument> documents,
                                 const ReportOptions& options, const Progress& progress) {
  if (models.size() < 2) return InvalidArgument("a report needs a model beside the reference");
  ReportData data;
  data.layers = LayersOf(options, models.front()->graph());
  OCTET_ASSIGN(
      std::vector<CompareReport> quality,
      CompareAll(models.front(), models.subspan(1), tokens, name, options.windows, progress));
  for (size_t i = 0; i < models.size(); ++i) {
    const Model& model = *models[i];
    ModelReport& m = data.models.emplace_back();
    m.size = SizeOf(model);
    m.state_bytes = State(model.graph()).bytes();
    if (i > 0) m.quality = std::move(quality[i - 1]);
    if (options.sites) {
      OCTET_ASSIGN(m.sites, MeasureSites(model, documents, data.layers, progress));
    }
    if (options.drift && i > 0 && model.graph().state.codec != StateCodec::kF32) {
      const auto count = std::min(tokens.size(), static_cast<size_t>(options.drift_tokens));
      OCTET_ASSIGN(m.drift,
                   MeasureDrift(models[i], tokens.first(count), options.windows.threads, progress));
    }
  }
  if (!options.speed) return data;
  std::vector<BenchSubject> subjects;
  for (const auto& model : models) {
    subjects.push_back({model, ""});
  }
  OCTET_ASSIGN(data.speed, Bench(subjects, options.bench, progress));
  return data;
}

}  // namespace octet
