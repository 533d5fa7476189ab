#include "eval/ssd_bench.h"

#include <algorithm>
#include <deque>
#include <numeric>

#include "base/buffer.h"
#include "base/rng.h"
#include "eval/machine_load.h"
#include "kernels/isa.h"
#include "kernels/table.h"

namespace octet {
namespace {

constexpr float kScale = 0x1.8p-6f;  // of B and C: codes reach 3

std::vector<float> Random(Rng* rng, int64_t n, float low, float high) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& e : v) {
    e = rng->Uniform(low, high);
  }
  return v;
}

// Values of the sizes found in trained models.
class Problem {
 public:
  Problem(const SsdBenchReport& shape, int64_t tokens) {
    Rng rng(1);
    const int64_t H = shape.heads, P = shape.head_dim, N = shape.state_size, G = shape.groups;
    x_ = Random(&rng, tokens * H * P, -2, 2);
    dt_ = Random(&rng, tokens * H, 0.001f, 0.1f);
    A_ = Random(&rng, H, -16, -1);
    D_ = Random(&rng, H, 0.5f, 1.5f);
    y_.resize(x_.size());
    h_.resize(static_cast<size_t>(H * P * N));
    scales_.assign(static_cast<size_t>(G), kScale);
    for (auto* codes : {&b_codes_, &c_codes_}) {
      codes->resize(static_cast<size_t>(tokens * G * N));
      for (int8_t& code : *codes) {
        code = static_cast<int8_t>(static_cast<int>(rng.Below(255)) - 127);
      }
    }
    for (size_t i = 0; i < b_codes_.size(); ++i) {
      b_.push_back(static_cast<float>(b_codes_[i]) * kScale);
      c_.push_back(static_cast<float>(c_codes_[i]) * kScale);
    }
    ssd_scales_.B = ssd_scales_.C = scales_.data();
    args_.T = tokens;
    args_.H = H;
    args_.P = P;
    args_.N = N;
    args_.G = G;
    args_.L = shape.chunk_size;
    args_.head_end = H;
    args_.x = x_.data();
    args_.x_stride = H * P;
    args_.bc_stride = G * N;
    args_.dt = dt_.data();
    args_.A = A_.data();
    args_.D = D_.data();
    args_.y = y_.data();
    args_.passing = StatePassing::kFloat;
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  // Runs one form from an empty state; microseconds of the stages.
  Result<std::array<double, kSsdStages>> Run(bool in_codes) {
    std::ranges::fill(h_, 0.0f);
    SsdClock clock;
    SsdArgs a = args_;
    a.clock = &clock;
    a.bc_dtype = in_codes ? DType::kI8 : DType::kF32;
    a.B = in_codes ? static_cast<const void*>(b_codes_.data()) : b_.data();
    a.C = in_codes ? static_cast<const void*>(c_codes_.data()) : c_.data();
    a.scales = in_codes ? &ssd_scales_ : nullptr;
    a.h.data = h_.data();
    const Kernel<SsdArgs>& kernel = Kernels<SsdArgs>().Pick(a, AllowedIsas());
    Buffer scratch(kernel.scratch_bytes(a));
    kernel.run(a, {scratch.data()});
    std::array<double, kSsdStages> us = clock.seconds();
    if (std::accumulate(us.begin(), us.end(), 0.0) == 0) {
      return Unsupported("the kernel " + std::string(kernel.name) + " does not time its stages");
    }
    for (double& v : us) {
      v *= 1e6;
    }
    return us;
  }

 private:
  std::vector<float> x_, dt_, A_, D_, b_, c_, y_, h_, scales_;
  std::vector<int8_t> b_codes_, c_codes_;
  SsdScales ssd_scales_ = {};
  SsdArgs args_ = {};
};

// A line of the table: times of each repeat.
struct Series {
  std::vector<double> floats, codes, ratio;
  void Add(double in_floats, double in_codes) {
    floats.push_back(in_floats);
    codes.push_back(in_codes);
    ratio.push_back(in_floats / std::max(in_codes, 1e-3));
  }
  SsdTimes Times() const { return {SpreadOf(floats), SpreadOf(codes), SpreadOf(ratio)}; }
};

double Sum(const std::array<double, kSsdStages>& us) {
  return std::accumulate(us.begin(), us.end(), 0.0);
}

}  // namespace

Result<SsdBenchReport> BenchSsd(const Model& model, std::span<const int64_t> tokens, int repeats,
                                const Progress& progress) {
  const auto& nodes = model.graph().nodes;
  const auto node = std::ranges::find(nodes, Op::kSsd, &Node::op);
  if (node == nodes.end()) return Unsupported("the model has no SSD");
  SsdBenchReport report;
  report.heads = node->ssd.heads;
  report.head_dim = node->ssd.head_dim;
  report.state_size = node->ssd.state_size;
  report.groups = node->ssd.groups;
  report.chunk_size = node->ssd.chunk_size;
  std::vector<std::array<Series, kSsdStages + 1>> series(tokens.size());
  std::deque<Problem> problems;
  for (const int64_t n : tokens) {
    problems.emplace_back(report, n);
  }
  CpuMeter cpu;
  const double start = WallSeconds();
  for (int repeat = -1; repeat < repeats; ++repeat) {
    if (progress) progress("measuring the SSD", repeat + 1, repeats + 1);
    for (size_t i = 0; i < tokens.size(); ++i) {
      OCTET_ASSIGN(const auto floats, problems[i].Run(false));
      OCTET_ASSIGN(const auto codes, problems[i].Run(true));
      if (repeat < 0) continue;
      for (size_t s = 0; s < kSsdStages; ++s) {
        series[i][s].Add(floats[s], codes[s]);
      }
      series[i][kSsdStages].Add(Sum(floats), Sum(codes));
    }
  }
  if (progress) progress("measuring the SSD", repeats + 1, repeats + 1);
  cpu.Had(WallSeconds() - start, 1);
  report.cpu_share = cpu.Share();
  report.load_average = LoadAverage();
  for (size_t i = 0; i < tokens.size(); ++i) {
    SsdBenchRow row;
    row.tokens = tokens[i];
    for (size_t s = 0; s < kSsdStages; ++s) {
      row.stages[s] = series[i][s].Times();
    }
    row.whole = series[i][kSsdStages].Times();
    report.rows.push_back(row);
  }
  return report;
}

}  // namespace octet
