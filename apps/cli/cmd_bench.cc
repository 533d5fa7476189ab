#include <filesystem>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/bench.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

std::string NameOf(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

Json ToJson(const Spread& s) {
  Json j = Json::MakeObject();
  j.Set("median", s.median);
  j.Set("min", s.min);
  j.Set("max", s.max);
  return j;
}

// Medians as plain members; of a single model also beside "models", for scripts.
Json ToJson(const BenchCommand& c, const BenchReport& report) {
  Json models = Json::MakeArray();
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const BenchRow& row = report.rows[i];
    Json m = Json::MakeObject();
    m.Set("model", c.models[i]);
    m.Set("prefill_tokens_per_s", row.prefill_tokens_per_s.median);
    m.Set("decode_tokens_per_s", row.decode_tokens_per_s.median);
    m.Set("prefill_spread", ToJson(row.prefill_tokens_per_s));
    m.Set("decode_spread", ToJson(row.decode_tokens_per_s));
    m.Set("state_bytes", row.state_bytes);
    models.Append(std::move(m));
  }
  Json j = Json::MakeObject();
  if (report.rows.size() == 1) {
    for (const char* key : {"prefill_tokens_per_s", "decode_tokens_per_s"}) {
      j.Set(key, *models.AsArray()[0].Find(key));
    }
  }
  j.Set("peak_rss_bytes", report.peak_rss_bytes);
  j.Set("load_average", report.load_average);
  j.Set("cpu_share", report.cpu_share);
  j.Set("isa", CurrentIsa());
  j.Set("threads", c.threads);
  j.Set("prefill", c.prefill);
  j.Set("decode", c.decode);
  j.Set("repeats", c.repeats);
  j.Set("models", std::move(models));
  return j;
}

std::string ToText(const BenchCommand& c, const BenchReport& report) {
  Table table({"model", "test", "threads", "tokens/s", "min", "max"});
  const auto add = [&](const std::string& model, const std::string& test, const Spread& s) {
    table.Add({model, test, fmt::format("{}", c.threads), fmt::format("{:.1f}", s.median),
               fmt::format("{:.1f}", s.min), fmt::format("{:.1f}", s.max)});
  };
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const std::string name = NameOf(c.models[i]);
    if (c.prefill > 0) {
      add(name, fmt::format("pp{}", c.prefill), report.rows[i].prefill_tokens_per_s);
    }
    if (c.decode > 0) {
      add(name, fmt::format("tg{}", c.decode), report.rows[i].decode_tokens_per_s);
    }
  }
  return table.Text() + fmt::format(
                            "\nMedian, slowest and fastest of {} repeats; pp: prompt in one call, "
                            "tg: one token at "
                            "a time.\nInstruction set {}, peak memory {}, load average {:.2f}, CPU "
                            "share {:.0f} %\n",
                            c.repeats, CurrentIsa(), FormatBytes(report.peak_rss_bytes),
                            report.load_average, 100 * report.cpu_share);
}

}  // namespace

Status Run(const BenchCommand& c) {
  std::vector<std::shared_ptr<const Model>> models;
  Json kernels = Json::MakeObject();
  for (const std::string& folder : c.models) {
    OCTET_ASSIGN(models.emplace_back(), LoadModel(folder, c.chunk_size, c.bf16));
    if (!c.explain) continue;
    kernels.Set(folder, models.back()->program().Explain());
    if (!c.json) {
      Print(fmt::format("{}: site, kernel for decode, kernel for prefill\n{}\n", NameOf(folder),
                        models.back()->program().Explain()));
    }
  }
  ProgressBar bar;
  OCTET_ASSIGN(const BenchReport report,
               Bench(models, {c.prefill, c.decode, c.repeats, c.threads, 0}, bar.Callback()));
  if (!c.json) {
    Print(ToText(c, report));
    return {};
  }
  Json j = ToJson(c, report);
  if (c.explain) j.Set("kernels", std::move(kernels));
  PrintJson("bench", std::move(j));
  return {};
}

}  // namespace octet::cli
