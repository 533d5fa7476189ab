#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "kernels/isa.h"
#include "quant/observers/observer.h"
#include "quant/passes/passes.h"
#include "quant/segments.h"
#include "tensor/codec.h"

namespace octet {
namespace {

constexpr const char* kLinearInputs = "linear-inputs";
constexpr const char* kFinalNorm = "final_norm";

// What a rule asks of one site.
struct SitePlan {
  const SiteRule* rule;
  ScaleAxis axis;
  int64_t scales;
};
using SitePlans = std::map<std::string, SitePlan, std::less<>>;  // by full name

Status Mismatch(const std::string& site, std::string_view what) {
  return InvalidArgument(fmt::format("site {}: {}", site, what));
}

// How scales lie at the inner site "ssd.<inner>".
Result<SitePlan> PlanInner(const SiteRule& rule, std::string_view inner, const SsdAttributes& s,
                           const std::string& site) {
  const bool score = inner == "score";
  const Granularity wanted = score ? Granularity::kGroup : Granularity::kChannel;
  if (rule.granularity != wanted && rule.granularity != Granularity::kChunk) {
    return Mismatch(
        site, fmt::format("its granularity must be {} or chunk", score ? "group" : "channel"));
  }
  const ScaleAxis axis = score              ? ScaleAxis::kIndex
                         : inner == "state" ? ScaleAxis::kRow
                                            : ScaleAxis::kColumn;
  return SitePlan{&rule, axis, score ? s.groups : s.heads * s.head_dim};
}

// How scales lie at the site of node `n`; `ssd` is null in a block without one.
Result<SitePlan> PlanNode(const SiteRule& rule, const Node& n, const SsdAttributes* ssd) {
  switch (rule.granularity) {
    case Granularity::kToken:
      if (rule.codec != "int8" && rule.codec != "float") {
        return Mismatch(n.site, "scales per token are for codec int8");
      }
      return SitePlan{&rule, ScaleAxis::kTensor, 1};
    case Granularity::kTensor:
      return SitePlan{&rule, ScaleAxis::kTensor, 1};
    case Granularity::kGroup:
      if (ssd == nullptr) return Mismatch(n.site, "there are no groups in this model");
      return SitePlan{&rule, ScaleAxis::kColumn, ssd->groups};
    case Granularity::kCluster:
      if (ssd == nullptr || n.site != fmt::format("layers.{}.x", n.layer)) {
        return Mismatch(n.site, "only x of an Ssd has clusters");
      }
      return SitePlan{&rule, ScaleAxis::kColumn, n.width};
    case Granularity::kChannel:
    case Granularity::kSegment:
      return SitePlan{&rule, ScaleAxis::kColumn, n.width};
    case Granularity::kChunk:
      break;
  }
  return Mismatch(n.site, "only sites inside an Ssd can have scales per chunk");
}

// Names within a block that rules may mean.
struct BlockSites {
  std::set<ValueId> linear_inputs;
  std::map<std::string, ValueId> nodes;
  const Node* ssd = nullptr;
};

BlockSites SitesOf(const Graph& graph, int layer) {
  BlockSites sites;
  const auto [begin, end] = graph.LayerRange(layer);
  const size_t prefix = fmt::format("layers.{}.", layer).size();
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    sites.nodes[n.site.substr(prefix)] = v;
    if (n.op == Op::kLinear) sites.linear_inputs.insert(n.in[0]);
    if (n.op == Op::kSsd) sites.ssd = &n;
  }
  return sites;
}

// Applies one rule to one block; tells whether some site matched.
Result<bool> ApplyRule(const Graph& graph, int layer, const BlockSites& sites, const SiteRule& rule,
                       SitePlans* plans) {
  const bool linear_inputs = rule.sites == kLinearInputs;
  const SsdAttributes* ssd = sites.ssd == nullptr ? nullptr : &sites.ssd->ssd;
  bool matched = false;
  for (const auto& [name, v] : sites.nodes) {
    if (linear_inputs ? sites.linear_inputs.count(v) == 0 : !MatchesName(rule.sites, name))
      continue;
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    OCTET_ASSIGN(const SitePlan plan, PlanNode(rule, n, ssd));
    plans->insert_or_assign(n.site, plan);
    matched = true;
  }
  for (const char* inner : kSsdInnerSites) {
    if (ssd == nullptr || !MatchesName(rule.sites, fmt::format("ssd.{}", inner))) continue;
    const std::string site = SsdInnerSite(layer, inner);
    OCTET_ASSIGN(const SitePlan plan, PlanInner(rule, inner, *ssd, site));
    plans->insert_or_assign(site, plan);
    matched = true;
  }
  return matched;
}

// Everything the rules ask for in block `layer`; among rules for one site, the last.
Result<SitePlans> PlanBlock(const Graph& graph, int layer, const std::vector<SiteRule>& rules) {
  SitePlans plans;
  const BlockSites sites = SitesOf(graph, layer);
  for (const SiteRule& rule : rules) {
    if (!ContainsLayer(rule.layers, layer)) continue;
    OCTET_TRY(ApplyRule(graph, layer, sites, rule, &plans).status());
  }
  std::erase_if(plans, [](const auto& p) { return p.second.rule->codec == "float"; });
  return plans;
}

// "x_scan, xBC, ..." of every block.
std::string SiteNames(const Graph& graph) {
  std::set<std::string> names;
  for (int layer = 0; layer < graph.layers; ++layer) {
    const BlockSites sites = SitesOf(graph, layer);
    for (const auto& [name, v] : sites.nodes) {
      names.insert(name);
    }
    for (const char* inner : kSsdInnerSites) {
      if (sites.ssd != nullptr) names.insert(fmt::format("ssd.{}", inner));
    }
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

// Whether the rule shares scales of a site that is there, or none.
bool SharesWithSite(const Graph& graph, const SiteRule& rule) {
  if (rule.same_as.empty() || rule.optional) return true;
  for (int layer = 0; layer < graph.layers; ++layer) {
    if (SitesOf(graph, layer).nodes.count(rule.same_as) != 0) return true;
  }
  return false;
}

// A rule that means nothing is a mistake of who wrote it.
Status CheckRulesMatch(const Graph& graph, const std::vector<SiteRule>& rules, bool rotates) {
  for (const SiteRule& rule : rules) {
    OCTET_TRY(CheckLayers(rule.layers, graph.layers));
    if (rule.sites == kFinalNorm) {
      const ValueId norm = graph.FindSite(kFinalNorm);
      OCTET_TRY(PlanNode(rule, graph.nodes[static_cast<size_t>(norm)], nullptr).status());
    }
    bool matched = rule.optional || rule.sites == kFinalNorm || (rotates && rule.sites == "y_rot");
    for (int layer = 0; layer < graph.layers && !matched; ++layer) {
      SitePlans plans;
      if (!ContainsLayer(rule.layers, layer)) continue;
      OCTET_ASSIGN(matched, ApplyRule(graph, layer, SitesOf(graph, layer), rule, &plans));
    }
    const bool shares = SharesWithSite(graph, rule);
    if (matched && shares) continue;
    return InvalidArgument(fmt::format("no block has a site {} (there are {})",
                                       matched ? rule.same_as : rule.sites, SiteNames(graph)));
  }
  return {};
}

// The observers of one document in one block, and the mean of the block's output.
class ObserverTap : public Tap {
 public:
  ObserverTap(int layer, const SitePlans& plans, const EncodeOptions& options)
      : out_(fmt::format("layers.{}.out", layer)), options_(options) {
    for (const auto& [site, p] : plans) {
      if (p.rule->run_time()) continue;
      observers[site] = MakeObserver(*p.rule, p.axis, p.scales);
      wants_inner_ = wants_inner_ || site.find(".ssd.") != std::string::npos;
    }
  }

  void At(std::string_view site, int64_t index, float* values, int64_t rows,
          int64_t cols) override {
    if (site == out_) Means(values, rows, cols);
    std::string name(site);
    constexpr std::string_view kLocal = "local_state", kCarried = "ssd.state";
    if (name.ends_with(kLocal)) {
      name.replace(name.size() - kLocal.size(), kLocal.size(), "state");
    } else if (name.ends_with(kCarried) && !options_.running_state) {
      return;
    }
    if (const auto it = observers.find(name); it != observers.end()) {
      it->second->Update({values, index, rows, cols});
    }
  }
  bool WantsInnerSites() const override { return wants_inner_; }
  bool WantsFullScore() const override { return options_.full_score; }

  std::map<std::string, std::unique_ptr<Observer>, std::less<>> observers;
  std::vector<double> means;  // of the block's output, by channel

 private:
  static std::unique_ptr<Observer> MakeObserver(const SiteRule& rule, ScaleAxis axis,
                                                int64_t scales) {
    switch (rule.observer) {
      case ObserverKind::kPercentile:
        return MakePercentileObserver(axis, scales, rule.alpha);
      case ObserverKind::kOctav:
        return MakeOctavObserver(axis, scales);
      case ObserverKind::kAbsMax:
        break;
    }
    return MakeAbsMaxObserver(axis, scales);
  }

  void Means(const float* values, int64_t rows, int64_t cols) {
    means.assign(static_cast<size_t>(cols), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        means[static_cast<size_t>(c)] += static_cast<double>(values[r * cols + c]);
      }
    }
    for (double& m : means) {
      m /= static_cast<double>(rows);
    }
  }

  std::string out_;
  EncodeOptions options_;
  bool wants_inner_ = false;
};

// Whether `site` is a window of the site `whole` of its block, so that it can share its scale.
bool IsPartOf(const Graph& graph, const std::string& site, const std::string& whole) {
  ValueId v = graph.FindSite(site);
  while (v >= 0 && graph.nodes[static_cast<size_t>(v)].op == Op::kSplit) {
    v = graph.nodes[static_cast<size_t>(v)].in[0];
    if (graph.nodes[static_cast<size_t>(v)].site == whole) return true;
  }
  return false;
}

class EncodeSitesPass {
 public:
  EncodeSitesPass(std::vector<SiteRule> rules, const EncodeOptions& options)
      : rules_(std::move(rules)), options_(options) {}

  Status Prepare(QuantContext& c) const {
    OCTET_TRY(CheckRulesMatch(c.graph, rules_, options_.rotates_output));
    return Calibrates() ? StartStreams(c, &c.float_streams) : Status();
  }

  Status Block(QuantContext& c, int layer) const {
    OCTET_ASSIGN(const SitePlans plans, PlanBlock(c.graph, layer, rules_));
    if (Calibrates()) OCTET_TRY(Calibrate(c, layer, plans));
    for (const auto& [site, p] : plans) {
      if (!p.rule->run_time()) continue;
      const bool token = p.rule->granularity == Granularity::kToken;
      OCTET_ASSIGN(const Codec codec, ParseCodec(p.rule->codec));
      c.graph.encodings[site] = {
          DType::kI8, token ? ScaleSource::kPerToken : ScaleSource::kPerChunk, {}, codec};
    }
    return ShareScales(c, layer, plans);
  }

  // The input of the head, the only site outside the blocks that a rule can mean.
  Status Finish(QuantContext& c) const {
    const SiteRule* rule = nullptr;
    for (const SiteRule& r : rules_) {
      if (r.sites == kFinalNorm) rule = &r;
    }
    if (rule == nullptr || rule->codec == "float") return {};
    const Node& norm = c.graph.nodes[static_cast<size_t>(c.graph.FindSite(kFinalNorm))];
    if (rule->granularity == Granularity::kToken) {
      OCTET_ASSIGN(const Codec codec, ParseCodec(rule->codec));
      c.graph.encodings[norm.site] = {DType::kI8, ScaleSource::kPerToken, {}, codec};
      return {};
    }
    OCTET_ASSIGN(const SitePlan plan, PlanNode(*rule, norm, nullptr));
    const SitePlans plans = {{norm.site, plan}};
    const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), -1);
    ObserverTap total(-1, plans, options_);
    for (size_t d = 0; d < c.float_streams->documents(); ++d) {
      ObserverTap tap(-1, plans, options_);
      OCTET_TRY(interpreter.FinalNorm(c.float_streams->entering(d), &tap).status());
      total.observers.begin()->second->Merge(*tap.observers.begin()->second);
    }
    return Choose(c, plans, total);
  }

