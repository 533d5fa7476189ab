#include "quant/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "graph/graph.h"
#include "quant/json_members.h"
#include "tensor/codec.h"

namespace octet {
namespace {

constexpr std::array kRotations = {"none", "output", "full"};
constexpr std::array kSsdModes = {"float", "int8", "int8-gate-q7"};
constexpr std::array kGranularities = {"tensor",  "group", "channel", "segment",
                                       "cluster", "token", "chunk"};
constexpr std::array kObservers = {"absmax", "percentile", "octav"};
constexpr std::array kMethods = {"rtn", "gptq"};
constexpr std::array kSteps = {"absmax", "least-squares"};
constexpr std::array kWeightScales = {"tensor", "segment", "row"};
constexpr std::array kStateLayouts = {"tensor", "row", "cluster"};
constexpr std::array<int64_t, 4> kWeightBits = {4, 8, 16, 32};

}  // namespace

// The members of the three kinds of object, each told once; a visitor writes, reads or describes.
template <class Visitor>
static void Members(SiteRule& r, Visitor& v) {
  v.Text("sites", r.sites, "name within a block, * for any letters; or linear-inputs, final_norm");
  v.Text("layers", r.layers, "\"0-3,7\"; empty: all");
  v.Text("codec", r.codec, "number code of the site, or float");
  v.Choice("granularity", r.granularity, kGranularities, "what shares a scale");
  v.Choice("observer", r.observer, kObservers, "how a static scale follows from calibration data");
  v.Number("alpha", r.alpha, 0.5, 1, "quantile of the percentile observer");
  v.Text("same_as", r.same_as, "a site whose scales this one shares, where it is a part of it");
  v.Flag("optional", r.optional, "no error where no block has the site");
}

template <class Visitor>
static void Members(WeightRule& r, Visitor& v) {
  v.Text("tensors", r.tensors, "in_proj, A_log, ..., * for any letters; linears, embedding, head");
  v.Text("layers", r.layers, "\"0-3,7\"; empty: all");
  v.Integer("bits", r.bits, kWeightBits, "4, 8, 16 (fp16) or 32 (as it is)");
  v.Choice("scale", r.scale, kWeightScales, "8 bits: what shares a scale");
  v.Integer("group", r.group, 32, 1024, "4 bits: columns per step, a multiple of 32");
  v.Choice("step", r.step, kSteps, "4 bits: how the step of a group is chosen");
  v.Choice("method", r.method, kMethods, "4 bits: how codes are chosen");
  v.Flag("optional", r.optional, "no error where no block has the tensor");
}

template <class Visitor>
static void Members(ForkRule& r, Visitor& v) {
  v.Text("site", r.site, "name of the new site within the block");
  v.Text("reader", r.reader, "site of the operation that reads it");
  v.Integer("input", r.input, 0, 3, "which of the reader's inputs");
}

template <class Visitor>
static void Members(QuantPlan& p, Visitor& v) {
  v.Choice("rotation", p.rotation, kRotations, "offline Hadamard rotation");
  v.Text("hadamard", p.hadamard, "auto or block");
  v.Flag("migrate_gamma", p.migrate_gamma, "fold the gated norm's weight into out_proj");
  v.Number("smooth", p.smooth, 0, 1, "migration strength of SmoothQuant; 0: none");
  v.Flag("reorder_heads", p.reorder_heads, "sort and cluster heads and channels of x");
  v.Integer("chunk_size", p.chunk_size, 0, kMaxChunkSize, "of the SSD; 0: the checkpoint's");
  v.Choice("ssd", p.ssd, kSsdModes, "how the SSD computes");
  v.Flag("full_score", p.full_score, "calibrate scores above the diagonal too");
  v.Flag("running_state", p.running_state, "state scales cover carried states");
  v.Rules("forks", p.forks, "readers that see a value under a site of their own");
  v.Rules("sites", p.sites, "how sites are encoded; the last rule for a site counts");
  v.Rules("weights", p.weights, "how tensors are stored; the last rule for a tensor counts");
  v.Flag("sweep_alpha", p.sweep_alpha, "choose alpha by the calibration text's perplexity");
  v.Number("damping", p.damping, 1e-6, 1, "of GPTQ, relative to the Hessian's mean diagonal");
  v.Text("state", p.state, "format of the recurrent state");
  v.Choice("state_scales", p.state_scales, kStateLayouts, "static state scales: what shares one");
  v.Choice("state_observer", p.state_observer, kObservers, "how static state scales are chosen");
  v.Number("state_alpha", p.state_alpha, 0.5, 1, "quantile of the percentile observer");
  v.Text("mean_correction", p.mean_correction, "none, auto, or a factor between 0 and 1");
}

namespace {

// One number of a layer list; nothing when it is none.
std::optional<int> Number(std::string_view text) {
  int value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value < 0) return {};
  return value;
}

// Calls range(first, last) for the parts of "0-3,7"; false when the text is no such list.
template <class Range>
bool ForEachRange(std::string_view layers, const Range& range) {
  while (!layers.empty()) {
    const size_t comma = layers.find(',');
    const std::string_view part = layers.substr(0, comma);
    const size_t dash = part.find('-');
    const std::optional<int> first = Number(part.substr(0, dash));
    const std::optional<int> last = dash == part.npos ? first : Number(part.substr(dash + 1));
    if (!first || !last || *first > *last) return false;
    range(*first, *last);
    if (comma == layers.npos) return true;
    layers.remove_prefix(comma + 1);
    if (layers.empty()) return false;
  }
  return true;
}

Status CheckLayers(const std::string& layers) {
  if (ForEachRange(layers, [](int, int) {})) return {};
  return InvalidArgument(
      fmt::format("layers is \"{}\", but must be numbers and ranges such as 0-3,7", layers));
}

}  // namespace

