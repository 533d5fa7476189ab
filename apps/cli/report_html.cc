#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "apps/cli/chart_svg.h"
#include "apps/cli/html.h"
#include "apps/cli/report_accuracy_html.h"
#include "apps/cli/report_page.h"
#include "apps/cli/report_parts.h"
#include "apps/cli/report_sites_html.h"
#include "apps/cli/report_summary_html.h"
#include "apps/cli/sensitivity_html.h"
#include "apps/cli/term.h"
#include "base/version.h"

namespace octet::cli {
namespace {

constexpr const char* kStyle = R"(
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: .8rem 0 .2rem; overflow-wrap: anywhere; }
ul { margin: .6rem 0; padding-left: 1.2rem; max-width: 60rem; }
li { margin: .15rem 0; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 1.2rem 2.4rem; margin: .8rem 0; }
.charts figure { margin: 0; }
figcaption { margin-bottom: .4rem; color: var(--quiet); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: .8rem .9rem; margin: .4rem 0 1rem; }
.panels figure { margin: 0; }
.panels figcaption { font-size: .78rem; line-height: 1.35; color: var(--quiet); overflow-wrap: anywhere; }
.panels figcaption b { color: var(--ink); }
details { margin: .4rem 0; }
summary { cursor: pointer; font-weight: 600; }
table { width: 100%; margin: .8rem 0; }
td, th { vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 11rem; }
td { white-space: nowrap; }
.pair { display: grid; gap: 0 2.4rem; }
.pair > * { min-width: 0; }
.pair > figure { max-width: 28rem; }
@media (min-width: 901px) { .pair { grid-template-columns: 5fr 3fr; } .pair.flip { grid-template-columns: 3fr 5fr; } }
.sub { display: block; color: var(--quiet); font-size: .8rem; font-weight: 400; }
.best { font-weight: 700; text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px; text-decoration-color: var(--c); }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 260px), 1fr)); gap: .4rem 1.6rem; }
.sample { color: var(--ink); white-space: pre-wrap; overflow-wrap: anywhere; font-size: .92rem; }
.sample .prompt { color: var(--quiet); }
mark { background: var(--mark); color: var(--ink); }
:root { --mark: #ffe9a8; }
@media (prefers-color-scheme: dark) { :root { --mark: #4d3d00; } }
@media (max-width: 900px) {
  .cards thead { display: none; }
  .cards tr { display: grid; grid-template-columns: 1fr 1fr; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .cards th, .cards td { border: 0; padding: .15rem 0; text-align: left; }
  .cards tbody th { grid-column: 1 / -1; }
  .cards td::before { content: attr(data-name); display: block; color: var(--quiet); font-size: .78rem; }
}
)";

class Page {
 public:
  explicit Page(const ReportPage& p) : p_(p) {}

  std::string Html() const {
    std::string html = HtmlHead("Report on " + p_.names.front(),
                                std::string(kChartStyle) + kSensitivityStyle + kStyle);
    html += Header() + SummarySection() + AccuracySection(p_) + QualitySection() +
            PositionSection() + SizeSection();
    if (p_.data.speed) html += SpeedSection();
    if (p_.sensitivity) html += SensitivitySection();
    html += SaturationSection() + ActivationSection() + SampleSection();
    return html + MethodSection() + "</body>\n</html>\n";
  }

 private:
  size_t count() const { return p_.names.size(); }
  const ModelReport& Model(size_t i) const { return p_.data.models[i]; }
  const CompareReport& Quality(size_t i) const { return *Model(i).quality; }
  ChartRow RowOf(size_t i) const {
    ChartRow row;
    row.name = p_.names[i];
    row.series = static_cast<int>(i);
    return row;
  }
  const BenchRow* Speed(size_t i, BenchTest test) const {
    return p_.data.speed ? p_.data.speed->Find(i, test) : nullptr;
  }

  std::string Header() const {
    return fmt::format(
        "<h1>{} and {}</h1>\n<p>Quality is measured against the float model on {} of {}; speed on "
        "{} with {}. Intervals are 95 %. Every model keeps its colour and mark through the "
        "page; hover over a mark for its numbers.</p>\n",
        Escaped(p_.names.front()), FormatNumber(static_cast<int64_t>(count()) - 1, "other model"),
        FormatNumber(Quality(1).tokens, "token"), Escaped(p_.text), Escaped(p_.isa),
        FormatNumber(p_.threads, "thread"));
  }

  std::string SummarySection() const {
    std::string list = "<ul>\n";
    for (const Verdict& v : Verdicts(p_)) {
      list += fmt::format("<li>{}<b>{}</b>{}.</li>\n", Escaped(v.before), Escaped(v.model),
                          Escaped(v.after));
    }
    list += "</ul>\n";
    std::vector<ChartPoint> points;
    for (size_t i = 1; i < count(); ++i) {
      const Estimate& kl = Quality(i).kl_mean;
      const double mb = 1e-6 * static_cast<double>(Model(i).size.total());
      points.push_back({p_.names[i], static_cast<int>(i), mb, kl.value, kl.low, kl.high,
                        fmt::format("{}: {}, KL {}", p_.names[i],
                                    FormatBytes(Model(i).size.total()), FormatDecimals(kl.value))});
    }
    const std::string scatter =
        Figure("Size against departure from float: the lower left is better.",
               ScatterChart("mean KL over size", "size, MB", "mean KL, nats per token", points,
                            1e-6 * static_cast<double>(Model(0).size.total()), "float"));
    return Section("Which model to take",
                   "The best size, state, KL and agreement are underlined, and a speed where no "
                   "other model's spread reaches it; small print below a number is its interval or "
                   "its ratio to float.",
                   "<div class=\"pair\">\n<div>" + list + "</div>\n" + scatter + "</div>\n" +
                       SummaryTable(p_));
  }

  std::string QualitySection() const {
    std::vector<ChartRow> ratios, kls, perplexities, tops;
    for (size_t i = 0; i < count(); ++i) {
      const Estimate& nll = i == 0 ? Quality(1).reference_nll : Quality(i).candidate_nll;
      ChartRow row = RowOf(i);
      row.value = std::exp(nll.value);
      row.low = std::exp(nll.low);
      row.high = std::exp(nll.high);
      row.text = fmt::format("{:.4f}", row.value);
      row.title = fmt::format("{}: perplexity {:.4f}, {:.4f} to {:.4f}", row.name, row.value,
                              row.low, row.high);
      perplexities.push_back(row);
    }
    for (size_t i = 1; i < count(); ++i) {
      const CompareReport& q = Quality(i);
      ChartRow row = RowOf(i);
      row.value = q.perplexity_ratio.value;
      row.low = q.perplexity_ratio.low;
      row.high = q.perplexity_ratio.high;
      row.text = fmt::format("{:.4f}", row.value);
      row.title =
          fmt::format("{}: ratio {:.5f}, {:.5f} to {:.5f}", row.name, row.value, row.low, row.high);
      ratios.push_back(row);
      row.value = q.kl_mean.value;
      row.low = q.kl_mean.low;
      row.high = q.kl_mean.high;
      row.text = FormatDecimals(row.value);
      row.title =
          fmt::format("{}: mean KL {}, {} to {}; median {}, 99 % {}, largest {}", row.name,
                      FormatDecimals(row.value), FormatDecimals(row.low), FormatDecimals(row.high),
                      FormatDecimals(q.kl_p50), FormatDecimals(q.kl_p99), FormatDecimals(q.kl_max));
      kls.push_back(row);
    }
    return Section(
        "Perplexity and departure from float",
        fmt::format("Perplexity is how surprised a model is by {}; the ratio to float cancels how "
                    "hard the text is, and the KL divergence shows changes that the perplexity of "
                    "one text averages out. {} in {} of {}.",
                    Escaped(p_.text), FormatNumber(Quality(1).tokens, "token"),
                    FormatNumber(Quality(1).windows, "window"),
                    FormatNumber(p_.windows.window, "token")),
        Charts(Figure("Perplexity; the interval is that of the text, common to all models",
                      DotChart("perplexity", perplexities, false, std::nullopt)) +
               Figure("Perplexity over that of float; dashed: equal",
                      DotChart("ratio of perplexities", ratios, false, 1.0)) +
               Figure("Mean KL(float || model), nats per token, logarithmic",
                      DotChart("mean KL", kls, true, std::nullopt))));
  }

  std::string DriftFigure() const {
    std::vector<std::string> places;
    std::vector<ChartLine> lines;
    for (size_t i = 1; i < count(); ++i) {
      if (!Model(i).drift) continue;
      const DriftReport& d = *Model(i).drift;
      ChartLine line{p_.names[i], static_cast<int>(i), {}};
      for (size_t k = 0; k < d.buckets.size(); ++k) {
        const DriftBucket& b = d.buckets[k];
        if (places.size() <= k) places.push_back(fmt::format("{}", b.first));
        line.points.push_back(
            {k, b.kl_mean, 0, 0,
             fmt::format("{}, state {}, tokens {} to {}: KL {}, state off by {}", line.name,
                         d.format, b.first, b.last - 1, FormatDecimals(b.kl_mean),
                         FormatPercent(b.state_error))});
      }
      lines.push_back(std::move(line));
    }
    if (lines.empty()) return "";
    return Figure(
        "Of that, what a narrow recurrent state alone costs when decoding, against the same model "
        "with an fp32 state",
        LineChart("KL of narrow states", "tokens before, from", "KL, nats per token", places,
                  lines));
  }

  std::string PositionSection() const {
    std::vector<std::string> places;
    std::vector<ChartLine> lines;
    for (const PositionKl& b : Quality(1).by_position) {
      places.push_back(fmt::format("{}", b.first));
    }
    for (size_t i = 1; i < count(); ++i) {
      ChartLine line{p_.names[i], static_cast<int>(i), {}};
      const std::vector<PositionKl>& buckets = Quality(i).by_position;
      for (size_t k = 0; k < buckets.size(); ++k) {
        const PositionKl& b = buckets[k];
        line.points.push_back({k, b.kl.value, b.kl.low, b.kl.high,
                               fmt::format("{}, positions {} to {}: KL {}, {} to {}", p_.names[i],
                                           b.first, b.last - 1, FormatDecimals(b.kl.value),
                                           FormatDecimals(b.kl.low), FormatDecimals(b.kl.high))});
      }
      lines.push_back(std::move(line));
    }
    return Section("KL by position",
                   "A recurrent state carries its errors on: a line that climbs says that they "
                   "grow with the text, a flat one that they do not.",
                   Charts(Figure("Mean KL of the predictions after so many tokens, in groups 0, 1, "
                                 "2 to 3, 4 to 7, ...",
                                 LineChart("KL by position", "tokens before, from",
                                           "KL, nats per token", places, lines)) +
                          DriftFigure()));
  }

  std::string SizeSection() const {
    std::vector<ChartRow> sizes, states;
    for (size_t i = 0; i < count(); ++i) {
      const StoredSize& s = Model(i).size;
      ChartRow row = RowOf(i);
      row.value = static_cast<double>(s.total());
      row.parts = {static_cast<double>(s.matrices), static_cast<double>(s.ends),
                   static_cast<double>(s.rest)};
      row.text = FormatBytes(s.total());
      row.title = fmt::format("{}: matrices {}, embedding and head {}, rest {}", row.name,
                              FormatBytes(s.matrices), FormatBytes(s.ends), FormatBytes(s.rest));
      sizes.push_back(row);
      row.parts.clear();
      row.value = static_cast<double>(Model(i).state_bytes);
      row.text = FormatBytes(Model(i).state_bytes);
      row.title = fmt::format("{}: {} bytes a stream", row.name, FormatCount(Model(i).state_bytes));
      states.push_back(row);
    }
    return Section("Size",
                   "What the weights take on the disk and in memory, and what each stream of text "
                   "adds, however long it is.",
                   Charts(Figure("Weights, scales included; from dark to light: matrices of the "
                                 "blocks, embedding and head, the rest",
                                 BarChart("bytes of the weights", sizes)) +
                          Figure("State of a stream between two tokens",
                                 BarChart("bytes of the state", states))));
  }

  std::string SpeedSection() const {
    std::string figures;
    for (const BenchTest test : {BenchTest::kPrefill, BenchTest::kDecode}) {
      std::vector<ChartRow> rows;
      for (size_t i = 0; i < count(); ++i) {
        const BenchRow* bench = Speed(i, test);
        if (bench == nullptr) continue;
        const Spread& s = bench->tokens_per_s;
        ChartRow row = RowOf(i);
        row.value = s.median;
        row.low = s.min;
        row.high = s.max;
        row.text = fmt::format("{:.0f}", s.median);
        row.title =
            fmt::format("{}: {:.1f} tokens/s, {:.1f} to {:.1f}", row.name, s.median, s.min, s.max);
        rows.push_back(row);
      }
      if (rows.empty()) continue;
      const BenchRow* first = Speed(0, test);
      figures += Figure(test == BenchTest::kPrefill
                            ? fmt::format("{}: a prompt of {} tokens in one call, tokens/s",
                                          TestName(*first), first->tokens)
                            : fmt::format("{}: {} tokens one by one, as when writing, tokens/s",
                                          TestName(*first), first->tokens),
                        BarChart("tokens per second", rows));
    }
    return Section(
        "Speed",
        fmt::format("Median of {}, the models in turn; whiskers from the slowest to the fastest. "
                    "{}, {}, load average {:.2f}: compare speeds within this page only.",
                    FormatNumber(p_.repeats, "repeat"), Escaped(p_.isa),
                    FormatNumber(p_.threads, "thread"), p_.data.speed->load_average),
        Charts(figures));
  }

  std::string SensitivitySection() const {
    const Sensitivity& s = *p_.sensitivity;
    std::vector<const SensitivityItem*> items;
    for (const SensitivityItem& i : s.items) {
      items.push_back(&i);
    }
    std::ranges::stable_sort(items, std::greater<>(), &SensitivityItem::kl);
    items.resize(std::min<size_t>(items.size(), 8));
    std::vector<ChartRow> rows;
    for (const SensitivityItem* i : items) {
      ChartRow row;
      row.name = (i->layer < 0 ? "outside the blocks, " : fmt::format("block {}, ", i->layer)) +
                 ColumnOf(*i);
      row.value = i->kl;
      row.low = std::max(0.0, i->kl - kNormal95 * i->kl_error);
      row.high = i->kl + kNormal95 * i->kl_error;
      row.text = FormatDecimals(i->kl);
      row.title = fmt::format("{}: KL {}", row.name, FormatDecimals(i->kl));
      rows.push_back(std::move(row));
    }
    return Section(
        "What costs quality",
        fmt::format("Mean KL of the float model from itself when one part alone is quantized, the "
                    "sites as in recipe {}; in_proj:4 is that matrix in 4 bits. {} in {}.",
                    Escaped(p_.sensitivity_recipe), FormatNumber(s.tokens, "token"),
                    FormatNumber(s.documents, "piece")),
        "<div class=\"pair flip\">\n" +
            Figure("The parts that cost most, nats per token", BarChart("KL by part", rows)) +
            "<div><p>By block; colour is logarithmic in KL:</p>\n" + SensitivityFigures(s) +
            "</div></div>\n");
  }

  std::string SaturationSection() const {
    const std::string table = SaturationTable(p_);
    return table.empty() ? ""
                         : Section("Saturation",
                                   "The share of the values that lie beyond what their static "
                                   "scale can hold, by site over all blocks, and in the block "
                                   "where it is largest; sites with scales made at run time never "
                                   "saturate.",
                                   table);
  }

  std::string ActivationSection() const {
    const std::string panels = ActivationPanels(p_);
    return panels.empty()
               ? ""
               : Section("Activations and their codes",
                         fmt::format("How often values occur, on a logarithmic axis, on {}. Below: "
                                     "the codes, as many as can be drawn; dashed: beyond it values "
                                     "saturate. Codes that hold no values are wasted, values "
                                     "beyond the dashes are cut.",
                                     Escaped(p_.calibration)),
                         panels);
  }

  // Text with its line breaks.
  static std::string Lines(const std::string& text) {
    std::string html;
    size_t from = 0;
    for (size_t end; (end = text.find('\n', from)) != text.npos; from = end + 1) {
      html += Escaped(text.substr(from, end - from)) + "\n";
    }
    return html + Escaped(text.substr(from));
  }

  std::string SampleSection() const {
    if (p_.samples.empty()) return "";
    std::string html = "<div class=\"samples\">\n";
    const Continuation& reference = p_.samples.front();
    for (size_t i = 0; i < count(); ++i) {
      const Continuation& s = p_.samples[i];
      const auto [a, b] = std::ranges::mismatch(s.tokens, reference.tokens);
      const auto same = std::ranges::mismatch(s.text, reference.text).in1 - s.text.begin();
      size_t cut = static_cast<size_t>(same);
      while (cut > 0 && cut < s.text.size() &&
             (static_cast<unsigned char>(s.text[cut]) & 0xc0) == 0x80) {
        --cut;
      }
      const std::string rest = s.text.substr(cut);
      html += fmt::format(
          "<div><h3>{}</h3><p class=\"sub\">{}</p><p class=\"sample\"><span "
          "class=\"prompt\">{}</span>{}{}</p></div>\n",
          ModelName(p_, i),
          i == 0 ? FormatNumber(std::ssize(s.tokens), "token")
                 : fmt::format("the first {} of {} tokens as float", a - s.tokens.begin(),
                               std::ssize(s.tokens)),
          Lines(p_.prompt), Lines(s.text.substr(0, cut)),
          rest.empty() ? "" : fmt::format("<mark>{}</mark>", Lines(rest)));
    }
    return Section("The same prompt",
                   "Always the most likely token; marked from where a model departs from float. A "
                   "single near tie is enough to part them: early parting alone does not mean a "
                   "worse text.",
                   html + "</div>\n");
  }

  std::string MethodSection() const {
    std::string html = "<ul>\n";
    for (size_t i = 0; i < count(); ++i) {
      html += fmt::format("<li>{}: {}, {}</li>\n", ModelName(p_, i), Escaped(p_.folders[i]),
                          Escaped(RecipeName(p_, i)));
    }
    html += fmt::format(
        "<li>Quality: {}, windows of {}, each from an empty state; {}. KL and perplexity: block "
        "bootstrap over blocks of at most 64 tokens; positions: over windows.</li>\n",
        Escaped(p_.text), FormatNumber(p_.windows.window, "token"),
        p_.dropped == 0 ? "all tokens scored"
                        : FormatNumber(p_.dropped, "token") + " at the end fill no window");
    if (Model(0).sites) {
      html += fmt::format("<li>Activations and saturation: {} of {}.</li>\n",
                          FormatNumber(Model(0).sites->tokens, "token"), Escaped(p_.calibration));
    }
    for (const std::string& s : p_.left_out) {
      html += fmt::format("<li>{}</li>\n", Escaped(s));
    }
    return Section("How it was measured", fmt::format("Written by octet {}.", kVersion),
                   html + "</ul>\n");
  }

  const ReportPage& p_;
};

}  // namespace

std::string ReportHtml(const ReportPage& page) {
  return Page(page).Html();
}

}  // namespace octet::cli