 private:
  bool Calibrates() const {
    return options_.block_means || std::ranges::any_of(rules_, [](const SiteRule& r) {
             return r.codec != "float" && !r.run_time();
           });
  }

  Status Calibrate(QuantContext& c, int layer, const SitePlans& plans) const {
    const size_t documents = c.data.documents.size();
    std::vector<std::unique_ptr<ObserverTap>> taps(documents);
    ObserverTap total(layer, plans, options_);
    c.block_means.assign(documents, {});
    const auto make = [&](size_t d) {
      taps[d] = std::make_unique<ObserverTap>(layer, plans, options_);
      return taps[d].get();
    };
    const auto seen = [&](size_t d) {
      for (auto& [site, observer] : taps[d]->observers) {
        observer->EndDocument();
        total.observers.at(site)->Merge(*observer);
      }
      c.block_means[d] = std::move(taps[d]->means);
      taps[d].reset();
    };
    OCTET_TRY(RunFloatBlock(c, layer, make, seen));
    return Choose(c, plans, total);
  }

  static Status Choose(QuantContext& c, const SitePlans& plans, const ObserverTap& total) {
    for (const auto& [site, observer] : total.observers) {
      const SiteRule& rule = *plans.find(site)->second.rule;
      OCTET_ASSIGN(const Codec codec, ParseCodec(rule.codec));
      Result<std::vector<ValueRange>> ranges = observer->Ranges();
      if (!ranges.ok()) return ranges.status().Annotate(site);
      if (rule.granularity == Granularity::kCluster) {
        ShareRanges(ClusterOfChannel(*c.clusters), &*ranges);
      } else if (rule.granularity == Granularity::kSegment) {
        ShareRanges(SegmentOfChannel(c.graph, c.graph.FindSite(site)), &*ranges);
      }
      c.graph.encodings[site] = ChooseCodec(*ranges, codec);
    }
    return {};
  }

