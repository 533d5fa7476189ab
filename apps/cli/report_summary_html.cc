#include "apps/cli/report_summary_html.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/html.h"
#include "apps/cli/report_parts.h"
#include "apps/cli/term.h"

namespace octet::cli {
namespace {

constexpr double kUnranked = std::numeric_limits<double>::quiet_NaN();

// A value, what stands small below it, and its rank: the least of a column is the best.
struct Cell {
  std::string value, below;
  double rank = kUnranked;
};
struct Column {
  std::string name;
  std::vector<Cell> cells;  // by model
};

Column MakeColumn(const ReportPage& page, const std::string& name,
                  const std::function<Cell(size_t)>& cell) {
  Column column{name, {}};
  for (size_t i = 0; i < page.names.size(); ++i) {
    column.cells.push_back(cell(i));
  }
  return column;
}

std::string Between(const std::string& low, const std::string& high) {
  return fmt::format("{} to {}", low, high);
}

void AddSizes(const ReportPage& page, std::vector<Column>* columns) {
  const auto& models = page.data.models;
  const auto whole = static_cast<double>(models[0].size.total());
  columns->push_back(MakeColumn(page, "size", [&](size_t i) {
    const int64_t bytes = models[i].size.total();
    const auto size = static_cast<double>(bytes);
    return Cell{FormatBytes(bytes),
                i == 0 ? "" : fmt::format("{:.0f} % of float", 100 * size / whole), size};
  }));
  columns->push_back(MakeColumn(page, "state of a stream", [&](size_t i) {
    return Cell{FormatBytes(models[i].state_bytes), "", static_cast<double>(models[i].state_bytes)};
  }));
}

void AddQuality(const ReportPage& page, std::vector<Column>* columns) {
  const auto quality = [&](size_t i) -> const CompareReport& {
    return *page.data.models[i].quality;
  };
  columns->push_back(MakeColumn(page, "perplexity", [&](size_t i) {
    const Estimate& nll = i == 0 ? quality(1).reference_nll : quality(i).candidate_nll;
    return Cell{fmt::format("{:.3f}", std::exp(nll.value)),
                Between(fmt::format("{:.3f}", std::exp(nll.low)),
                        fmt::format("{:.3f}", std::exp(nll.high)))};
  }));
  columns->push_back(MakeColumn(page, "ratio to float", [&](size_t i) {
    if (i == 0) return Cell{"1", ""};
    const Estimate& e = quality(i).perplexity_ratio;
    return Cell{fmt::format("{:.4f}", e.value),
                Between(fmt::format("{:.4f}", e.low), fmt::format("{:.4f}", e.high))};
  }));
  columns->push_back(MakeColumn(page, "mean KL", [&](size_t i) {
    if (i == 0) return Cell{"0", ""};
    const Estimate& e = quality(i).kl_mean;
    return Cell{FormatDecimals(e.value), Between(FormatDecimals(e.low), FormatDecimals(e.high)),
                e.value};
  }));
  columns->push_back(MakeColumn(page, "same top token", [&](size_t i) {
    if (i == 0) return Cell{"100 %", ""};
    return Cell{FormatPercent(quality(i).top1_agreement), "", -quality(i).top1_agreement};
  }));
}

void AddAccuracy(const ReportPage& page, std::vector<Column>* columns) {
  if (page.accuracy.empty()) return;
  columns->push_back(MakeColumn(page, "accuracy on tasks", [&](size_t i) {
    const ReportAccuracy& a = page.accuracy[i];
    const std::string mean = fmt::format("{:.2f} %", 100 * Average(a.tasks).value);
    if (!a.paired) return Cell{mean, ""};
    const Estimate& e = a.paired->average;
    return Cell{mean,
                Between(fmt::format("{:+.2f}", 100 * e.low), fmt::format("{:+.2f}", 100 * e.high))};
  }));
}

// Whether every measurement of the fastest was faster than all of the others.
bool FastestStandsOut(const ReportPage& page, BenchTest test) {
  const auto speed = [&](size_t i) -> const Spread& {
    return page.data.speed->Find(i, test)->tokens_per_s;
  };
  size_t best = 0;
  for (size_t i = 1; i < page.names.size(); ++i) {
    if (speed(i).median > speed(best).median) best = i;
  }
  for (size_t i = 0; i < page.names.size(); ++i) {
    if (i != best && speed(i).max >= speed(best).min) return false;
  }
  return true;
}

void AddSpeeds(const ReportPage& page, std::vector<Column>* columns) {
  for (const BenchTest test : {BenchTest::kPrefill, BenchTest::kDecode}) {
    if (!page.data.speed || page.data.speed->Find(0, test) == nullptr) continue;
    const auto median = [&](size_t i) {
      return page.data.speed->Find(i, test)->tokens_per_s.median;
    };
    const bool ranked = FastestStandsOut(page, test);
    const char* name = test == BenchTest::kPrefill ? "prompt, tokens/s" : "writing, tokens/s";
    columns->push_back(MakeColumn(page, name, [&](size_t i) {
      return Cell{fmt::format("{:.0f}", median(i)),
                  i == 0 ? "" : fmt::format("{:.2f} × float", median(i) / median(0)),
                  ranked ? -median(i) : kUnranked};
    }));
  }
}

bool IsBest(const Column& column, const Cell& cell) {
  return !std::isnan(cell.rank) && std::ranges::all_of(column.cells, [&](const Cell& other) {
    return std::isnan(other.rank) || cell.rank <= other.rank;
  });
}

}  // namespace

std::string SummaryTable(const ReportPage& page) {
  std::vector<Column> columns;
  AddSizes(page, &columns);
  AddQuality(page, &columns);
  AddAccuracy(page, &columns);
  AddSpeeds(page, &columns);
  std::string html = "<table class=\"cards\">\n<thead><tr><th>model</th>";
  for (const Column& column : columns) {
    html += fmt::format("<th>{}</th>", column.name);
  }
  html += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < page.names.size(); ++i) {
    html += fmt::format("<tr class=\"s{}\"><th>{}<span class=\"sub\">{}</span></th>", i,
                        ModelName(page, i), Escaped(RecipeName(page, i)));
    for (const Column& column : columns) {
      const Cell& cell = column.cells[i];
      html += fmt::format("<td data-name=\"{}\"><span{}>{}</span>", column.name,
                          IsBest(column, cell) ? " class=\"best\"" : "", cell.value);
      if (!cell.below.empty()) html += fmt::format("<span class=\"sub\">{}</span>", cell.below);
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

}  // namespace octet::cli
