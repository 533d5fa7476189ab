#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/report_page.h"
#include "apps/cli/term.h"

namespace octet::cli {
namespace {

constexpr double kNear = 1.01;        // ratio of perplexities
constexpr size_t kEnoughWindows = 6;  // of fewer a bootstrap interval is too narrow to go by

// The models beside the reference.
struct Candidates {
  const ReportPage& page;
  size_t end() const { return page.names.size(); }
  const CompareReport& Quality(size_t i) const { return *page.data.models[i].quality; }
  int64_t Size(size_t i) const { return page.data.models[i].size.total(); }
  // The row of a test, or nothing where speed was not measured.
  const Spread* Speed(size_t i, BenchTest test) const {
    if (!page.data.speed) return nullptr;
    const BenchRow* row = page.data.speed->Find(i, test);
    return row == nullptr ? nullptr : &row->tokens_per_s;
  }
};

std::string Percent(double ratio) {
  return fmt::format("{:+.2f} %", 100 * (ratio - 1));
}

// Whether model `a` is, with 95 % confidence, closer to float than `b`.
bool SurelyCloser(const Candidates& c, size_t a, size_t b) {
  const std::vector<double>&of_a = c.Quality(a).window_kl, &of_b = c.Quality(b).window_kl;
  return of_a.size() >= kEnoughWindows && PairedDifference(of_b, of_a).low > 0;
}

Verdict Recommended(const Candidates& c) {
  size_t best = 0, nearest = 1;
  for (size_t i = 1; i < c.end(); ++i) {
    const Estimate& ratio = c.Quality(i).perplexity_ratio;
    if (ratio.value < c.Quality(nearest).perplexity_ratio.value) nearest = i;
    if (ratio.high > kNear) continue;
    if (best == 0 || c.Size(i) < c.Size(best)) best = i;
  }
  if (best == 0) {
    return {"None is, with 95 % confidence, within 1 % of the float perplexity; nearest: ",
            c.page.names[nearest],
            fmt::format(" ({})", Percent(c.Quality(nearest).perplexity_ratio.value))};
  }
  const double share = static_cast<double>(c.Size(best)) / static_cast<double>(c.Size(0));
  return {"Smallest that is, with 95 % confidence, within 1 % of the float perplexity: ",
          c.page.names[best],
          fmt::format(" ({}, {:.0f} % of float; perplexity {})", FormatBytes(c.Size(best)),
                      100 * share, Percent(c.Quality(best).perplexity_ratio.value))};
}

Verdict Closest(const Candidates& c) {
  size_t best = 1;
  for (size_t i = 2; i < c.end(); ++i) {
    if (c.Quality(i).kl_mean.value < c.Quality(best).kl_mean.value) best = i;
  }
  std::string others;
  for (size_t i = 1; i < c.end(); ++i) {
    if (i == best || SurelyCloser(c, best, i)) continue;
    others += (others.empty() ? "" : ", ") + c.page.names[i];
  }
  return {
      "Closest to float: ", c.page.names[best],
      fmt::format(" (mean KL {} nats per token{})", FormatDecimals(c.Quality(best).kl_mean.value),
                  others.empty() ? "" : "; not told apart from it: " + others)};
}

Verdict Smallest(const Candidates& c) {
  size_t best = 1;
  for (size_t i = 2; i < c.end(); ++i) {
    if (c.Size(i) < c.Size(best)) best = i;
  }
  const double share = static_cast<double>(c.Size(best)) / static_cast<double>(c.Size(0));
  return {"Smallest: ", c.page.names[best],
          fmt::format(" ({}, {:.0f} % of float)", FormatBytes(c.Size(best)), 100 * share)};
}

Verdict Fastest(const Candidates& c, BenchTest test, const std::string& what) {
  size_t best = 0;
  for (size_t i = 1; i < c.end(); ++i) {
    if (c.Speed(i, test)->median > c.Speed(best, test)->median) best = i;
  }
  std::string others;
  for (size_t i = 0; i < c.end(); ++i) {
    if (i == best || c.Speed(i, test)->max < c.Speed(best, test)->min) continue;
    others += (others.empty() ? "" : ", ") + c.page.names[i];
  }
  const double times = c.Speed(best, test)->median / c.Speed(0, test)->median;
  return {(others.empty() ? "Fastest " : "Highest median speed ") + what + ": ", c.page.names[best],
          fmt::format(" ({:.0f} tokens/s, {:.2f} times float{})", c.Speed(best, test)->median,
                      times, others.empty() ? "" : "; not told apart from it: " + others)};
}

// Whether `a` is smaller, closer and faster than `b` in everything that was measured.
bool Beats(const Candidates& c, size_t a, size_t b) {
  if (c.Size(a) > c.Size(b)) return false;
  if (!SurelyCloser(c, a, b)) return false;
  for (const BenchTest test : {BenchTest::kPrefill, BenchTest::kDecode}) {
    const Spread *of_a = c.Speed(a, test), *of_b = c.Speed(b, test);
    if (of_a != nullptr && of_b != nullptr && of_a->median < of_b->median) return false;
  }
  return true;
}

}  // namespace

std::vector<Verdict> Verdicts(const ReportPage& page) {
  const Candidates c{page};
  std::vector<Verdict> verdicts = {Recommended(c)};
  if (c.end() > 2) {
    verdicts.push_back(Closest(c));
    verdicts.push_back(Smallest(c));
  }
  if (c.Speed(0, BenchTest::kPrefill) != nullptr) {
    verdicts.push_back(Fastest(c, BenchTest::kPrefill, "with a prompt"));
  }
  if (c.Speed(0, BenchTest::kDecode) != nullptr) {
    verdicts.push_back(Fastest(c, BenchTest::kDecode, "when writing"));
  }
  for (size_t b = 1; b < c.end(); ++b) {
    for (size_t a = 1; a < c.end(); ++a) {
      if (a == b || !Beats(c, a, b)) continue;
      verdicts.push_back({"Nothing speaks for ", page.names[b],
                          fmt::format(": {} is no larger, closer to float{}", page.names[a],
                                      page.data.speed ? " and no slower" : "")});
      break;
    }
  }
  return verdicts;
}

}  // namespace octet::cli
