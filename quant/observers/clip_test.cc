// Contracts of the observers that clip:
//  1. Percentile: each axis against sorting and interpolating as numpy does, over several calls of
//     one document; alpha 1 is the maximum.
//  2. Documents combine by the moving average over all of them in order, however Merge groups them,
//     and whether EndDocument is called or not.
//  3. OCTAV: the clip minimizes the spec's error, by a scan over clips, for several distributions;
//     it is the fixed point; equal magnitudes, zeros and a lone outlier. Documents combine by mean.
//  4. Nothing observed, NaN and infinity are errors, wherever they appear.
#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/rng.h"
#include "quant/observers/axis_cases_testing.h"
#include "quant/observers/observer.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

using Floats = std::vector<float>;

void Show(Observer* o, const Floats& v) {
  o->Update({v.data(), 0, 1, static_cast<int64_t>(v.size())});
}

Floats ScalesOf(const Observer& o) {
  const Result<Encoding> e = o.Choose(DType::kI8);
  EXPECT_TRUE(e.ok()) << e.status().message();
  if (!e.ok()) return {};
  EXPECT_EQ(e->dtype, DType::kI8);
  EXPECT_EQ(e->source, ScaleSource::kStatic);
  return e->scales;
}

std::unique_ptr<Observer> Percentile(double alpha) {
  return MakePercentileObserver(ScaleAxis::kTensor, 1, alpha);
}

// numpy.quantile(abs(v), alpha).
double PlainQuantile(Floats v, double alpha) {
  for (float& e : v) {
    e = std::fabs(e);
  }
  std::ranges::sort(v);
  const double position = alpha * static_cast<double>(v.size() - 1);
  const auto low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, v.size() - 1);
  const auto a = static_cast<double>(v[low]), b = static_cast<double>(v[high]);
  return a + (b - a) * (position - static_cast<double>(low));
}

void ExpectScale(float scale, double clip) {
  // The smallest scale of 12 bits that holds the clip in 127 steps.
  EXPECT_EQ(RoundScale(scale), scale);
  EXPECT_GE(scale * 127.0, clip * (1 - 1e-6));
  EXPECT_LE(scale * 127.0, clip * (1 + 0x1p-11 + 1e-6));
}

Floats LongTailed(Rng* rng, size_t n) {
  Floats v(n);
  for (float& e : v) {
    e = rng->Uniform(-2, 2) * std::exp(rng->Uniform(-2, 2));
  }
  return v;
}

TEST(PercentileObserver, QuantileOfWhatADocumentShows) {
  Rng rng(1);
  for (const size_t n : {1, 2, 3, 100, 1001}) {
    for (const double alpha : {0.0, 0.3, 0.5, 0.99, 0.9995, 1.0}) {
      const Floats v = LongTailed(&rng, n);
      const auto whole = Percentile(alpha), pieces = Percentile(alpha);
      Show(whole.get(), v);
      for (size_t i = 0; i < n; i += 7) {
        Show(pieces.get(), Floats(v.begin() + static_cast<std::ptrdiff_t>(i),
                                  v.begin() + static_cast<std::ptrdiff_t>(std::min(n, i + 7))));
      }
      ExpectScale(ScalesOf(*whole)[0], PlainQuantile(v, alpha));
      EXPECT_EQ(ScalesOf(*pieces), ScalesOf(*whole));
    }
  }
}

TEST(PercentileObserver, EachAxis) {
  Rng rng(2);
  for (const AxisCase& s : AxisCases()) {
    const auto observer = MakePercentileObserver(s.axis, s.scales, 0.8);
    std::vector<Floats> seen(static_cast<size_t>(s.scales));
    for (int call = 0; call < 3; ++call) {
      for (int64_t index = 0; index < s.indices; ++index) {
        const Floats v = LongTailed(&rng, static_cast<size_t>(s.rows * s.cols));
        observer->Update({v.data(), index, s.rows, s.cols});
        for (int64_t i = 0; i < s.rows * s.cols; ++i) {
          seen[static_cast<size_t>(s.slot(s, index, i / s.cols, i % s.cols))].push_back(
              v[static_cast<size_t>(i)]);
        }
      }
    }
    const Floats scales = ScalesOf(*observer);
    ASSERT_EQ(scales.size(), seen.size());
    for (size_t i = 0; i < scales.size(); ++i) {
      ExpectScale(scales[i], PlainQuantile(seen[i], 0.8));
    }
  }
}

