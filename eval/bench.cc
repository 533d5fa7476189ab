#include "eval/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/rng.h"
#include "runtime/session.h"

namespace octet {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t PeakRssBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

// One model and what its repeats gave.
struct Subject {
  Subject(const std::shared_ptr<const Model>& model, const std::shared_ptr<ThreadPool>& pool)
      : session(model, pool), logits(static_cast<size_t>(model->vocab_rows())) {}
  Session session;
  std::vector<float> logits;
  std::vector<TokenId> tokens;
  std::vector<double> prefill, decode;  // tokens per second
};

Status RunOnce(const BenchOptions& options, bool counted, Subject* s) {
  const std::span<const TokenId> tokens = s->tokens;
  if (options.prefill > 0) {
    s->session.Reset();
    const double start = Seconds();
    OCTET_TRY(s->session.Feed(tokens.first(static_cast<size_t>(options.prefill)), s->logits));
    const double seconds = Seconds() - start;
    if (counted) s->prefill.push_back(static_cast<double>(options.prefill) / seconds);
  }
  if (options.decode > 0) {
    s->session.Reset();
    const double start = Seconds();
    for (size_t i = 0; i < static_cast<size_t>(options.decode); ++i) {
      OCTET_TRY(s->session.Feed(tokens.subspan(i, 1), s->logits));
    }
    const double seconds = Seconds() - start;
    if (counted) s->decode.push_back(static_cast<double>(options.decode) / seconds);
  }
  return {};
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

Result<BenchReport> Bench(std::span<const std::shared_ptr<const Model>> models,
                          const BenchOptions& options, const Progress& progress) {
  if (models.empty()) return InvalidArgument("there is no model to measure");
  if (options.prefill == 0 && options.decode == 0) {
    return InvalidArgument("there is nothing to measure: prefill and decode are both 0");
  }
  if (options.prefill < 0 || options.decode < 0 || options.repeats < 1 || options.threads < 1) {
    return InvalidArgument("tokens must not be negative, repeats and threads must be > 0");
  }
  const auto pool = std::make_shared<ThreadPool>(options.threads);
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const auto& model : models) {
    auto& s = subjects.emplace_back(std::make_unique<Subject>(model, pool));
    Rng rng(options.seed);
    for (int64_t i = 0; i < std::max(options.prefill, options.decode); ++i) {
      s->tokens.push_back(
          static_cast<TokenId>(rng.Below(static_cast<uint64_t>(model->vocab_rows()))));
    }
    OCTET_TRY(RunOnce(options, false, s.get()));
  }
  const double wall_start = Seconds(), cpu_start = CpuSeconds();
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const auto& s : subjects) {
      OCTET_TRY(RunOnce(options, true, s.get()));
    }
    if (progress) progress("measuring speed", repeat + 1, options.repeats);
  }
  BenchReport report;
  report.cpu_share = (CpuSeconds() - cpu_start) /
                     ((Seconds() - wall_start) * static_cast<double>(pool->threads()));
  for (const auto& s : subjects) {
    report.rows.push_back({SpreadOf(s->prefill), SpreadOf(s->decode), s->session.state().bytes()});
  }
  report.peak_rss_bytes = PeakRssBytes();
  if (getloadavg(&report.load_average, 1) != 1) report.load_average = 0;
  return report;
}

}  // namespace octet
