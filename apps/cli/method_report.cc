#include "apps/cli/method_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/published_results.h"
#include "base/version.h"

namespace octet::cli {
namespace {

constexpr double kNotableSaturation = 1e-4;
constexpr int64_t kFewWindows = 8;  // an interval from fewer says nothing

std::string Kl(double value) {
  return value < 0.1 ? fmt::format("{:.5f}", value) : fmt::format("{:.3f}", value);
}

std::string WithInterval(const Estimate& e) {
  return fmt::format("{} ({} to {})", Kl(e.value), Kl(e.low), Kl(e.high));
}

// A Markdown table: the first `left` columns to the left.
std::string Rule(size_t columns, size_t left) {
  std::string rule = "|";
  for (size_t i = 0; i < columns; ++i) {
    rule += i < left ? "---|" : "--:|";
  }
  return rule + "\n";
}

std::string Row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string OrdersText(const MethodReport& r) {
  std::string text =
      "## Orders of the papers\n\nWhich method is closer to float, in mean KL. Difference: first "
      "minus second on the same windows; an order holds when its 95 % interval is below 0, is "
      "reversed when it is above, and is open otherwise; fewer than 8 windows say nothing. ssm and "
      "linears: only that part is "
      "quantized. [methods-notes.md](methods-notes.md) explains what does not hold.\n\n";
  text += Row({"order", "model", "part", "text", "first", "second", "difference (95 %)", "holds"});
  text += Rule(8, 4);
  for (const OrderResult& o : r.orders) {
    const Estimate& d = o.difference;
    const char* holds = o.windows < kFewWindows ? "too few windows"
                        : d.high < 0            ? "yes"
                        : d.low > 0             ? "**reversed**"
                                                : "open";
    text += Row({o.order->claim, o.model, PartName(o.part), r.texts[o.text], Kl(o.better_kl),
                 Kl(o.worse_kl),
                 fmt::format("{:+.5f} ({:+.5f} to {:+.5f})", d.value, d.low, d.high), holds});
  }
  return text;
}

// How much of each text each model has seen.
std::string TextsText(const MethodReport& r) {
  std::string text;
  for (const ModelResults& m : r.models) {
    for (size_t t = 0; t < r.texts.size() && !m.rows.empty(); ++t) {
      const CompareReport& q = m.rows[0].quality[t];
      text += fmt::format("- {}, {}: {} in {}\n", m.name, r.texts[t],
                          FormatNumber(q.tokens, "token"), FormatNumber(q.windows, "window"));
    }
  }
  return text + "\n";
}

std::string QualityText(const MethodReport& r, const ModelResults& m) {
  std::vector<std::string> header = {"method", "size"};
  std::vector<std::string> reference = {"float", FormatBytes(m.bytes)};
  for (size_t t = 0; t < r.texts.size(); ++t) {
    for (const char* column : {"perplexity", "KL (95 %)", "top-1"}) {
      header.push_back(fmt::format("{} {}", r.texts[t], column));
    }
    reference.push_back(
        m.rows.empty() ? "" : fmt::format("{:.3f}", m.rows[0].quality[t].reference_perplexity));
    reference.insert(reference.end(), {"0", "100 %"});
  }
  std::string text = Row(header) + Rule(header.size(), 1) + Row(reference);
  for (const MethodRow& row : m.rows) {
    if (row.part != Part::kAll) continue;
    std::vector<std::string> cells = {row.method, FormatBytes(row.bytes)};
    for (const CompareReport& q : row.quality) {
      cells.push_back(fmt::format("{:.3f}", q.candidate_perplexity));
      cells.push_back(WithInterval(q.kl_mean));
      cells.push_back(FormatPercent(q.top1_agreement));
    }
    text += Row(cells);
  }
  return text;
}

// Mean KL with all, or only a part, quantized; methods that have parts.
std::string PartsText(const MethodReport& r, const ModelResults& m) {
  std::vector<std::string> header = {"method"};
  for (const std::string& name : r.texts) {
    for (const char* column : {"all", "ssm", "linears"}) {
      header.push_back(fmt::format("{} {}", name, column));
    }
  }
  std::string text = Row(header) + Rule(header.size(), 1);
  for (const MethodRow& row : m.rows) {
    const MethodRow* ssm = m.Find(row.method, Part::kSsm);
    const MethodRow* linears = m.Find(row.method, Part::kLinears);
    if (row.part != Part::kAll || (ssm == nullptr && linears == nullptr)) continue;
    std::vector<std::string> cells = {row.method};
    for (size_t t = 0; t < r.texts.size(); ++t) {
      for (const MethodRow* part : {&row, ssm, linears}) {
        cells.push_back(part == nullptr ? "-" : Kl(part->quality[t].kl_mean.value));
      }
    }
    text += Row(cells);
  }
  return text;
}

// "layers.3.ssd.state" as "ssd.state".
std::string WithoutLayer(const std::string& site) {
  constexpr std::string_view kPrefix = "layers.";
  if (!site.starts_with(kPrefix)) return site;
  const size_t dot = site.find('.', kPrefix.size());
  return dot == site.npos ? site : site.substr(dot + 1);
}

double Share(const Saturation& s) {
  return static_cast<double>(s.saturated) / static_cast<double>(std::max<int64_t>(1, s.values));
}

std::string SaturationText(const ModelResults& m) {
  std::string text = Row({"method", "sites beyond their scale, share of the values of all layers"});
  text += Rule(2, 2);
  for (const MethodRow& row : m.rows) {
    if (row.part != Part::kAll || row.saturation.empty()) continue;
    std::map<std::string, Saturation> sites;
    for (const auto& [site, s] : row.saturation) {
      Saturation& sum = sites[WithoutLayer(site)];
      sum.values += s.values;
      sum.saturated += s.saturated;
    }
    std::vector<std::string> notable;
    for (const auto& [site, s] : sites) {
      if (Share(s) < kNotableSaturation) continue;
      notable.push_back(fmt::format("{} {}", site, FormatPercent(Share(s))));
    }
    text += Row({row.method, notable.empty() ? "none above 0.01 %"
                                             : fmt::format("{}", fmt::join(notable, ", "))});
  }
  return text;
}

Json ToJson(const Estimate& e) {
  return Json(Json::Array{Json(e.value), Json(e.low), Json(e.high)});
}

Json ToJson(const CompareReport& q, const std::string& text) {
  Json j = Json::MakeObject();
  j.Set("text", text);
  j.Set("perplexity", q.candidate_perplexity);
  j.Set("perplexity_ratio", ToJson(q.perplexity_ratio));
  j.Set("kl_mean", ToJson(q.kl_mean));
  j.Set("kl_p99", q.kl_p99);
  j.Set("kl_max", q.kl_max);
  j.Set("top1_agreement", q.top1_agreement);
  j.Set("tokens", q.tokens);
  j.Set("windows", q.windows);
  return j;
}

Json ToJson(const MethodRow& row, std::span<const std::string> texts) {
  Json j = Json::MakeObject();
  j.Set("method", row.method);
  j.Set("part", PartName(row.part));
  j.Set("bytes", row.bytes);
  Json quality = Json::MakeArray();
  for (size_t t = 0; t < texts.size(); ++t) {
    quality.Append(ToJson(row.quality[t], texts[t]));
  }
  j.Set("quality", std::move(quality));
  Json saturation = Json::MakeObject();  // sites that are not there: 0
  for (const auto& [site, s] : row.saturation) {
    if (s.saturated > 0) saturation.Set(site, Share(s));
  }
  j.Set("saturation", std::move(saturation));
  return j;
}

Json ToJson(const ModelResults& m, std::span<const std::string> texts) {
  Json j = Json::MakeObject();
  j.Set("model", m.name);
  j.Set("bytes", m.bytes);
  Json perplexity = Json::MakeObject();
  for (size_t t = 0; t < texts.size() && !m.rows.empty(); ++t) {
    perplexity.Set(texts[t], m.rows[0].quality[t].reference_perplexity);
  }
  j.Set("perplexity", std::move(perplexity));
  Json rows = Json::MakeArray();
  for (const MethodRow& row : m.rows) {
    rows.Append(ToJson(row, texts));
  }
  j.Set("rows", std::move(rows));
  return j;
}

Json ToJson(const OrderResult& o, std::span<const std::string> texts) {
  Json j = Json::MakeObject();
  j.Set("order", o.order->claim);
  j.Set("first", o.order->better);
  j.Set("second", o.order->worse);
  j.Set("model", o.model);
  j.Set("part", PartName(o.part));
  j.Set("text", texts[o.text]);
  j.Set("first_kl", o.better_kl);
  j.Set("second_kl", o.worse_kl);
  j.Set("difference", ToJson(o.difference));
  j.Set("windows", o.windows);
  return j;
}

}  // namespace

std::string ToMarkdown(const MethodReport& r) {
  std::string text = fmt::format(
      "# Methods\n\nWritten by `{}` (octet {}); do not edit.\n\nMean KL from the float model in "
      "nats "
      "per token, perplexity, how often the most likely token stays the same, and what share of "
      "the "
      "values is beyond its scale. Each model is measured as it is and as a copy of the same float "
      "function with outlier channels. Intervals: 95 %, bootstrap.\n\n",
      r.command, kVersion);
  text += TextsText(r);
  text += OrdersText(r);
  for (const ModelResults& m : r.models) {
    text += fmt::format("\n## {}\n\n{}", m.name, QualityText(r, m));
    if (std::ranges::any_of(m.rows, [](const MethodRow& w) { return w.part != Part::kAll; })) {
      text += "\nMean KL with everything, only the SSM part, or only the linears quantized:\n\n";
      text += PartsText(r, m);
    }
    text += fmt::format("\n{}", SaturationText(m));
  }
  return text + kPublishedResults;
}

Json ToJson(const MethodReport& r) {
  Json j = Json::MakeObject();
  j.Set("command", r.command);
  j.Set("version", kVersion);
  Json models = Json::MakeArray(), orders = Json::MakeArray();
  for (const ModelResults& m : r.models) {
    models.Append(ToJson(m, r.texts));
  }
  for (const OrderResult& o : r.orders) {
    orders.Append(ToJson(o, r.texts));
  }
  j.Set("models", std::move(models));
  j.Set("orders", std::move(orders));
  return j;
}

}  // namespace octet::cli
