#include "edge/measure.h"

#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "edge/run.h"
#include "edge/sites.h"
#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "kernels/math.h"
#include "quant/s4d/float_states.h"

namespace octet {
namespace {

// The float values of a sequence by site, [T, H], but of ".x" [T, H, N, 2].
using FloatValues = std::map<std::string, std::vector<float>, std::less<>>;

class FloatTap : public Tap {
 public:
  explicit FloatTap(FloatValues* values) : values_(*values) {}

  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (FeedsLinear(site)) values_[std::string(site)].assign(values, values + rows * cols);
  }

  bool RunS4d(const Node& n, const DiscreteS4d& s, std::span<const float> D,
              std::span<const float> u, std::span<float> y) override {
    const auto named = [&](const char* what) -> std::vector<float>& {
      return values_[S4dRangeSite(n.layer, what)];
    };
    const int64_t H = n.width, N = n.s4d.modes;
    std::vector<float>&x = named("x"), &y_ssm = named("y_ssm");
    x.resize(u.size() * 2 * static_cast<size_t>(N));
    y_ssm.resize(u.size());
    RunFloatS4d(n, s, D, u, y_ssm, y, [&](int64_t t, int64_t h, int64_t i, float re, float im) {
      const auto at = static_cast<size_t>(2 * ((t * H + h) * N + i));
      x[at] = re;
      x[at + 1] = im;
    });
    named("u").assign(u.begin(), u.end());
    named("y").assign(y.begin(), y.end());
    return true;
  }

 private:
  FloatValues& values_;
};

// What the codes of a layer stand for.
struct LayerCodes {
  std::vector<AffineCode> u, y_ssm, y;  // [H]
  std::vector<AffineCode> x;            // [H, N]
  AffineCode gelu;
  GeluForm form = GeluForm::kExact;
};

class Measurement {
 public:
  Measurement(const S4dPlan& plan, const S4dRanges& ranges, const IntegerS4d& integers)
      : plan_(plan), ranges_(ranges), integers_(integers) {}

  Status Prepare(const Graph& graph) {
    int layer = 0;
    AddSite("frames");
    for (const Node& n : graph.nodes) {
      if (n.op == Op::kS4d) {
        LayerCodes& codes = codes_.emplace_back();
        OCTET_ASSIGN(codes.u, CodesOfHeads(plan_, ranges_, n, "u"));
        OCTET_ASSIGN(codes.y_ssm, CodesOfHeads(plan_, ranges_, n, "y_ssm"));
        OCTET_ASSIGN(codes.y, CodesOfHeads(plan_, ranges_, n, "y"));
        OCTET_ASSIGN(codes.x, CodesOfState(plan_, ranges_, n));
        layer = n.layer;
      }
      if (n.op != Op::kGelu) continue;
      OCTET_ASSIGN(codes_.back().gelu, CodeOfInput(plan_, ranges_, n.site));
      codes_.back().form = plan_.piecewise_gelu ? GeluForm::kPiecewise : n.gelu;
      for (const char* what : {"u", "x", "y_ssm", "y", "gelu"}) {
        if (what == std::string_view("y_ssm") && codes_.back().y_ssm.empty()) continue;
        AddSite(S4dRangeSite(layer, what));
      }
    }
    AddSite("mean");
    AddSite("logits");
    OCTET_ASSIGN(mean_, CodeOfInput(plan_, ranges_, "mean"));
    return {};
  }

  // `logits`: of the float model, [T, classes].
  Status Add(std::span<const float> frames, const FloatValues& values,
             const std::vector<float>& logits) {
    const std::vector<int8_t> codes = FrameCodesOf(integers_, frames);
    const auto width = static_cast<size_t>(integers_.inputs);
    IntegerRun run(integers_);
    for (size_t begin = 0; begin < codes.size(); begin += width) {
      for (size_t i = begin; i < begin + width; ++i) {
        SiteError& e = Site("frames");
        Compare(frames[i], Decoded(integers_.frame, codes[i]), &e);
        e.cut += integers_.frame.Holds(frames[i]) ? 0 : 1;
      }
      IntegerTrace trace;
      OCTET_TRY(run.Step(std::span(codes).subspan(begin, width), &trace));
      for (size_t i = 0; i < trace.layers.size(); ++i) {
        AddLayer(static_cast<int>(i), trace.layers[i], begin / width, values);
      }
    }
    AddEnd(run, values, logits);
    return {};
  }

