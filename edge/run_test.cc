// Contracts:
//  1. A run computes the formulas of integer_s4d.h: the same codes after every layer as an oracle
//     that is written from that header alone, with floors of real numbers in place of shifts and
//     exact sums in place of int32, for every form of layer.
//  2. No sum leaves the integer that it is taken in, also where the frames do their worst for ten
//     times the length of the calibration's sequences.
//  3. Sigmoid is within 3 units of the sigmoid, and a Requant the product rounded once.
//  4. Means and outputs that were shifted are rounded, halves up.
//  5. A copy continues on its own; Reset is a new run; other lengths of frames are refused.
#include "edge/run.h"

#include <cmath>

#include <gmock/gmock.h>

#include "edge/small_model_testing.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

// x86's 80-bit numbers, or longer ones, hold every integer here exactly.
using Real = long double;
static_assert(std::numeric_limits<Real>::digits >= 64);

Real Floor(Real v) {
  return std::floor(v);
}
Real Clamp(Real v, Real low, Real high) {
  return v < low ? low : v > high ? high : v;
}
Real Apply(const Requant& f, Real v) {
  const Real cut = Floor(v * f.m * std::exp2(static_cast<Real>(f.shift) - 30));
  return Floor((cut + 1) / 2);
}

// One stream, in real numbers.
class Oracle {
 public:
  explicit Oracle(const IntegerS4d& m) : m_(m), sum_(static_cast<size_t>(m.heads)) {
    for (const IntegerLayer& l : m.layers) {
      x_.emplace_back(l.A.size());
    }
  }

  void Step(const std::vector<int8_t>& frame) {
    r_ = Multiply(m_.encoder, {frame.begin(), frame.end()});
    after_.clear();
    for (size_t i = 0; i < m_.layers.size(); ++i) {
      Layer(m_.layers[i], &x_[i]);
      after_.push_back(r_);
    }
    for (size_t h = 0; h < sum_.size(); ++h) {
      sum_[h] += r_[h];
    }
    ++t_;
  }

  std::vector<Real> Read() {
    std::vector<Real> q;
    for (const Real s : sum_) {
      const Real mean = Floor(s / t_ + 0.5L);
      q.push_back(Clamp(m_.mean_zero + Apply(m_.mean, mean), m_.mean_low, m_.mean_high));
    }
    return Multiply(m_.decoder, q);
  }

  const std::vector<std::vector<Real>>& x() const { return x_; }
  const std::vector<std::vector<Real>>& after() const { return after_; }

 private:
  static void Fits(Real v, int bits) {
    EXPECT_LT(v, std::exp2(static_cast<Real>(bits - 1)));
    EXPECT_GE(v, -std::exp2(static_cast<Real>(bits - 1)));
  }

  static std::vector<Real> Multiply(const IntegerLinear& m, const std::vector<Real>& x) {
    std::vector<Real> out;
    for (size_t i = 0; i < static_cast<size_t>(m.rows); ++i) {
      const Real zero = m.zero[m.zero.size() == 1 ? 0 : i];
      Real acc = m.bias[i];
      for (size_t j = 0; j < x.size(); ++j) {
        Real w = 0;
        const size_t bytes = m.packed ? (x.size() + 1) / 2 : x.size();
        if (m.packed) {
          const auto byte = static_cast<uint8_t>(m.w[i * bytes + j / 2]);
          const int nibble = j % 2 == 0 ? byte % 16 : byte / 16;
          w = nibble < 8 ? nibble : nibble - 16;
        } else {
          w = m.w[i * bytes + j];
        }
        acc += (w - zero) * x[j];
      }
      Fits(acc, 32);
      out.push_back(Apply(m.scale[m.scale.size() == 1 ? 0 : i], acc));
      Fits(out.back(), 31);
    }
    return out;
  }