  static std::vector<uint16_t> SegmentOfChannel(const Graph& graph, ValueId v) {
    std::vector<uint16_t> map;
    for (uint16_t segment = 0; const int64_t end : SegmentEnds(graph, v)) {
      map.resize(static_cast<size_t>(end), segment++);
    }
    return map;
  }

  // Every channel gets the range of its part, a cluster or a segment.
  static void ShareRanges(const std::vector<uint16_t>& part, std::vector<ValueRange>* ranges) {
    std::map<uint16_t, ValueRange> whole;
    for (size_t i = 0; i < ranges->size(); ++i) {
      const ValueRange own = (*ranges)[i];
      ValueRange& range = whole.try_emplace(part[i], own).first->second;
      range = {std::min(range.low, own.low), std::max(range.high, own.high)};
    }
    for (size_t i = 0; i < ranges->size(); ++i) {
      (*ranges)[i] = whole.at(part[i]);
    }
  }

  static Status ShareScales(QuantContext& c, int layer, const SitePlans& plans) {
    for (const auto& [site, p] : plans) {
      if (p.rule->same_as.empty()) continue;
      const std::string whole = fmt::format("layers.{}.{}", layer, p.rule->same_as);
      const Encoding* e = c.graph.FindEncoding(whole);
      if (!IsPartOf(c.graph, site, whole)) continue;
      if (e == nullptr || e->source != ScaleSource::kStatic || e->scales.size() != 1) {
        return Mismatch(site, fmt::format("{} has no static scale to share", whole));
      }
      c.graph.encodings[site] = *e;
    }
    return {};
  }

  std::vector<SiteRule> rules_;
  EncodeOptions options_;
};

}  // namespace

Pass EncodeSites(std::vector<SiteRule> rules, const EncodeOptions& options) {
  const auto pass = std::make_shared<const EncodeSitesPass>(std::move(rules), options);
  return {"sites", [pass](QuantContext& c) { return pass->Prepare(c); },
          [pass](QuantContext& c, int layer) { return pass->Block(c, layer); },
          [pass](QuantContext& c) { return pass->Finish(c); }};
}

}  // namespace octet