TEST(PercentileObserver, DocumentsCombineInOrderByTheMovingAverage) {
  Rng rng(3);
  std::vector<Floats> documents;
  for (int i = 0; i < 40; ++i) {
    documents.push_back(LongTailed(&rng, 50 + static_cast<size_t>(i)));
    for (float& v : documents.back()) {
      v *= static_cast<float>(1 + i);  // the order matters
    }
  }
  double m = PlainQuantile(documents[0], 0.9);
  for (size_t i = 1; i < documents.size(); ++i) {
    m += 0.01 * (PlainQuantile(documents[i], 0.9) - m);
  }
  const auto one = [&](size_t i) {
    auto o = Percentile(0.9);
    Show(o.get(), documents[i]);
    return o;
  };
  const auto total = Percentile(0.9);
  for (size_t i = 0; i < documents.size(); ++i) {
    const auto o = one(i);
    if (i % 2 == 0) o->EndDocument();
    total->Merge(*o);
  }
  const Floats want = ScalesOf(*total);
  ExpectScale(want[0], m);

  const auto first = one(0), second = one(20);  // (0 .. 19) + (20 .. 39)
  for (size_t i = 1; i < 20; ++i) {
    first->Merge(*one(i));
    second->Merge(*one(i + 20));
  }
  first->Merge(*second);
  EXPECT_EQ(ScalesOf(*first), want);

  const auto stream = Percentile(0.9);
  for (const Floats& v : documents) {
    Show(stream.get(), v);
    stream->EndDocument();
    stream->EndDocument();  // an empty document is none
  }
  EXPECT_EQ(ScalesOf(*stream), want);
}

RC_GTEST_PROP(PercentileObserverProperty, LiesBetweenValuesAndRisesWithAlpha, ()) {
  const auto raw =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-1000, 1000)));
  const Floats v(raw.begin(), raw.end());
  const double alpha = *rc::gen::inRange(0, 101) / 100.0;
  const double higher = std::min(1.0, alpha + *rc::gen::inRange(0, 100) / 100.0);
  const auto a = Percentile(alpha), b = Percentile(higher);
  Show(a.get(), v);
  Show(b.get(), v);
  const float low = ScalesOf(*a)[0], high = ScalesOf(*b)[0];
  const double clip = PlainQuantile(v, alpha);
  RC_ASSERT(low == ScaleForAbsMax(static_cast<float>(clip)) ||
            std::fabs(low / ScaleForAbsMax(static_cast<float>(clip)) - 1) < 1e-3);
  if (clip > 0) RC_ASSERT(low <= high);
}

// The spec's error of the clip t.
double ClipError(const Floats& v, double t) {
  double error = 0;
  for (const float e : v) {
    const auto m = static_cast<double>(std::fabs(e));
    error += m > t ? (m - t) * (m - t) : t * t / (3.0 * std::pow(4.0, 8));
  }
  return error / static_cast<double>(v.size());
}

double Clip(const Floats& v) {
  const auto o = MakeOctavObserver(ScaleAxis::kTensor, 1);
  Show(o.get(), v);
  return static_cast<double>(ScalesOf(*o)[0]) * 127;
}

double Largest(const Floats& v) {
  double largest = 0;
  for (const float e : v) {
    largest = std::max(largest, static_cast<double>(std::fabs(e)));
  }
  return largest;
}