  Real Head(const IntegerLayer& l, size_t h, std::vector<Real>* x) const {
    const IntegerHead& p = l.heads[h];
    const auto N = static_cast<size_t>(l.modes);
    const Real u = Clamp(p.u_zero + Apply(p.from_stream, r_[h]), p.u_low, p.u_high) - p.u_zero;
    const uint64_t bits = RowNoise(l.noise_key, t_, static_cast<int64_t>(h)).bits;
    const Real one = std::exp2(static_cast<Real>(p.k));
    const Real input = u * std::exp2(static_cast<Real>(p.b_shift));
    Real Y = 0;
    for (size_t i = h * 2 * N; i < (h + 1) * 2 * N; i += 2) {
      const uint64_t golden = (i / 2 - h * N) * 0x9e3779b9u;
      const uint64_t word = (bits + golden) % (uint64_t{1} << 32);
      const Real R_re = l.dithered ? static_cast<Real>(word % 32768) / 32768 * one : one / 2;
      const Real R_im =
          l.dithered ? static_cast<Real>(word / 32768 % 32768) / 32768 * one : one / 2;
      const Real re = (*x)[i], im = (*x)[i + 1];
      const Real a_re = l.A[i] * re - l.A[i + 1] * im + l.B[i] * input + R_re;
      const Real a_im = l.A[i + 1] * re + l.A[i] * im + l.B[i + 1] * input + R_im;
      Fits(a_re, l.wide ? 64 : 32);
      Fits(a_im, l.wide ? 64 : 32);
      (*x)[i] = Clamp(Floor(a_re / one), -l.most_state, l.most_state);
      (*x)[i + 1] = Clamp(Floor(a_im / one), -l.most_state, l.most_state);
      Y += l.C[i] * (*x)[i] - l.C[i + 1] * (*x)[i + 1];
      Fits(Y, l.y_shift > 0 ? 64 : 32);
    }
    if (l.y_shift > 0) Y = Floor(Y / std::exp2(static_cast<Real>(l.y_shift)) + 0.5L);
    Fits(Y, 32);
    Real s = Y;
    if (l.y_ssm_coded) {
      s = Clamp(p.y_ssm_zero + Apply(p.from_sum, Y), p.y_ssm_low, p.y_ssm_high) - p.y_ssm_zero;
    }
    const Real fine = Apply(p.from_s, s) + Apply(p.from_u, u);
    Fits(fine + 128, 32);
    return Clamp(p.y_zero + Floor((fine + 128) / 256), p.y_low, p.y_high);
  }

  static Real SigmoidOf(Real v) {
    const Real a = std::min(std::fabs(v), Real{65535});
    const auto i = static_cast<size_t>(a / 256);
    const Real low = SigmoidTable()[i], high = SigmoidTable()[i + 1];
    const Real s = low + Floor(((high - low) * (a - 256 * static_cast<Real>(i)) + 128) / 256);
    return v < 0 ? 32768 - s : s;
  }

  static Real Root(Real q) {
    Real y = 35 * 0x1p26L - 5 * Floor(q / 16);
    for (int i = 0; i < 4; ++i) {
      const Real product = Floor(Floor(y * y / 0x1p31L) * q / 0x1p31L);
      y = Floor(y * (3 * 0x1p30L - product) / 0x1p31L);
    }
    return y;
  }

  void Norm(const IntegerNorm& norm) {
    Real S = 0, largest = 0;
    for (const Real v : r_) {
      S += v;
    }
    const Real p = Floor(S / std::exp2(static_cast<Real>(norm.sum_shift)));
    Fits(p, 32);
    const Real mean = Apply(norm.mean, p);
    EXPECT_LT(std::fabs(mean - S / static_cast<Real>(r_.size())), 3);
    for (Real& v : r_) {
      v -= mean;
      Fits(v, 32);
      largest = std::max(largest, v < 0 ? -v - 1 : v);
    }
    Real step = 1;
    while (Floor(largest / step) >= 0x1p23L) {
      step *= 2;
    }
    Real Q = Floor(static_cast<Real>(norm.eps) / (step * step));
    for (const Real v : r_) {
      Q += Floor(v / step) * Floor(v / step);
    }
    ASSERT_GE(Q, 1);
    Fits(Q, 64);
    Real fourth = 1;  // 4^a
    while (Floor(Q / fourth) >= 0x1p32L) {
      fourth *= 4;
    }
    while (Floor(Q / fourth) < 0x1p30L) {
      fourth /= 4;
    }
    const Real y = Root(Floor(Q / fourth)), unit = 0x1p16L * std::sqrt(fourth);
    for (size_t h = 0; h < r_.size(); ++h) {
      const Real n = Floor(Floor(r_[h] / step) * y / unit + 0.5L);
      EXPECT_LE(std::fabs(n), kMostNormed);
      r_[h] = norm.bias[h] + Apply(norm.scale[h], n);
    }
  }

  void Layer(const IntegerLayer& l, std::vector<Real>* x) {
    std::vector<Real> g;
    for (size_t h = 0; h < l.heads.size(); ++h) {
      const Real at = Head(l, h, x) + static_cast<Real>(l.levels) / 2;
      const size_t table = l.gelu.size() == static_cast<size_t>(l.levels) ? 0 : h;
      g.push_back(l.gelu[table * static_cast<size_t>(l.levels) + static_cast<size_t>(at)]);
    }
    const std::vector<Real> value = Multiply(l.value, g), gate = Multiply(l.gate, g);
    for (size_t h = 0; h < r_.size(); ++h) {
      r_[h] += Floor((value[h] * SigmoidOf(gate[h]) + 16384) / 32768);
      EXPECT_LE(std::fabs(r_[h]), 0x1p30);
    }
    if (l.norm) Norm(*l.norm);
  }

