#include "apps/cli/bench_report.h"
#include "apps/cli/report_page.h"

namespace octet::cli {
namespace {

Json ToJson(const Estimate& e) {
  return Json(Json::Array{Json(e.value), Json(e.low), Json(e.high)});
}

Json ToJson(const StoredSize& s) {
  Json j = Json::MakeObject();
  j.Set("total", s.total());
  j.Set("matrices", s.matrices);
  j.Set("embedding_and_head", s.ends);
  j.Set("rest", s.rest);
  return j;
}

Json ToJson(const CompareReport& q) {
  Json j = Json::MakeObject();
  j.Set("perplexity", q.candidate_perplexity);
  j.Set("perplexity_ratio", ToJson(q.perplexity_ratio));
  j.Set("kl_mean", ToJson(q.kl_mean));
  j.Set("kl_p50", q.kl_p50);
  j.Set("kl_p99", q.kl_p99);
  j.Set("kl_max", q.kl_max);
  j.Set("top1_agreement", q.top1_agreement);
  Json positions = Json::MakeArray();
  for (const PositionKl& b : q.by_position) {
    Json p = Json::MakeObject();
    p.Set("first", b.first);
    p.Set("last", b.last);
    p.Set("kl", ToJson(b.kl));
    positions.Append(std::move(p));
  }
  j.Set("by_position", std::move(positions));
  return j;
}

Json ToJson(const SiteReport::Panel& p) {
  const SiteHistogram& h = p.histogram;
  Json j = Json::MakeObject();
  j.Set("site", h.site);
  j.Set("values", h.values);
  j.Set("min", h.min);
  j.Set("max", h.max);
  if (h.grid) {
    j.Set("code", h.grid->code);
    j.Set("scaling", h.grid->scaling);
    j.Set("min_scale", static_cast<double>(h.grid->min_scale));
    j.Set("max_scale", static_cast<double>(h.grid->max_scale));
    j.Set("saturated", h.saturated);
  }
  j.Set("left", h.left);
  j.Set("width", h.width);
  Json bins = Json::MakeArray();
  for (const int64_t count : h.bins) {
    bins.Append(count);
  }
  j.Set("bins", std::move(bins));
  return j;
}

Json ToJson(const SiteReport& s) {
  Json j = Json::MakeObject();
  j.Set("tokens", s.tokens);
  Json saturation = Json::MakeObject();
  for (const auto& [site, count] : s.saturation) {
    Json one = Json::MakeObject();
    one.Set("values", count.values);
    one.Set("saturated", count.saturated);
    saturation.Set(site, std::move(one));
  }
  j.Set("saturation", std::move(saturation));
  Json histograms = Json::MakeArray();
  for (const SiteReport::Panel& p : s.panels) {
    histograms.Append(ToJson(p));
  }
  j.Set("histograms", std::move(histograms));
  return j;
}

Json ToJson(const ReportAccuracy& a) {
  Json tasks = Json::MakeArray();
  for (size_t t = 0; t < a.tasks.size(); ++t) {
    const MeanAndError& mean = a.tasks[t].headline();
    Json j = Json::MakeObject();
    j.Set("task", a.tasks[t].task->name);
    j.Set("items", a.tasks[t].items);
    j.Set("accuracy", mean.value);
    j.Set("accuracy_stderr", mean.error);
    if (a.paired) j.Set("difference", ToJson(a.paired->tasks[t].difference));
    tasks.Append(std::move(j));
  }
  Json j = Json::MakeObject();
  j.Set("tasks", std::move(tasks));
  j.Set("average", Average(a.tasks).value);
  if (a.paired) j.Set("average_difference", ToJson(a.paired->average));
  return j;
}

Json ModelJson(const ReportPage& page, size_t i) {
  const ModelReport& m = page.data.models[i];
  Json j = Json::MakeObject();
  j.Set("model", page.folders[i]);
  j.Set("name", page.names[i]);
  j.Set("recipe", page.recipes[i].empty() ? Json() : Json(page.recipes[i]));
  j.Set("bytes", ToJson(m.size));
  j.Set("state_bytes", m.state_bytes);
  if (m.quality) {
    j.Set("quality", ToJson(*m.quality));
  } else {
    j.Set("perplexity", page.data.models[1].quality->reference_perplexity);
  }
  for (const BenchTest test : {BenchTest::kPrefill, BenchTest::kDecode}) {
    const BenchRow* row = page.data.speed ? page.data.speed->Find(i, test) : nullptr;
    if (row == nullptr) continue;
    j.Set(test == BenchTest::kPrefill ? "prefill_tokens_per_s" : "decode_tokens_per_s",
          SpreadJson(row->tokens_per_s));
  }
  if (!page.accuracy.empty()) j.Set("accuracy", ToJson(page.accuracy[i]));
  if (m.sites) j.Set("sites", ToJson(*m.sites));
  if (!page.samples.empty()) j.Set("sample", page.samples[i].text);
  return j;
}

}  // namespace

Json ReportJson(const ReportPage& page) {
  const CompareReport& quality = *page.data.models[1].quality;
  Json j = Json::MakeObject();
  j.Set("text", page.text);
  j.Set("tokens", quality.tokens);
  j.Set("dropped_tokens", page.dropped);
  j.Set("windows", quality.windows);
  j.Set("window", page.windows.window);
  j.Set("calibration", page.calibration);
  j.Set("isa", page.isa);
  j.Set("threads", page.threads);
  Json models = Json::MakeArray(), verdicts = Json::MakeArray();
  for (size_t i = 0; i < page.names.size(); ++i) {
    models.Append(ModelJson(page, i));
  }
  for (const Verdict& v : Verdicts(page)) {
    verdicts.Append(v.before + v.model + v.after);
  }
  j.Set("verdicts", std::move(verdicts));
  j.Set("models", std::move(models));
  if (page.sensitivity) {
    j.Set("sensitivity_recipe", page.sensitivity_recipe);
    j.Set("sensitivity", page.sensitivity->ToJson());
  }
  return j;
}

}  // namespace octet::cli
