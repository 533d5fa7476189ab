// Contracts of kernels/peak.h:
// 1. Every kernel says how much it did, twice as much for twice the rounds, and takes longer for
//    it: no compiler has left the loop out.
// 2. Reading sums every word, whatever the number of streams.
// 3. Each instruction set has a kernel for each unit, and products of codes are not slower on one
//    with dot products than on the scalar kernel.
#include "kernels/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "kernels/each_kernel.h"

namespace octet {
namespace {

struct Outcome {
  double done = 0, seconds = 0;
  uint32_t sum = 0;
};

// The shortest of several runs: others may take the processor meanwhile.
Outcome Fastest(PeakArgs a, const std::function<void()>& call, int runs) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return {*a.done, best, *a.sum};
}

TEST(Peak, TakesTimeForWhatItSaysItDid) {
  for (const PeakUnit unit : {PeakUnit::kF32, PeakUnit::kI8}) {
    std::vector<Outcome> few, many;
    for (const int64_t rounds : {20000, 400000}) {
      Outcome o;
      const PeakArgs a{unit, rounds, nullptr, 0, 0, &o.done, &o.sum};
      const int count = ForEachKernel<PeakArgs>(a, [&](const std::string&, const auto& call) {
        (rounds == 20000 ? few : many).push_back(Fastest(a, call, 5));
      });
      EXPECT_GE(count, 1);
    }
    ASSERT_EQ(few.size(), many.size());
    for (size_t i = 0; i < few.size(); ++i) {
      EXPECT_EQ(many[i].done, 20 * few[i].done);
      EXPECT_GT(many[i].seconds, 5 * few[i].seconds);
      // No core does that.
      EXPECT_LT(many[i].done / many[i].seconds, 5e13);
    }
  }
}

TEST(Peak, ReadsEveryWord) {
  Buffer data(64 * 40 * 9);
  Rng rng(7);
  uint32_t want = 0;
  for (int64_t i = 0; i < data.bytes() / 4; ++i) {
    const auto word = static_cast<uint32_t>(rng.Below(uint64_t{1} << 32));
    std::memcpy(data.data() + 4 * i, &word, sizeof(word));
    want += 3 * word;
  }
  for (const int64_t streams : {1, 2, 4, 8}) {
    Outcome o;
    const PeakArgs a{PeakUnit::kRead, 3, data.data(), data.bytes(), streams, &o.done, &o.sum};
    const int count = ForEachKernel<PeakArgs>(a, [&](const std::string& name, const auto& call) {
      o = {};
      call();
      EXPECT_EQ(o.sum, want) << name << ", " << streams << " streams";
      EXPECT_EQ(o.done, 3.0 * static_cast<double>(data.bytes())) << name;
    });
    EXPECT_GE(count, static_cast<int>(AvailableIsas().size()));
  }
}

TEST(Peak, IsHigherWithVectors) {
  Outcome o;
  const PeakArgs a{PeakUnit::kI8, 200000, nullptr, 0, 0, &o.done, &o.sum};
  double scalar = 0, best = 0;
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const Kernel<PeakArgs>& k = Kernels<PeakArgs>().Pick(a, AllowedIsas());
    const Outcome got = Fastest(
        a, [&] { k.run(a, {nullptr}); }, 5);
    (isa == "ref" ? scalar : best) = std::max(isa == "ref" ? scalar : best, got.done / got.seconds);
  }
  ASSERT_TRUE(ForceIsa("").ok());
  if (best == 0) GTEST_SKIP() << "this processor has the scalar kernels only";
  EXPECT_GT(best, scalar);
}

}  // namespace
}  // namespace octet
