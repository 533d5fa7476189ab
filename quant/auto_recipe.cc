#include "quant/auto_recipe.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "exec/quantized_format.h"
#include "quant/allocate.h"
#include "quant/named_tensors.h"
#include "quant/self_check.h"
#include "quant/sweep.h"

namespace octet {
namespace {

constexpr int kRounds = 5;
constexpr int64_t kSamples = 16, kSampleTokens = 256;
constexpr std::array<int64_t, 3> kWidths = {4, 8, 16};

// A matrix with what it takes and costs at each of kWidths.
struct Matrix {
  int layer;
  std::string name;
  Choices choices;
};
using Widths = std::vector<size_t>;  // by matrix: index into kWidths

std::vector<Matrix> MatricesOf(const Sensitivity& s) {
  std::vector<Matrix> matrices;
  for (const SensitivityItem& i : s.items) {
    const bool next =
        !matrices.empty() && matrices.back().layer == i.layer && matrices.back().name == i.name;
    if (!next) matrices.push_back({i.layer, i.name, {}});
    Choices& choices = matrices.back().choices;
    choices.push_back({i.bytes, i.kl});
    if (next) choices.push_back({i.f16_bytes, 0});
  }
  return matrices;
}

// "0-3,7" of ascending numbers.
std::string LayerList(const std::vector<int>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) {
      ++last;
    }
    text += fmt::format("{}{}", text.empty() ? "" : ",", layers[i]);
    if (last > i) text += fmt::format("-{}", layers[last]);
    i = last + 1;
  }
  return text;
}

QuantPlan PlanOf(const QuantPlan& base, const std::vector<Matrix>& matrices, const Widths& widths) {
  std::map<std::pair<std::string, int64_t>, std::vector<int>> layers;  // by name and bits
  for (size_t i = 0; i < matrices.size(); ++i) {
    auto& of = layers[{matrices[i].name, kWidths[widths[i]]}];
    if (matrices[i].layer >= 0) of.push_back(matrices[i].layer);
  }
  QuantPlan plan = base;
  for (const auto& [key, list] : layers) {
    plan.weights.push_back(MatrixRule(key.first, LayerList(list), key.second));
  }
  return plan;
}

int64_t BytesOf(const std::vector<Matrix>& matrices, const Widths& widths) {
  int64_t bytes = 0;
  for (size_t i = 0; i < matrices.size(); ++i) {
    bytes += matrices[i].choices[widths[i]].bytes;
  }
  return bytes;
}

double CostOf(const std::vector<Matrix>& matrices, const Widths& widths) {
  double cost = 0;
  for (size_t i = 0; i < matrices.size(); ++i) {
    cost += matrices[i].choices[widths[i]].cost;
  }
  return cost;
}

// Every assignment with one width for the matrices of all blocks, one for the embedding and one for
// the head.
std::vector<Widths> UniformWidths(const std::vector<Matrix>& matrices) {
  std::vector<Widths> all;
  for (size_t blocks = 0; blocks < kWidths.size(); ++blocks) {
    for (size_t embedding = 0; embedding < kWidths.size(); ++embedding) {
      for (size_t head = 0; head < kWidths.size(); ++head) {
        Widths& widths = all.emplace_back();
        for (const Matrix& m : matrices) {
          widths.push_back(m.layer >= 0 ? blocks : m.name == "head" ? head : embedding);
        }
      }
    }
  }
  return all;
}

class Search {
 public:
  Search(RecipeRun base, const AutoLimit& limit, const Graph& graph, const WeightMap& weights,
         const AutoText& text, ThreadPool* pool, const Progress& progress)
      : base_(std::move(base)),
        limit_(limit),
        graph_(graph),
        weights_(weights),
        text_(text),
        pool_(pool),
        progress_(progress) {}

  Result<AutoResult> Run() {
    OCTET_TRY(CheckBudget());
    if (base_.plan.sweep_alpha) {
      OCTET_ASSIGN(base_.plan,
                   SweepAlpha(base_.plan, graph_, weights_, text_.calibration, pool_, progress_));
    }
    const TokenDataset sample = SampleOf(text_.calibration, kSamples, kSampleTokens);
    OCTET_ASSIGN(const Sensitivity s,
                 MeasureSensitivity(base_.plan, graph_, weights_, text_.calibration, sample,
                                    {{4, 8}, true, true}, pool_, progress_));
    matrices_ = MatricesOf(s);
    for (const Matrix& m : matrices_) {
      choices_.push_back(m.choices);
    }
    fixed_bytes_ = s.fixed_bytes;
    OCTET_TRY(limit_.max_kl ? WithinKl() : WithinBudget());
    result_.run = RunOf(best_);
    return std::move(result_);
  }

 private:
  RecipeRun RunOf(const Widths& widths) const {
    Json options = Json::MakeObject();
    options.Set("base", base_.name);
    options.Set("base_options", base_.options);
    if (limit_.budget_bytes) options.Set("budget_bytes", *limit_.budget_bytes);
    if (limit_.max_kl) options.Set("max_kl", *limit_.max_kl);
    return {"auto", options, PlanOf(base_.plan, matrices_, widths)};
  }

  // Whether the limit allows an attempt, and whether it is better than another that is allowed.
  bool Fits(const AutoAttempt& a) const {
    return limit_.max_kl ? a.kl <= *limit_.max_kl : a.bytes <= *limit_.budget_bytes;
  }
  bool Better(const AutoAttempt& a, const AutoAttempt& b) const {
    return limit_.max_kl ? a.bytes < b.bytes : a.kl < b.kl;
  }

