#include "quant/sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/logits.h"
#include "kernels/isa.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

constexpr std::array kAlphas = {1.0, 0.99999, 0.9999, 0.9995, 0.999};
constexpr size_t kDocuments = 32;

QuantPlan WithAlpha(QuantPlan plan, double alpha) {
  for (SiteRule& rule : plan.sites) {
    if (rule.observer == ObserverKind::kPercentile) rule.alpha = alpha;
  }
  if (plan.state_observer == ObserverKind::kPercentile) plan.state_alpha = alpha;
  plan.sweep_alpha = false;
  return plan;
}

// Sum over all tokens that have one before them.
Result<double> TextSurprise(const Graph& graph, const WeightMap& weights, const TokenDataset& data,
                            ThreadPool* pool) {
  OCTET_ASSIGN(const auto program, Program::Lower(graph, weights, {AllowedIsas(), false}));
  ProgramWorkspace workspace(pool);
  const auto vocab = static_cast<size_t>(graph.vocab_rows);
  double total = 0;
  for (const auto& document : data.documents) {
    State state(graph);
    OCTET_TRY(program->Run(
        document, &state, &workspace, [&](int64_t first, int64_t rows, const float* logits) {
          for (int64_t r = 0; r < rows; ++r) {
            const auto next = static_cast<size_t>(first + r + 1);
            if (next == document.size()) break;
            total += NegativeLogLikelihood({logits + r * graph.vocab_rows, vocab}, document[next]);
          }
        }));
  }
  return total;
}

}  // namespace

Result<QuantPlan> SweepAlpha(const QuantPlan& plan, const Graph& graph, const WeightMap& weights,
                             const TokenDataset& data, ThreadPool* pool, const Progress& progress) {
  TokenDataset sample = data;
  sample.documents.resize(std::min(kDocuments, sample.documents.size()));
  QuantPlan best = WithAlpha(plan, kAlphas[0]);
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < kAlphas.size(); ++i) {
    if (progress) progress("choosing alpha", static_cast<int64_t>(i), kAlphas.size());
    const QuantPlan candidate = WithAlpha(plan, kAlphas[i]);
    Graph g = graph;
    WeightMap w = weights;
    QuantContext context{g, w, sample, *pool, Progress()};
    OCTET_TRY(RunPasses(PassesOf(candidate), context));
    OCTET_ASSIGN(const double nll, TextSurprise(g, w, sample, pool));
    if (nll < least) {
      least = nll;
      best = candidate;
    }
  }
  return best;
}

}  // namespace octet
