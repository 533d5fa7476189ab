#include "apps/cli/report_accuracy_html.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/chart_svg.h"
#include "apps/cli/html.h"
#include "apps/cli/report_parts.h"
#include "apps/cli/term.h"

namespace octet::cli {
namespace {

std::string PercentText(const MeanAndError& m) {
  return fmt::format("{:.2f} %", 100 * m.value);
}

// "+0.10 (-0.40 to +0.60)", in points.
std::string DifferenceText(const Estimate& e) {
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", 100 * e.value, 100 * e.low, 100 * e.high);
}

ChartRow RowOf(const ReportPage& page, size_t model, const MeanAndError& m) {
  ChartRow row;
  row.name = page.names[model];
  row.series = static_cast<int>(model);
  row.value = 100 * m.value;
  row.low = 100 * std::max(0.0, m.value - kNormal95 * m.error);
  row.high = 100 * std::min(1.0, m.value + kNormal95 * m.error);
  row.text = PercentText(m);
  row.title = fmt::format("{}: {:.2f} %, {:.2f} to {:.2f}", row.name, row.value, row.low, row.high);
  return row;
}

std::string Heading(const TaskReport& t) {
  return fmt::format("{}, {}, {}", t.task->name, t.task->papers_take_norm ? "acc_norm" : "acc",
                     FormatNumber(t.items, "item"));
}

std::string DifferenceTable(const ReportPage& page) {
  std::string html = "<table class=\"cards\">\n<thead><tr><th>task</th>";
  for (size_t i = 1; i < page.names.size(); ++i) {
    html += fmt::format("<th>{}</th>", ModelName(page, i));
  }
  html += "</tr></thead>\n<tbody>\n";
  const auto& tasks = page.accuracy.front().tasks;
  for (size_t t = 0; t <= tasks.size(); ++t) {
    const bool average = t == tasks.size();
    html += fmt::format("<tr><th>{}</th>", average ? "average" : tasks[t].task->name);
    for (size_t i = 1; i < page.names.size(); ++i) {
      const PairedReport& paired = *page.accuracy[i].paired;
      html += fmt::format("<td data-name=\"{}\">{}", Escaped(page.names[i]),
                          DifferenceText(average ? paired.average : paired.tasks[t].difference));
      if (!average) {
        html += fmt::format("<span class=\"sub\">lost {}, won {}, p {:.2g}</span>",
                            paired.tasks[t].lost, paired.tasks[t].won, paired.tasks[t].p);
      }
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

}  // namespace

std::string AccuracySection(const ReportPage& page) {
  if (page.accuracy.empty()) return "";
  const auto& tasks = page.accuracy.front().tasks;
  std::string figures;
  for (size_t t = 0; t < tasks.size(); ++t) {
    std::vector<ChartRow> rows;
    for (size_t i = 0; i < page.names.size(); ++i) {
      rows.push_back(RowOf(page, i, page.accuracy[i].tasks[t].headline()));
    }
    figures += Figure(
        Heading(tasks[t]),
        DotChart(fmt::format("accuracy on {}", tasks[t].task->name), rows, false, std::nullopt));
  }
  return Section("Accuracy",
                 "Share of items answered rightly, zero-shot, as lm-evaluation-harness scores "
                 "them. The whiskers say how far a task tells of others like it; they are common "
                 "to all models, so compare by the differences below, item by item.",
                 Charts(figures) +
                     "<p>Difference from float in points with its interval; answers lost and won, "
                     "and McNemar's p.</p>\n" +
                     DifferenceTable(page));
}

}  // namespace octet::cli