  const IntegerS4d& m_;
  std::vector<std::vector<Real>> x_, after_;
  std::vector<Real> sum_, r_;
  int64_t t_ = 0;
};

IntegerS4d Lowered(const SmallModel& m, const S4dPlan& plan) {
  Result<IntegerS4d> lowered = LowerS4d(m.graph, m.weights, plan, m.ranges);
  EXPECT_TRUE(lowered.ok()) << lowered.status().message();
  return *std::move(lowered);
}

// What layers of the tests below were.
struct FormsSeen {
  bool wide = false, narrow = false, packed = false, plain = false, shifted_b = false,
       near_one = false, shifted_y = false, normed = false;

  void Add(const IntegerS4d& model) {
    for (const IntegerLayer& l : model.layers) {
      (l.wide ? wide : narrow) = true;
      (l.packed ? packed : plain) = true;
      shifted_y = shifted_y || l.y_shift > 0;
      normed = normed || l.norm;
      for (const IntegerHead& head : l.heads) {
        shifted_b = shifted_b || head.b_shift > 0;
        near_one = near_one || head.near_one;
      }
    }
  }
};

void ExpectOracle(const IntegerS4d& model) {
  IntegerRun run(model);
  Oracle oracle(model);
  Rng rng(5);
  for (int t = 0; t < 60; ++t) {
    const std::vector<int8_t> frame = RandomCodes(model.inputs, 1 + t % 3, &rng);
    IntegerTrace trace;
    ASSERT_TRUE(run.Step(frame, &trace).ok());
    oracle.Step(frame);
    for (size_t i = 0; i < model.layers.size(); ++i) {
      ASSERT_THAT(trace.layers[i].x, testing::ElementsAreArray(oracle.x()[i])) << t;
      ASSERT_THAT(trace.layers[i].r, testing::ElementsAreArray(oracle.after()[i])) << t;
    }
    ASSERT_THAT(run.Read(), testing::ElementsAreArray(oracle.Read())) << t;
  }
}

TEST(IntegerRun, IsTheFormulasOfTheHeader) {
  FormsSeen seen;
  std::vector<SmallModel> models;
  for (const S4dBlockSizes& sizes : VariousSizes()) {
    models.push_back(MakeSmallModel(sizes, 3, sizes.layers == 2));
  }
  for (const float log_real : {-8.5f, -12.0f}) {
    models.push_back(MakeCircleModel(VariousSizes()[1], 3, log_real));
  }
  for (size_t i = 0; i < models.size(); ++i) {
    for (const auto& [name, plan] : VariousPlans()) {
      SCOPED_TRACE(name + ", model " + std::to_string(i));
      const IntegerS4d model = Lowered(models[i], plan);
      seen.Add(model);
      ExpectOracle(model);
    }
  }
  EXPECT_TRUE(seen.wide && seen.narrow && seen.packed && seen.plain && seen.shifted_b &&
              seen.near_one && seen.shifted_y && seen.normed);
}

