#include "quant/s4d/ranges.h"

#include <fmt/format.h>

#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "quant/s4d/float_states.h"

namespace octet {
namespace {

// Sees what the quantizers of a simulation will see, without quantizing.
class RangeTap : public Tap {
 public:
  explicit RangeTap(S4dRanges* ranges) : ranges_(*ranges) {}

  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (!FeedsLinear(site)) return;
    // Only the last mean is read.
    const int64_t first = site == "mean" ? rows - 1 : 0;
    Include(std::string(site), values + first * cols, rows - first, cols);
  }

  bool RunS4d(const Node& n, const DiscreteS4d& s, std::span<const float> D,
              std::span<const float> u, std::span<float> y) override {
    const auto H = n.width, N = n.s4d.modes;
    const int64_t T = std::ssize(u) / H;
    const auto named = [&](const char* what) { return S4dRangeSite(n.layer, what); };
    std::vector<SeenRange>& x_ranges = ranges_[named("x")];
    x_ranges.resize(static_cast<size_t>(H * N));
    std::vector<float> y_ssm(y.size());
    RunFloatS4d(n, s, D, u, y_ssm, y, [&](int64_t, int64_t h, int64_t i, float re, float im) {
      SeenRange& seen = x_ranges[static_cast<size_t>(h * N + i)];
      seen.Include(re);
      seen.Include(im);
    });
    Include(named("u"), u.data(), T, H);
    Include(named("y_ssm"), y_ssm.data(), T, H);
    Include(named("y"), y.data(), T, H);
    return true;
  }

 private:
  void Include(const std::string& site, const float* values, int64_t rows, int64_t cols) {
    std::vector<SeenRange>& seen = ranges_[site];
    seen.resize(static_cast<size_t>(cols));
    for (int64_t i = 0; i < rows * cols; ++i) {
      seen[static_cast<size_t>(i % cols)].Include(values[i]);
    }
  }

  S4dRanges& ranges_;
};

void Merge(const S4dRanges& from, S4dRanges* to) {
  for (const auto& [site, ranges] : from) {
    std::vector<SeenRange>& target = (*to)[site];
    target.resize(ranges.size());
    for (size_t i = 0; i < ranges.size(); ++i) {
      target[i].Include(ranges[i]);
    }
  }
}

}  // namespace

bool FeedsLinear(std::string_view site) {
  return site == "frames" || site == "mean" || site.ends_with(".gelu");
}

std::string S4dRangeSite(int layer, std::string_view what) {
  return fmt::format("layers.{}.{}", layer, what);
}

Result<S4dRanges> ObserveS4d(const Graph& graph, const WeightMap& weights, int64_t count,
                             const SequenceSource& sequence, ThreadPool* pool) {
  if (count < 1) return InvalidArgument("there is no sequence to calibrate on");
  const Interpreter interpreter(graph, weights, AllowedIsas());
  const auto tasks = static_cast<size_t>(pool->threads());
  std::vector<S4dRanges> parts(tasks);
  std::vector<Status> statuses(static_cast<size_t>(count));
  pool->For(count, [&](int64_t i, int worker) {
    RangeTap tap(&parts[static_cast<size_t>(worker)]);
    State state(graph);
    std::vector<float> logits;
    statuses[static_cast<size_t>(i)] = interpreter.RunFrames(sequence(i), &state, &tap, &logits);
  });
  for (const Status& s : statuses) {
    OCTET_TRY(s);
  }
  S4dRanges all;
  for (const S4dRanges& part : parts) {
    Merge(part, &all);
  }
  return all;
}

}  // namespace octet
