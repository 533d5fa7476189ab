// Contracts of the absmax observer:
//  1. Each axis puts a value into the scale that its definition says, compared with a brute force
//     over (index, row, column), and every observed value has a code within its scale.
//  2. Merge is associative and its order does not matter; splitting the data changes nothing.
//  3. Ranges are the smallest and largest values seen, widened to hold 0, and ChooseCodec fits any
//     code to each; an observer without ranges says so.
//  4. Nothing observed, NaN and infinity are errors, wherever they appear.
#include "quant/observers/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "quant/observers/axis_cases_testing.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// One call of a tap: rows x cols values of head or group `index`.
struct Shown {
  int64_t index, rows, cols;
  std::vector<float> values;
};

std::vector<Shown> RandomCalls(Rng* rng, int64_t indices, int64_t rows, int64_t cols, int calls) {
  std::vector<Shown> all;
  for (int i = 0; i < calls; ++i) {
    for (int64_t index = 0; index < indices; ++index) {
      Shown s{index, rows, cols, {}};
      for (int64_t j = 0; j < rows * cols; ++j) {
        s.values.push_back(rng->Uniform(-4, 4) * rng->Uniform(0, 1));
      }
      all.push_back(std::move(s));
    }
  }
  return all;
}

void Show(Observer* o, const Shown& s) {
  o->Update({s.values.data(), s.index, s.rows, s.cols});
}

std::vector<float> ScalesOf(const Observer& o) {
  const Result<Encoding> e = o.Choose(DType::kI8);
  EXPECT_TRUE(e.ok()) << e.status().message();
  if (!e.ok()) return {};
  EXPECT_EQ(e->dtype, DType::kI8);
  EXPECT_EQ(e->source, ScaleSource::kStatic);
  return e->scales;
}

TEST(AbsMax, EachAxisAgainstBruteForce) {
  Rng rng(1);
  for (const AxisCase& s : AxisCases()) {
    const auto calls = RandomCalls(&rng, s.indices, s.rows, s.cols, 5);
    const auto observer = MakeAbsMaxObserver(s.axis, s.scales);
    std::vector<float> peaks(static_cast<size_t>(s.scales));
    for (const Shown& call : calls) {
      Show(observer.get(), call);
      for (int64_t r = 0; r < s.rows; ++r) {
        for (int64_t c = 0; c < s.cols; ++c) {
          float& peak = peaks[static_cast<size_t>(s.slot(s, call.index, r, c))];
          peak = std::max(peak, std::abs(call.values[static_cast<size_t>(r * s.cols + c)]));
        }
      }
    }
    const std::vector<float> scales = ScalesOf(*observer);
    ASSERT_EQ(scales.size(), peaks.size());
    for (size_t i = 0; i < scales.size(); ++i) {
      // The smallest scale of 12 bits that holds the peak in 127 steps.
      EXPECT_GE(scales[i] * 127.0, static_cast<double>(peaks[i]) * (1 - 1e-7)) << i;
      EXPECT_LE(scales[i] * 127.0, static_cast<double>(peaks[i]) * (1 + 0x1p-11)) << i;
      EXPECT_EQ(RoundScale(scales[i]), scales[i]);
    }
  }
}

TEST(AbsMax, MergeInAnyOrderIsSeeingEverything) {
  Rng rng(2);
  for (const AxisCase& s : AxisCases()) {
    const auto calls = RandomCalls(&rng, s.indices, s.rows, s.cols, 3);
    const auto make = [&](size_t first, size_t step) {
      auto o = MakeAbsMaxObserver(s.axis, s.scales);
      for (size_t i = first; i < calls.size(); i += step) {
        Show(o.get(), calls[i]);
      }
      return o;
    };
    const std::vector<float> want = ScalesOf(*make(0, 1));
    const auto merged = [&](const std::vector<size_t>& order) {
      const auto total = MakeAbsMaxObserver(s.axis, s.scales);
      for (const size_t part : order) {
        total->Merge(*make(part, 3));
      }
      return ScalesOf(*total);
    };
    EXPECT_EQ(merged({0, 1, 2}), want);
    EXPECT_EQ(merged({2, 0, 1}), want);
    const auto right = make(1, 3);  // a + (b + c)
    right->Merge(*make(2, 3));
    const auto left = make(0, 3);
    left->Merge(*right);
    EXPECT_EQ(ScalesOf(*left), want);
  }
}

