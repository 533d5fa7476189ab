#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/bench.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

// The last components of the folders, as few as tell them apart.
std::vector<std::string> Names(const std::vector<std::string>& folders) {
  std::vector<std::filesystem::path> rest, names(folders.size());
  for (const std::string& f : folders) {
    const std::filesystem::path path = std::filesystem::path(f).lexically_normal();
    rest.push_back(path.has_filename() ? path : path.parent_path());
  }
  for (bool longer = true; longer;) {
    std::map<std::filesystem::path, int64_t> uses;
    for (const auto& name : names) {
      ++uses[name];
    }
    longer = false;
    for (size_t i = 0; i < rest.size(); ++i) {
      if (!rest[i].has_filename() || (uses[names[i]] == 1 && !names[i].empty())) continue;
      names[i] = names[i].empty() ? rest[i].filename() : rest[i].filename() / names[i];
      rest[i] = rest[i].parent_path();
      longer = true;
    }
  }
  return {names.begin(), names.end()};
}

Json ToJson(const std::string& folder, const Program& program) {
  Json steps = Json::MakeArray();
  for (const StepKernels& s : program.Kernels()) {
    Json step = Json::MakeObject();
    step.Set("site", s.site);
    step.Set("decode", s.decode);
    step.Set("prefill", s.prefill);
    steps.Append(std::move(step));
  }
  Json j = Json::MakeObject();
  j.Set("model", folder);
  j.Set("steps", std::move(steps));
  return j;
}

std::string ToText(const std::string& name, const Program& program) {
  Table table({"site", "for decode", "for prefill"}, Table::Align::kLeft);
  for (const StepKernels& s : program.Kernels()) {
    table.Add({s.site, s.decode, s.prefill});
  }
  return fmt::format("{}: kernels\n{}\n", name, table.Text());
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
  const std::vector<std::string> names = Names(c.models);
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const std::string& name = names[i];
    if (c.prefill > 0) {
      add(name, fmt::format("pp{}", c.prefill), report.rows[i].prefill_tokens_per_s);
    }
    if (c.decode > 0) {
      add(name, fmt::format("tg{}", c.decode), report.rows[i].decode_tokens_per_s);
    }
  }
  return table.Text() + fmt::format(
                            "\nMedian, slowest and fastest of {}.\n"
                            "pp: a prompt in one call, tg: one token at a time.\n"
                            "Instruction set {}, peak memory {}, load average {:.2f},\n"
                            "CPU share {:.0f} %\n",
                            FormatNumber(c.repeats, "repeat"), CurrentIsa(),
                            FormatBytes(report.peak_rss_bytes), report.load_average,
                            100 * report.cpu_share);
}

}  // namespace

Status Run(const BenchCommand& c) {
  std::vector<std::shared_ptr<const Model>> models;
  for (const std::string& folder : c.models) {
    OCTET_ASSIGN(models.emplace_back(), LoadModel(folder, c.chunk_size, c.bf16));
  }
  const std::vector<std::string> names = Names(c.models);
  Json kernels = Json::MakeArray();
  for (size_t i = 0; c.explain && i < models.size(); ++i) {
    kernels.Append(ToJson(c.models[i], models[i]->program()));
    if (!c.json) Print(ToText(names[i], models[i]->program()));
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