  std::vector<SiteError> Take() { return std::move(sites_); }

 private:
  void AddSite(std::string site) {
    index_[site] = sites_.size();
    sites_.emplace_back().site = std::move(site);
  }
  SiteError& Site(std::string_view site) { return sites_[index_.find(site)->second]; }

  static void Compare(double value, double got, SiteError* e) {
    ++e->values;
    e->signal += value * value;
    e->noise += (value - got) * (value - got);
  }
  static double Decoded(const AffineCode& code, int32_t q) {
    return (q - static_cast<double>(code.zero)) * code.scale;
  }

  void AddLayer(int layer, const IntegerTrace::Layer& l, size_t t, const FloatValues& values) {
    const LayerCodes& c = codes_[static_cast<size_t>(layer)];
    const size_t H = l.u.size(), parts = l.x.size();
    const auto compare = [&](const char* what, size_t count, int64_t cut, const auto& decoded) {
      const std::string site = S4dRangeSite(layer, what);
      const float* want = values.find(site)->second.data() + t * count;
      SiteError& e = Site(site);
      for (size_t i = 0; i < count; ++i) {
        Compare(want[i], decoded(i), &e);
      }
      e.cut += cut;
    };
    compare("u", H, l.cut.u, [&](size_t h) { return l.u[h] * static_cast<double>(c.u[h].scale); });
    compare("x", parts, l.cut.x,
            [&](size_t i) { return l.x[i] * static_cast<double>(c.x[i / 2].scale); });
    if (!c.y_ssm.empty()) {
      compare("y_ssm", H, l.cut.y_ssm,
              [&](size_t h) { return l.s[h] * static_cast<double>(c.y_ssm[h].scale); });
    }
    compare("y", H, l.cut.y, [&](size_t h) { return Decoded(c.y[h], l.y[h]); });
    int64_t cut = 0;
    for (size_t h = 0; h < H; ++h) {
      const auto y = static_cast<float>(Decoded(c.y[h], l.y[h]));
      cut += c.gelu.Holds(c.form == GeluForm::kExact ? GeluF(y) : PiecewiseGeluF(y)) ? 0 : 1;
    }
    compare("gelu", H, cut, [&](size_t h) { return Decoded(c.gelu, l.g[h]); });
  }

  void AddEnd(const IntegerRun& run, const FloatValues& values, const std::vector<float>& logits) {
    const std::vector<int64_t> mean = run.Mean();
    const std::vector<float>& means = values.find("mean")->second;
    const float* want = means.data() + means.size() - mean.size();
    SiteError& e = Site("mean");
    for (size_t h = 0; h < mean.size(); ++h) {
      const int64_t q = std::clamp<int64_t>(mean[h], integers_.mean_low, integers_.mean_high);
      Compare(want[h], Decoded(mean_, static_cast<int32_t>(q)), &e);
      e.cut += q != mean[h] ? 1 : 0;
    }
    const std::vector<int32_t> got = run.Read();
    for (size_t k = 0; k < got.size(); ++k) {
      Compare(logits[logits.size() - got.size() + k], got[k] * integers_.logit_scale,
              &Site("logits"));
    }
  }

  const S4dPlan& plan_;
  const S4dRanges& ranges_;
  const IntegerS4d& integers_;
  std::vector<LayerCodes> codes_;
  AffineCode mean_;
  std::vector<SiteError> sites_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace

double SiteError::sqnr() const {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

Result<std::vector<SiteError>> MeasureSites(const Graph& graph, const WeightMap& weights,
                                            const S4dPlan& plan, const S4dRanges& ranges,
                                            const IntegerS4d& integers, int64_t count,
                                            const SequenceSource& sequence) {
  const Interpreter interpreter(graph, weights, AllowedIsas());
  Measurement measurement(plan, ranges, integers);
  OCTET_TRY(measurement.Prepare(graph));
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<float> frames = sequence(i);
    FloatValues values;
    FloatTap tap(&values);
    State state(graph);
    std::vector<float> logits;
    OCTET_TRY(interpreter.RunFrames(frames, &state, &tap, &logits));
    OCTET_TRY(measurement.Add(frames, values, logits));
  }
  return measurement.Take();
}

}  // namespace octet
