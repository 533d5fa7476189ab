#include "quant/self_check.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "base/logits.h"
#include "exec/program.h"
#include "kernels/isa.h"

namespace octet {
namespace {

constexpr int64_t kDecodeTokens = 4;
constexpr int64_t kWindow = 512;
// Multiply-adds that the reference kernels may spend on the simulated comparison.
constexpr int64_t kReferenceBudget = int64_t{4} << 30;

int64_t BitDifferences(const float* a, const float* b, int64_t n) {
  int64_t different = 0;
  for (int64_t i = 0; i < n; ++i) {
    different += std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]);
  }
  return different;
}

// The same tokens, first as one prefill and then one by one, through both executors.
Status CompareSimulated(const QuantizedModel& q, std::span<const TokenId> tokens, ThreadPool* pool,
                        SelfCheckReport* report) {
  OCTET_ASSIGN(const std::unique_ptr<Program> program,
               Program::Lower(q.graph, q.weights, {kReferenceOnly, false}));
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  SimulationTap tap(q.graph);
  State simulated(q.graph), integer(q.graph);
  ProgramWorkspace workspace(pool);
  std::vector<float> want;
  const auto compare = [&](std::span<const TokenId> part) -> Status {
    OCTET_TRY(interpreter.Run(part, &simulated, &tap, &want));
    const int64_t vocab = q.graph.vocab_rows;
    return program->Run(part, &integer, &workspace,
                        [&](int64_t first, int64_t rows, const float* logits) {
                          report->simulated_mismatches +=
                              BitDifferences(want.data() + first * vocab, logits, rows * vocab);
                        });
  };
  const size_t decode = std::min<size_t>(kDecodeTokens, tokens.size() - 1);
  OCTET_TRY(compare(tokens.first(tokens.size() - decode)));
  for (size_t i = tokens.size() - decode; i < tokens.size(); ++i) {
    OCTET_TRY(compare(tokens.subspan(i, 1)));
  }
  report->simulated_tokens = static_cast<int64_t>(tokens.size());
  report->saturation = tap.saturation();
  return {};
}

// Sums of one position's comparison of two rows of logits.
struct Divergence {
  double kl = 0, uniform_kl = 0;
  int64_t agreed = 0, tokens = 0;
  bool reference_finite = true, candidate_finite = true;

  void Add(std::span<const float> reference, std::span<const float> candidate) {
    const RowComparison row = CompareRows(reference, candidate, 0);  // no target: any will do
    kl += row.kl;
    uniform_kl += std::log(static_cast<double>(reference.size())) - Entropy(reference);
    agreed += row.same_top;
    ++tokens;
    reference_finite = reference_finite && std::isfinite(row.reference_nll);
    candidate_finite = candidate_finite && std::isfinite(row.candidate_nll);
  }
};

Status CompareFloat(const Graph& float_graph, const WeightMap& float_weights,
                    const QuantizedModel& q, std::span<const TokenId> text, ThreadPool* pool,
                    const Progress& progress, SelfCheckReport* report) {
  const LowerOptions fast{AllowedIsas(), false};
  OCTET_ASSIGN(const auto reference, Program::Lower(float_graph, float_weights, fast));
  OCTET_ASSIGN(const auto candidate, Program::Lower(q.graph, q.weights, fast));
  const int64_t vocab = q.graph.vocab_rows;
  State reference_state(float_graph), candidate_state(q.graph);
  ProgramWorkspace reference_workspace(pool), candidate_workspace(pool);
  Divergence sum;
  // A whole number of chunks, or the int8 rounding of the state would depend on the window.
  const int64_t chunk = ChunkSize(q.graph);
  const size_t window = static_cast<size_t>(std::max<int64_t>(1, kWindow / chunk) * chunk);
  std::vector<float> want;
  for (size_t t = 0; t < text.size(); t += window) {
    const auto part = text.subspan(t, std::min(window, text.size() - t));
    want.resize(part.size() * static_cast<size_t>(vocab));
    OCTET_TRY(reference->Run(part, &reference_state, &reference_workspace,
                             [&](int64_t first, int64_t rows, const float* logits) {
                               std::copy_n(logits, rows * vocab, want.data() + first * vocab);
                             }));
    OCTET_TRY(
        candidate->Run(part, &candidate_state, &candidate_workspace,
                       [&](int64_t first, int64_t rows, const float* logits) {
                         for (int64_t r = 0; r < rows; ++r) {
                           const auto n = static_cast<size_t>(vocab);
                           sum.Add({want.data() + (first + r) * vocab, n}, {logits + r * vocab, n});
                         }
                       }));
    if (progress) {
      progress("checking against float", static_cast<int64_t>(t + part.size()),
               static_cast<int64_t>(text.size()));
    }
  }
  report->tokens = sum.tokens;
  report->kl_mean = sum.kl / static_cast<double>(sum.tokens);
  report->uniform_kl = sum.uniform_kl / static_cast<double>(sum.tokens);
  report->top1_agreement = static_cast<double>(sum.agreed) / static_cast<double>(sum.tokens);
  report->finite = sum.candidate_finite;
  if (!sum.reference_finite) return Internal("the float model produces logits that are not finite");
  return {};
}

}  // namespace