Status CheckPlan(const QuantPlan& p) {
  OCTET_TRY(ParseStateFormat(p.state).status());
  OCTET_TRY(ParseMeanCorrection(p.mean_correction).status());
  if (p.state_observer == ObserverKind::kOctav ||
      (p.state_observer == ObserverKind::kPercentile && p.state_scales != StateLayout::kTensor)) {
    return InvalidArgument("state_observer must be absmax, or percentile with one scale (tensor)");
  }
  if (!p.reorder_heads && p.state_scales == StateLayout::kCluster) {
    return InvalidArgument("state_scales can be cluster with reorder_heads only");
  }
  for (const ForkRule& f : p.forks) {
    if (f.site.empty() || f.site.find('.') != f.site.npos) {
      return InvalidArgument(fmt::format("a fork's site is \"{}\", but must be one word", f.site));
    }
    const auto same = [&](const ForkRule& o) { return o.reader == f.reader && o.input == f.input; };
    if (std::ranges::count_if(p.forks, same) > 1) {
      return InvalidArgument(fmt::format("input {} of {} is forked twice", f.input, f.reader));
    }
  }
  for (const SiteRule& r : p.sites) {
    if (r.codec != "float") OCTET_TRY(ParseCodec(r.codec).status());
    if (!p.reorder_heads && r.granularity == Granularity::kCluster) {
      return InvalidArgument("a granularity can be cluster with reorder_heads only");
    }
    if (r.sites.empty()) return InvalidArgument("a rule in sites has no member sites");
    OCTET_TRY(CheckLayers(r.layers));
  }
  for (const WeightRule& r : p.weights) {
    if (r.tensors.empty()) return InvalidArgument("a rule in weights has no member tensors");
    if (r.group % 32 != 0) return InvalidArgument("group must be a multiple of 32");
    if (r.method == WeightMethod::kGptq && r.bits != 4) {
      return InvalidArgument("method gptq is for 4 bits");
    }
    OCTET_TRY(CheckLayers(r.layers));
  }
  if (p.hadamard != "auto" && p.hadamard != "block") {
    return InvalidArgument(
        fmt::format("hadamard is \"{}\", but must be auto or block", p.hadamard));
  }
  return {};
}

Result<std::optional<double>> ParseMeanCorrection(const std::string& text) {
  if (text == "auto") return std::optional<double>();
  if (text == "none") return std::optional<double>(0.0);
  double g = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, g);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(g >= 0 && g <= 1)) {
    return InvalidArgument(fmt::format(
        "mean_correction is \"{}\", but must be none, auto or a number between 0 and 1", text));
  }
  return std::optional<double>(g);
}

bool NeedsCalibration(const QuantPlan& p) {
  const auto static_site = [](const SiteRule& r) { return r.codec != "float" && !r.run_time(); };
  const auto gptq = [](const WeightRule& r) { return r.method == WeightMethod::kGptq; };
  return std::ranges::any_of(p.sites, static_site) || std::ranges::any_of(p.weights, gptq) ||
         p.smooth > 0 || p.reorder_heads || p.mean_correction != "none" ||
         p.state.starts_with("i8s");
}

Json ToJson(const QuantPlan& plan) {
  return MembersToJson(plan);
}

Status ApplyJson(const Json& j, QuantPlan* plan) {
  OCTET_TRY(MembersFromJson(j, plan));
  return CheckPlan(*plan);
}

Json PlanSchema() {
  return MembersSchema<QuantPlan>();
}

bool ContainsLayer(std::string_view layers, int layer) {
  if (layers.empty()) return true;
  bool found = false;
  ForEachRange(layers,
               [&](int first, int last) { found = found || (first <= layer && layer <= last); });
  return found;
}

Status CheckLayers(std::string_view layers, int blocks) {
  bool inside = true;
  ForEachRange(layers, [&](int, int last) { inside = inside && last < blocks; });
  if (inside) return {};
  return InvalidArgument(
      fmt::format("layers {}: the model has blocks 0 to {}", layers, blocks - 1));
}

bool MatchesName(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0;
  size_t star = pattern.npos, after = 0;  // the last star, and the end of what it stands for
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++after;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

}  // namespace octet