TEST(AbsMax, ChooseCodecFitsTheRangeOfEachScale) {
  Rng rng(5);
  for (const AxisCase& s : AxisCases()) {
    const auto observer = MakeAbsMaxObserver(s.axis, s.scales);
    std::vector<ValueRange> ranges(static_cast<size_t>(s.scales), ValueRange{0, 0});
    for (Shown call : RandomCalls(&rng, s.indices, s.rows, s.cols, 3)) {
      for (float& v : call.values) {
        v = std::max(v, -0.25f);
      }
      const auto other = MakeAbsMaxObserver(s.axis, s.scales);
      Show(other.get(), call);
      observer->Merge(*other);
      for (int64_t r = 0; r < s.rows; ++r) {
        for (int64_t c = 0; c < s.cols; ++c) {
          ValueRange& range = ranges[static_cast<size_t>(s.slot(s, call.index, r, c))];
          const float v = call.values[static_cast<size_t>(r * s.cols + c)];
          range = {std::min(range.low, v), std::max(range.high, v)};
        }
      }
    }
    for (const Codec codec : kCodecs) {
      const Result<Encoding> e = ChooseCodec(*observer, codec);
      ASSERT_TRUE(e.ok()) << e.status().message();
      EXPECT_EQ(e->codec, codec);
      EXPECT_EQ(e->dtype, DType::kI8);
      EXPECT_EQ(e->source, ScaleSource::kStatic);
      ASSERT_EQ(e->scales.size(), ranges.size());
      ASSERT_EQ(e->zeros.size(), HasZero(codec) ? ranges.size() : 0);
      for (size_t i = 0; i < ranges.size(); ++i) {
        const CodecFit fit = FitCodec(codec, ranges[i]);
        EXPECT_EQ(e->scales[i], fit.scale) << CodecName(codec);
        EXPECT_EQ(HasZero(codec) ? e->zeros[i] : 0, fit.zero) << CodecName(codec);
      }
    }
    EXPECT_EQ(ChooseCodec(*observer, Codec::kUniform)->scales, ScalesOf(*observer));
  }
}

TEST(Observer, WithoutRangesFitsNoCodec) {
  class MagnitudesOnly : public Observer {
   public:
    void Update(const Observation&) override {}
    void Merge(const Observer&) override {}
    Result<Encoding> Choose(DType) const override { return Encoding(); }
  };
  EXPECT_EQ(ChooseCodec(MagnitudesOnly(), Codec::kSe9).status().code(), Code::kUnsupported);
}

TEST(AbsMax, NothingObservedIsAnError) {
  const auto empty = MakeAbsMaxObserver(ScaleAxis::kTensor, 1);
  EXPECT_EQ(empty->Choose(DType::kI8).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ChooseCodec(*empty, Codec::kSe9).status().code(), Code::kInvalidArgument);
  const auto other = MakeAbsMaxObserver(ScaleAxis::kTensor, 1);
  empty->Merge(*other);
  EXPECT_FALSE(empty->Choose(DType::kI8).ok()) << "nothing and nothing is nothing";
  Show(other.get(), {0, 1, 1, {0.0f}});
  empty->Merge(*other);
  EXPECT_EQ(ScalesOf(*empty), std::vector<float>{1.0f}) << "zeros have the scale one";
}

TEST(AbsMax, ValuesThatAreNotFiniteAreAnError) {
  for (const AxisCase& s : AxisCases()) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      for (const size_t at : {0, 11, 34}) {
        Rng rng(3);
        auto calls = RandomCalls(&rng, s.indices, s.rows, s.cols, 2);
        calls[0].values[at] = bad;
        const auto observer = MakeAbsMaxObserver(s.axis, s.scales);
        const auto total = MakeAbsMaxObserver(s.axis, s.scales);
        for (const Shown& call : calls) {
          Show(observer.get(), call);
        }
        EXPECT_EQ(observer->Choose(DType::kI8).status().code(), Code::kCorrupt) << bad << at;
        EXPECT_EQ(ChooseCodec(*observer, Codec::kSeg8).status().code(), Code::kCorrupt) << bad;
        Show(total.get(), calls[1]);
        total->Merge(*observer);
        EXPECT_EQ(total->Choose(DType::kI8).status().code(), Code::kCorrupt) << bad << at;
      }
    }
  }
}

}  // namespace
}  // namespace octet