Result<SelfCheckReport> SelfCheck(const Graph& float_graph, const WeightMap& float_weights,
                                  const QuantizedModel& quantized, const std::vector<TokenId>& text,
                                  ThreadPool* pool, const Progress& progress) {
  if (text.size() < 2) return InvalidArgument("the self-check needs at least two tokens of text");
  int64_t parameters = 0;
  for (const auto& [name, w] : quantized.weights.all()) {
    parameters += w.count();
  }
  // Past the first chunk where that is affordable, so that state passing is exercised.
  const int64_t affordable =
      std::max<int64_t>(16, kReferenceBudget / (2 * std::max<int64_t>(parameters, 1)));
  const int64_t wanted = ChunkSize(quantized.graph) + 16 + kDecodeTokens;
  const int64_t tokens = std::min({wanted, affordable, static_cast<int64_t>(text.size())});
  SelfCheckReport report;
  if (progress) progress("comparing with the simulation", 0, 1);
  OCTET_TRY(CompareSimulated(quantized, std::span(text).first(static_cast<size_t>(tokens)), pool,
                             &report));
  OCTET_TRY(CompareFloat(float_graph, float_weights, quantized, text, pool, progress, &report));
  return report;
}

Result<double> MeanKl(const Graph& float_graph, const WeightMap& float_weights,
                      const QuantizedModel& quantized, const std::vector<TokenId>& text,
                      ThreadPool* pool) {
  if (text.empty()) return InvalidArgument("there is no text to measure on");
  SelfCheckReport report;
  OCTET_TRY(CompareFloat(float_graph, float_weights, quantized, text, pool, Progress(), &report));
  return report.kl_mean;
}

std::vector<std::string> SelfCheckReport::Failures() const {
  std::vector<std::string> failures;
  if (!finite) failures.push_back("the quantized model produces values that are not finite");
  if (simulated_mismatches > 0) {
    failures.push_back(fmt::format("the integer run differs from the simulated run in {} logits",
                                   simulated_mismatches));
  }
  if (!(kl_mean <= 1.0) || !(kl_mean <= 0.5 * uniform_kl)) {
    failures.push_back(
        fmt::format("the mean KL divergence from the float model is {:.3g} nats (a model "
                    "that knows nothing has {:.3g})",
                    kl_mean, uniform_kl));
  }
  return failures;
}

std::vector<std::string> SelfCheckReport::SaturatedSites() const {
  std::vector<std::string> sites;
  for (const auto& [site, s] : saturation) {
    if (s.saturated * 1000 > s.values) sites.push_back(site);
  }
  return sites;
}

Json SelfCheckReport::ToJson() const {
  Json sites = Json::MakeObject();
  for (const auto& [site, s] : saturation) {
    sites.Set(site, static_cast<double>(s.saturated) /
                        static_cast<double>(std::max<int64_t>(1, s.values)));
  }
  Json j = Json::MakeObject();
  j.Set("simulated_mismatches", simulated_mismatches);
  j.Set("simulated_tokens", simulated_tokens);
  j.Set("tokens", tokens);
  j.Set("kl_mean", kl_mean);
  j.Set("top1_agreement", top1_agreement);
  j.Set("saturation", sites);
  return j;
}

}  // namespace octet