TEST(OctavObserver, MinimizesTheError) {
  Rng rng(4);
  for (int kind = 0; kind < 3; ++kind) {
    Floats v(20000);
    for (float& e : v) {
      const double a = 1 - rng.Uniform(), b = rng.Uniform();
      const double normal = std::sqrt(-2 * std::log(a)) * std::cos(6.283185307179586 * b);
      const double laplace = b < 0.5 ? std::log(a) : -std::log(a);
      e = static_cast<float>(kind == 0 ? normal : kind == 1 ? laplace : 4 * a - 2);
    }
    const double got = Clip(v), largest = Largest(v);
    double best = largest;
    for (double t = 0.01 * largest; t < largest; t += 0.001 * largest) {
      if (ClipError(v, t) < ClipError(v, best)) best = t;
    }
    // RoundScale moves the clip by up to 2^-11, near the minimum.
    EXPECT_LT(ClipError(v, got), 1.002 * ClipError(v, best)) << kind;
    if (kind == 1) {
      EXPECT_LT(got, 0.95 * largest) << "a long tail is worth clipping";
    }
    double above = 0, count = 0;
    for (const float e : v) {
      const auto m = static_cast<double>(std::fabs(e));
      above += m > got ? m : 0;
      count += m > got ? 1 : 0;
    }
    const double n = static_cast<double>(v.size());
    EXPECT_NEAR(above / ((n - count) / (3 * 65536.0) + count), got, 0.01 * got) << kind;
  }
}

TEST(OctavObserver, SpecialCases) {
  EXPECT_NEAR(Clip(Floats(100, -3.0f)), 3.0, 3.0 * 0x1p-10) << "equal magnitudes";
  EXPECT_EQ(Clip(Floats(5, 0.0f)), 127.0) << "zeros have the scale one";
  Floats lone(100000, 1.0f);
  lone[5] = 1000.0f;
  // 1e-5 of the values: above / count pulls to 1000, the step's error to 1000 / (1 + 1e5 / 196608).
  EXPECT_NEAR(Clip(lone), 1000.0 / (1 + 99999.0 / 196608.0), 1.0);
}

TEST(OctavObserver, DocumentsCombineByTheirMean) {
  Rng rng(5);
  const auto total = MakeOctavObserver(ScaleAxis::kTensor, 1);
  double sum = 0;
  for (int i = 0; i < 5; ++i) {
    Floats v = LongTailed(&rng, 3000);
    for (float& e : v) {
      e *= static_cast<float>(1 + i);
    }
    const auto o = MakeOctavObserver(ScaleAxis::kTensor, 1);
    Show(o.get(), v);
    sum += static_cast<double>(ScalesOf(*o)[0]) * 127;
    total->Merge(*o);
  }
  EXPECT_NEAR(ScalesOf(*total)[0] * 127.0, sum / 5, sum / 5 * 0x1p-10);
}

TEST(ClipObservers, Errors) {
  const auto make = [](int kind) {
    return kind == 0 ? Percentile(0.5) : MakeOctavObserver(ScaleAxis::kTensor, 1);
  };
  for (const int kind : {0, 1}) {
    const auto empty = make(kind);
    empty->EndDocument();
    empty->Merge(*make(kind));
    EXPECT_EQ(empty->Choose(DType::kI8).status().code(), Code::kInvalidArgument);
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      const auto observer = make(kind), total = make(kind);
      Show(observer.get(), {1, 2, bad, 0.5f, 3, 4});
      Show(total.get(), {1, 2, 3});
      EXPECT_EQ(observer->Choose(DType::kI8).status().code(), Code::kCorrupt);
      total->Merge(*observer);
      Show(total.get(), {1, 2, 3});
      total->EndDocument();
      EXPECT_EQ(total->Choose(DType::kI8).status().code(), Code::kCorrupt);
    }
  }
}

TEST(ClipObservers, AScaleThatADocumentDoesNotReachKeepsItsClip) {
  const auto total = MakePercentileObserver(ScaleAxis::kIndex, 3, 1.0);
  const float two = 2, five = 5;
  total->Update({&two, 0, 1, 1});
  total->EndDocument();
  total->Update({&five, 1, 1, 1});
  const Floats scales = ScalesOf(*total);
  EXPECT_EQ(scales, (Floats{ScaleForAbsMax(2), ScaleForAbsMax(5), 1.0f}));
}

}  // namespace
}  // namespace octet