  // Quantizes and measures; keeps the model when it is the best so far.
  Result<AutoAttempt> Try(const Widths& widths, bool uniform) {
    OCTET_ASSIGN(QuantizedModel model, Quantize(RunOf(widths), graph_, weights_, text_.calibration,
                                                text_.record, pool_, progress_));
    AutoAttempt a{uniform, 0, 0};
    for (const auto& [name, w] : StoredTensors(model.graph, model.weights)) {
      a.bytes += w.data_bytes();
    }
    OCTET_ASSIGN(a.kl, MeanKl(graph_, weights_, model, text_.check, pool_));
    fixed_bytes_ = a.bytes - BytesOf(matrices_, widths);
    tried_.push_back(widths);
    result_.attempts.push_back(a);
    if (Fits(a) && (best_.empty() || Better(a, result_.winner))) {
      best_ = widths;
      result_.winner = a;
      result_.model = std::move(model);
    }
    return a;
  }
  bool Tried(const Widths& widths) const {
    return std::ranges::find(tried_, widths) != tried_.end();
  }

  // The first attempt corrects the bytes that the next one counts with.
  Status WithinBudget() {
    for (int round = 0; round < kRounds; ++round) {
      const Result<Widths> widths = LeastCost(choices_, *limit_.budget_bytes - fixed_bytes_);
      if (!widths.ok() && best_.empty()) return TooSmall();
      if (!widths.ok() || Tried(*widths)) break;
      OCTET_TRY(Try(*widths, false).status());
    }
    const Widths* uniform = nullptr;
    const std::vector<Widths> all = UniformWidths(matrices_);
    for (const Widths& u : all) {
      if (fixed_bytes_ + BytesOf(matrices_, u) > *limit_.budget_bytes) continue;
      if (uniform == nullptr || CostOf(matrices_, u) < CostOf(matrices_, *uniform)) uniform = &u;
    }
    if (uniform != nullptr && !Tried(*uniform)) OCTET_TRY(Try(*uniform, true).status());
    return best_.empty() ? TooSmall() : Status();
  }

  // What no measurement is needed for.
  Status CheckBudget() const {
    std::set<std::string> seen;
    int64_t codes = 0;
    for (int layer = kOutsideBlocks; layer < graph_.layers; ++layer) {
      for (const NamedTensor& t : TensorsOf(graph_, layer)) {
        if (!t.matrix() || !seen.insert(t.full).second) continue;
        OCTET_ASSIGN(const Weight w, weights_.Get(t.full));
        codes += w.count() / 2;
      }
    }
    if (!limit_.budget_bytes || *limit_.budget_bytes >= codes) return {};
    return InvalidArgument(
        fmt::format("a budget of {} bytes cannot be kept: the codes of the matrices alone have {} "
                    "bytes in 4 bits",
                    *limit_.budget_bytes, codes));
  }

  Status TooSmall() const {
    const Widths smallest(matrices_.size(), 0);
    return InvalidArgument(fmt::format(
        "a budget of {} bytes cannot be kept: with every matrix in 4 bits the model has {} bytes",
        *limit_.budget_bytes, fixed_bytes_ + BytesOf(matrices_, smallest)));
  }

  // `allowed` is the sum of measured sensitivities that is hoped to give max_kl.
  Status WithinKl() {
    const Widths widest(matrices_.size(), kWidths.size() - 1);
    OCTET_ASSIGN(const AutoAttempt least, Try(widest, true));
    if (!Fits(least)) {
      return InvalidArgument(
          fmt::format("a KL of {} cannot be kept: with every matrix in 16 bits "
                      "recipe {} has {:.3g} nats ({} bytes)",
                      *limit_.max_kl, base_.name, least.kl, least.bytes));
    }
    const double room = *limit_.max_kl - least.kl;
    double allowed = room;
    for (int round = 0; round + 1 < kRounds; ++round) {
      OCTET_ASSIGN(const Widths widths, FewestBytes(choices_, allowed));
      if (Tried(widths)) break;
      OCTET_ASSIGN(const AutoAttempt a, Try(widths, false));
      const double excess = std::max(a.kl - least.kl, 1e-3 * room);
      allowed = CostOf(matrices_, widths) * std::clamp(room / excess, 0.1, 4.0);
    }
    return {};
  }

  RecipeRun base_;
  const AutoLimit& limit_;
  const Graph& graph_;
  const WeightMap& weights_;
  const AutoText& text_;
  ThreadPool* pool_;
  const Progress& progress_;

  std::vector<Matrix> matrices_;
  std::vector<Choices> choices_;
  int64_t fixed_bytes_ = 0;  // of what is no matrix
  std::vector<Widths> tried_;
  Widths best_;  // empty: none yet
  AutoResult result_;
};

}  // namespace

Json AutoAttempt::ToJson() const {
  Json j = Json::MakeObject();
  j.Set("uniform", uniform);
  j.Set("bytes", bytes);
  j.Set("kl_mean", kl);
  return j;
}

Result<AutoResult> FindAutoRecipe(const RecipeRun& base, const AutoLimit& limit, const Graph& graph,
                                  const WeightMap& weights, const AutoText& text, ThreadPool* pool,
                                  const Progress& progress) {
  if (limit.budget_bytes.has_value() == limit.max_kl.has_value()) {
    return InvalidArgument("recipe auto needs a budget or a largest KL, and not both");
  }
  return Search(base, limit, graph, weights, text, pool, progress).Run();
}

}  // namespace octet