TEST(IntegerRun, StaysInRange) {
  const SmallModel small = MakeSmallModel(VariousSizes()[1], 4),
                   slow = MakeSmallModel(VariousSizes()[1], 4, true),
                   normed = MakeSmallModel(VariousSizes()[2], 4),
                   circle = MakeCircleModel(VariousSizes()[1], 4, -8.5f);
  for (const auto& [name, plan] : VariousPlans()) {
    SCOPED_TRACE(name);
    // All at one end, and swinging.
    for (const SmallModel* of : {&slow, &small, &normed, &circle}) {
      const int period = of == &slow ? 1000 : of == &circle ? 50 : 7;
      const IntegerS4d model = Lowered(*of, plan);
      Oracle oracle(model);
      for (int t = 0; t < 1000; ++t) {
        const bool high = t / period % 2 == 0;
        oracle.Step(std::vector<int8_t>(static_cast<size_t>(model.inputs), high ? 127 : -128));
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(IntegerRun, SigmoidAndRequant) {
  for (int32_t v = -300000; v <= 300000; v += 7) {
    EXPECT_NEAR(Sigmoid(v), 32768 / (1 + std::exp(-v / 4096.0)), 3) << v;
  }
  Sigmoid(std::numeric_limits<int32_t>::min());
  Rng rng(9);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::exp2(rng.Uniform(-40, 10)) * (i % 2 == 0 ? 1 : -1);
    const double bound = std::min(0x1p29 / std::fabs(factor), 0x1p31 - 1);
    const Result<Requant> f = MakeRequant(factor, bound, "site");
    ASSERT_TRUE(f.ok());
    const double v = std::nearbyint(rng.Uniform(-1, 1) * bound);
    const double want = v * factor;
    // Half of rounding, and the factor's own rounding to 31 bits.
    EXPECT_NEAR(static_cast<double>((*f)(static_cast<int64_t>(v))), want,
                0.5001 + std::fabs(want) * 0x1p-30)
        << factor << " " << v;
  }
  EXPECT_EQ((Requant{1 << 30, 0}(3)), 2);    // 1.5: halves go up,
  EXPECT_EQ((Requant{1 << 30, 0}(-3)), -1);  // also below zero
  EXPECT_EQ(MakeRequant(2.0, 0x1p30, "here").status().code(), Code::kInvalidArgument);
}

constexpr Requant kOne{1 << 30, 1};

IntegerLinear OneWeight(int8_t w, Requant scale) {
  return {1, 1, false, {w}, {0}, {0}, {scale}};
}

// The mean of frames themselves, whose halves go up: -5 / 3 is nearer to -2, -3 / 2 becomes -1.
TEST(IntegerRun, RoundsMeans) {
  IntegerS4d m;
  m.inputs = m.heads = m.classes = 1;
  m.encoder = m.decoder = OneWeight(1, kOne);
  m.mean = kOne;
  m.mean_low = -100;
  m.mean_high = 100;
  IntegerRun run(m);
  EXPECT_EQ(run.Read()[0], 0);
  const int8_t frames[] = {-1, -2, -2, -4, 120, 120};
  const int32_t want[] = {-1, -1, -2, -2, 22, 39};
  for (size_t t = 0; t < std::size(frames); ++t) {
    ASSERT_TRUE(run.Step({{frames[t]}}).ok());
    EXPECT_EQ(run.Read()[0], want[t]) << t;
  }
}

// A state that holds its input, Y = 3 x, shifted by one place: halves go up.
TEST(IntegerRun, RoundsShiftedOutputs) {
  IntegerS4d m;
  m.inputs = m.heads = m.classes = 1;
  m.encoder = m.decoder = OneWeight(1, kOne);
  IntegerLayer& l = m.layers.emplace_back();
  IntegerHead& head = l.heads.emplace_back();
  head.from_stream = kOne;
  head.from_s = {1 << 30, 9};  // times 256
  head.u_low = head.y_low = -128;
  head.u_high = head.y_high = 127;
  l.modes = 1;
  l.most_state = 127;
  head.k = 20;
  l.y_shift = 1;
  l.A = {0, 0};
  l.B = {1 << 20, 0};
  l.C = {3, 0};
  l.y_ssm_coded = false;
  l.levels = 256;
  l.gelu.resize(256);
  l.value = l.gate = OneWeight(0, kOne);
  IntegerRun run(m);
  for (const auto& [frame, want] : {std::pair{1, 2}, {3, 5}, {-1, -1}, {-3, -4}, {2, 3}}) {
    IntegerTrace trace;
    ASSERT_TRUE(run.Step({{static_cast<int8_t>(frame)}}, &trace).ok());
    EXPECT_EQ(trace.layers[0].y[0], want) << frame;
  }
}

TEST(IntegerRun, CopiesAndReset) {
  const SmallModel small = MakeSmallModel(VariousSizes()[1], 6);
  S4dPlan plan = EightBits(8);
  plan.x.rounding = StateRounding::kStochastic;
  const IntegerS4d model = Lowered(small, plan);
  Rng rng(2);
  std::vector<std::vector<int8_t>> frames;
  for (int t = 0; t < 40; ++t) {
    frames.push_back(RandomCodes(model.inputs, 1, &rng));
  }
  IntegerRun run(model);
  EXPECT_EQ(run.Step(std::vector<int8_t>(3)).code(), Code::kInvalidArgument);
  for (int t = 0; t < 20; ++t) {
    ASSERT_TRUE(run.Step(frames[static_cast<size_t>(t)]).ok());
  }
  IntegerRun copy = run;
  const auto finish = [&](IntegerRun* r, size_t from) {
    for (size_t t = from; t < frames.size(); ++t) {
      EXPECT_TRUE(r->Step(frames[t]).ok());
    }
    return r->Read();
  };
  const std::vector<int32_t> want = finish(&run, 20);
  EXPECT_EQ(finish(&copy, 20), want);
  copy.Reset();
  EXPECT_EQ(finish(&copy, 0), want);
  EXPECT_EQ(RunFrames(model, std::vector<float>(3)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(RunFrames(model, {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace octet
