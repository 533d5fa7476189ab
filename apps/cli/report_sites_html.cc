#include "apps/cli/report_sites_html.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "apps/cli/chart_svg.h"
#include "apps/cli/html.h"
#include "apps/cli/report_parts.h"
#include "apps/cli/term.h"

namespace octet::cli {
namespace {

// "layers.3.ssd.state" as 3 and "ssd.state"; -1 outside the blocks.
std::pair<int, std::string> SplitSite(const std::string& site) {
  constexpr std::string_view kPrefix = "layers.";
  const size_t dot = site.find('.', kPrefix.size());
  if (!site.starts_with(kPrefix) || dot == site.npos) return {-1, site};
  return {std::stoi(site.substr(kPrefix.size(), dot - kPrefix.size())), site.substr(dot + 1)};
}

double Share(const Saturation& s) {
  return static_cast<double>(s.saturated) / static_cast<double>(std::max<int64_t>(1, s.values));
}

// A site over all blocks.
struct SiteShare {
  Saturation sum;
  int worst = -1;
  double worst_share = -1;
};

std::map<std::string, SiteShare> Shares(const SiteReport& report) {
  std::map<std::string, SiteShare> shares;
  for (const auto& [site, s] : report.saturation) {
    const auto [layer, name] = SplitSite(site);
    SiteShare& share = shares[name];
    share.sum.values += s.values;
    share.sum.saturated += s.saturated;
    if (Share(s) <= share.worst_share) continue;
    share.worst = layer;
    share.worst_share = Share(s);
  }
  return shares;
}

std::string ShareText(double share) {
  return share == 0 ? "0" : share < 1e-6 ? "&lt; 0.0001 %" : fmt::format("{:.4f} %", 100 * share);
}

std::string Caption(const NamedSite& site, const SiteHistogram& h) {
  std::string text = fmt::format("<b>{}</b> {}<br>", Escaped(site.name), Escaped(site.what));
  if (!h.grid) return text + fmt::format("in floats, {:.3g} to {:.3g}", h.min, h.max);
  const SiteGrid& g = *h.grid;
  text += fmt::format("{}, {}", Escaped(g.code), g.scaling);
  const double low = static_cast<double>(g.min_scale), high = static_cast<double>(g.max_scale);
  text += low == high ? fmt::format(", step {:.3g}", high)
                      : fmt::format(", {}steps {:.3g} to {:.3g}",
                                    g.scales > 1 ? fmt::format("{} ", g.scales) : "", low, high);
  const double share = static_cast<double>(h.saturated) / static_cast<double>(h.values);
  text += fmt::format("; {} beyond", ShareText(share));
  if (!g.used.empty()) {
    text += fmt::format("; {} of {} codes used", std::ranges::count(g.used, true), g.used.size());
  }
  return text;
}

std::string Panels(const SiteReport& report, int layer, size_t model) {
  std::string html = "<div class=\"panels\">\n";
  for (const SiteReport::Panel& p : report.panels) {
    if (p.layer != layer) continue;
    html += fmt::format(
        "<figure>{}<figcaption>{}</figcaption></figure>\n",
        HistogramChart("histogram of " + p.histogram.site, p.histogram, static_cast<int>(model)),
        Caption(p.site, p.histogram));
  }
  return html + "</div>\n";
}

}  // namespace

std::string SaturationTable(const ReportPage& page) {
  std::vector<std::map<std::string, SiteShare>> models;
  std::map<std::string, bool> sites;  // whether some value saturates
  for (const ModelReport& m : page.data.models) {
    models.push_back(m.sites ? Shares(*m.sites) : std::map<std::string, SiteShare>());
    for (const auto& [site, share] : models.back()) {
      sites[site] |= share.sum.saturated > 0;
    }
  }
  if (sites.empty()) return "";
  std::string never;
  for (const auto& [site, saturates] : sites) {
    if (!saturates) never += (never.empty() ? "" : ", ") + Escaped(site);
  }
  if (!never.empty()) never = "<p>Never in any model: " + never + ".</p>\n";
  if (std::ranges::none_of(sites, [](const auto& s) { return s.second; })) return never;
  std::string html = "<table class=\"cards\">\n<thead><tr><th>site</th>";
  for (size_t i = 1; i < models.size(); ++i) {
    html += fmt::format("<th>{}</th>", ModelName(page, i));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& [site, saturates] : sites) {
    if (!saturates) continue;
    html += fmt::format("<tr><th>{}</th>", Escaped(site));
    for (size_t i = 1; i < models.size(); ++i) {
      html += fmt::format("<td data-name=\"{}\">", Escaped(page.names[i]));
      const auto found = models[i].find(site);
      if (found == models[i].end()) {
        html += "–</td>";
        continue;
      }
      const SiteShare& s = found->second;
      html += ShareText(Share(s.sum));
      if (s.worst_share > 0 && s.worst >= 0) {
        html += fmt::format("<span class=\"sub\">block {}: {}</span>", s.worst,
                            ShareText(s.worst_share));
      }
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n" + never;
}

std::string ActivationPanels(const ReportPage& page) {
  std::string html;
  for (const int layer : page.data.layers) {
    std::string models;
    for (size_t i = 0; i < page.names.size(); ++i) {
      const ModelReport& m = page.data.models[i];
      if (!m.sites) continue;
      models += fmt::format("<h3>{}</h3>\n{}", ModelName(page, i), Panels(*m.sites, layer, i));
    }
    if (models.empty()) continue;
    html += fmt::format("<details{}><summary>Block {}</summary>\n{}</details>\n",
                        html.empty() ? " open" : "", layer, models);
  }
  return html;
}

}  // namespace octet::cli
