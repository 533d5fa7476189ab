#include "quant/context.h"

#include <algorithm>

#include "kernels/isa.h"

namespace octet {
namespace {

// Calls run(document, worker) for all documents, in groups so that progress can be shown, and after
// each group done(document) for its documents in order.
Status ForEachDocument(QuantContext& c, const std::function<Status(size_t, int)>& run,
                       const DocumentSeen& done = nullptr) {
  const size_t count = c.data.documents.size();
  std::vector<Status> statuses(count);
  const size_t group = static_cast<size_t>(c.pool.threads()) * 2;
  for (size_t first = 0; first < count; first += group) {
    const size_t last = std::min(count, first + group);
    c.pool.For(static_cast<int64_t>(last - first), [&](int64_t task, int worker) {
      const size_t i = first + static_cast<size_t>(task);
      statuses[i] = run(i, worker);
    });
    for (size_t i = first; i < last; ++i) {
      OCTET_TRY(statuses[i]);
      if (done) done(i);
    }
    c.Report(static_cast<int64_t>(last), static_cast<int64_t>(count));
  }
  return {};
}

}  // namespace

void QuantContext::Report(int64_t done, int64_t total) const {
  if (progress) progress("quantizing", steps_done * total + done, steps * total);
}

Status StartStreams(QuantContext& c, std::optional<ResidualStreams>* streams) {
  if (streams->has_value()) return {};
  const int64_t width = c.graph.nodes[0].width;
  std::string file;
  if (c.work != nullptr) {
    file = c.work->PathOf(streams == &c.float_streams ? "float" : "quantized");
    if (c.work->finished() > 0) {
      OCTET_ASSIGN(*streams, ResidualStreams::Reopen(c.data, width, file, c.work->finished()));
      return {};
    }
  }
  OCTET_ASSIGN(ResidualStreams started, ResidualStreams::Create(c.data, width, file));
  const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), -1);
  for (size_t d = 0; d < c.data.documents.size(); ++d) {
    OCTET_ASSIGN(const std::vector<float> rows, interpreter.Embed(c.data.documents[d]));
    std::ranges::copy(rows, started.leaving(d).begin());
  }
  OCTET_TRY(started.Advance());
  *streams = std::move(started);
  return {};
}

Status RunFloatBlock(QuantContext& c, int layer, const TapOfDocument& tap,
                     const DocumentSeen& seen) {
  const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), layer);
  const auto run = [&](size_t d, int) -> Status {
    const auto entering = c.float_streams->entering(d);
    std::vector<float> rows(entering.begin(), entering.end());
    State state = State::OfBlock(c.graph, layer, HistoryStorage::kFloats);
    OCTET_TRY(interpreter.RunLayer(layer, &rows, &state, tap ? tap(d) : nullptr));
    std::ranges::copy(rows, c.float_streams->leaving(d).begin());
    return {};
  };
  return ForEachDocument(c, run, seen);
}

std::vector<uint16_t> ClusterOfChannel(const HeadClusters& clusters) {
  std::vector<uint16_t> map;
  uint16_t cluster = 0;
  for (size_t i = 0; i < clusters.head_sizes.size(); ++i) {
    const auto sizes = std::span(clusters.channel_sizes).subspan(i * kMaxClusters, kMaxClusters);
    for (int64_t head = 0; head < clusters.head_sizes[i]; ++head) {
      for (size_t j = 0; j < sizes.size(); ++j) {
        map.insert(map.end(), static_cast<size_t>(sizes[j]), static_cast<uint16_t>(cluster + j));
      }
    }
    cluster = static_cast<uint16_t>(cluster + kMaxClusters);
  }
  return map;
}

Status ObserveStates(QuantContext& c, int layer, int64_t part, const TapOfDocument& tap,
                     const DocumentSeen& seen) {
  const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), layer);
  const auto floats = static_cast<size_t>(part * c.float_streams->width());
  const auto run = [&](size_t d, int) -> Status {
    State state = State::OfBlock(c.graph, layer, HistoryStorage::kFloats);
    Tap* own = tap(d);
    const auto entering = c.float_streams->entering(d);
    for (size_t i = 0; i < entering.size(); i += floats) {
      const auto now = entering.subspan(i, std::min(floats, entering.size() - i));
      std::vector<float> rows(now.begin(), now.end());
      OCTET_TRY(interpreter.RunLayer(layer, &rows, &state, own));
      std::ranges::copy(rows, c.float_streams->leaving(d).subspan(i).begin());
    }
    return {};
  };
  return ForEachDocument(c, run, seen);
}

Status ObserveQuantizedBlock(QuantContext& c, int layer, const TapOfDocument& tap,
                             const DocumentSeen& seen) {
  const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), layer);
  const auto run = [&](size_t d, int) -> Status {
    const auto entering = c.quantized_streams->entering(d);
    std::vector<float> rows(entering.begin(), entering.end());
    State state = State::OfBlock(c.graph, layer, HistoryStorage::kFloats);
    return interpreter.RunLayer(layer, &rows, &state, tap(d));
  };
  return ForEachDocument(c, run, seen);
}

Status RunQuantizedBlock(QuantContext& c, int layer) {
  Graph deployed = c.graph;
  deployed.state = c.state;
  if (c.state.static_scales()) {
    deployed.state_scales = std::make_shared<const std::vector<StateScales>>(c.state_scales);
  }
  OCTET_ASSIGN(const std::unique_ptr<Program> program,
               Program::LowerBlock(deployed, c.weights, layer, {AllowedIsas(), false}));
  ThreadPool serial(1);
  std::vector<std::unique_ptr<ProgramWorkspace>> workspaces;
  workspaces.reserve(static_cast<size_t>(c.pool.threads()));
  for (int i = 0; i < c.pool.threads(); ++i) {
    workspaces.push_back(std::make_unique<ProgramWorkspace>(&serial));
  }
  return ForEachDocument(c, [&](size_t d, int worker) -> Status {
    const auto entering = c.quantized_streams->entering(d);
    std::vector<float> rows(entering.begin(), entering.end());
    State state = State::OfBlock(deployed, layer);
    OCTET_TRY(
        program->RunLayer(layer, &rows, &state, workspaces[static_cast<size_t>(worker)].get()));
    std::ranges::copy(rows, c.quantized_streams->leaving(d).begin());
    return {};
  });
}

}  // namespace octet
