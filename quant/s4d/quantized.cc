#include "quant/s4d/quantized.h"

#include <cmath>

#include <fmt/format.h>

#include "exec/quantized_format.h"

namespace octet {
namespace {

Json ToJson(const std::vector<SeenRange>& ranges) {
  Json array = Json::MakeArray();
  for (const SeenRange& r : ranges) {
    array.Append(Json::Array{static_cast<double>(r.low), static_cast<double>(r.high)});
  }
  return array;
}

// Values of each site of S4dRanges.
std::map<std::string, int64_t, std::less<>> SiteSizes(const Graph& graph) {
  std::map<std::string, int64_t, std::less<>> sizes;
  for (const Node& n : graph.nodes) {
    if (FeedsLinear(n.site)) sizes[n.site] = n.width;
    if (n.op != Op::kS4d) continue;
    for (const char* what : {"u", "y_ssm", "y"}) {
      sizes[S4dRangeSite(n.layer, what)] = n.width;
    }
    sizes[S4dRangeSite(n.layer, "x")] = n.width * n.s4d.modes;
  }
  return sizes;
}

Result<SeenRange> ParseRange(const Json& j) {
  SeenRange range;
  if (j.is_array() && j.AsArray().size() == 2 && j.AsArray()[0].is_number() &&
      j.AsArray()[1].is_number()) {
    const Result<double> low = j.AsArray()[0].AsNumber(), high = j.AsArray()[1].AsNumber();
    if (low.ok() && high.ok()) {
      range = {static_cast<float>(*low), static_cast<float>(*high)};
    }
  }
  if (!std::isfinite(range.low) || !std::isfinite(range.high) || range.empty()) {
    return InvalidArgument(j.Dump(-1) + " is no range [low, high]");
  }
  return range;
}

Result<S4dRanges> ParseRanges(const Json& j, const Graph& graph) {
  const auto sizes = SiteSizes(graph);
  if (!j.is_object()) return InvalidArgument("is no object");
  S4dRanges ranges;
  for (const auto& [site, values] : j.AsObject()) {
    const auto size = sizes.find(site);
    if (size == sizes.end()) return InvalidArgument("the model has no site " + site);
    if (!values.is_array() || std::ssize(values.AsArray()) != size->second) {
      return InvalidArgument(fmt::format("{}: is no list of {} ranges", site, size->second));
    }
    for (const Json& value : values.AsArray()) {
      const Result<SeenRange> range = ParseRange(value);
      if (!range.ok()) return range.status().Annotate(site);
      ranges[site].push_back(*range);
    }
  }
  return ranges;
}

}  // namespace

Json ToJson(const S4dQuantization& q) {
  Json j = Json::MakeObject();
  j.Set("quant_method", kS4dQuantMethod);
  j.Set("plan", ToJson(q.plan));
  Json ranges = Json::MakeObject();
  for (const auto& [site, values] : q.ranges) {
    ranges.Set(site, ToJson(values));
  }
  j.Set("ranges", std::move(ranges));
  return j;
}

Result<S4dQuantization> ParseS4dQuantization(const Json& j, const Graph& graph) {
  const Json *method = j.Find("quant_method"), *plan = j.Find("plan"), *ranges = j.Find("ranges");
  if (method == nullptr || *method != Json(kS4dQuantMethod) || plan == nullptr ||
      ranges == nullptr || j.AsObject().size() != 3) {
    return InvalidArgument(fmt::format(
        "must have the members quant_method (\"{}\"), plan and ranges only", kS4dQuantMethod));
  }
  S4dQuantization q;
  const Status applied = ApplyJson(*plan, &q.plan);
  const Status checked = applied.ok() ? Check(q.plan, graph) : applied;
  if (!checked.ok()) return checked.Annotate("plan");
  Result<S4dRanges> parsed = ParseRanges(*ranges, graph);
  if (!parsed.ok()) return parsed.status().Annotate("ranges");
  q.ranges = *std::move(parsed);
  return q;
}

}  // namespace octet
