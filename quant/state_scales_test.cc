// Contracts:
//  1. Scales cover the largest value of what shares them: the state, a row, or a cluster's column;
//     they fit the state they are for.
//  2. SetStateFormat("i8s") gives every state a scale per row that covers what an Interpreter shows
//     of the calibration texts every 8 tokens and at their ends, whatever the number of threads.
#include "quant/state_scales.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"
#include "kernels/isa.h"
#include "quant/passes_testing.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

TEST(StateScales, CoverWhatSharesThem) {
  const std::vector<float> peaks = {1, 2, 3, 0, 0, 0, 6, 5, 4};
  const StateScales one = MakeStateScales(StateLayout::kTensor, peaks, 3, 3);
  EXPECT_EQ(one.values, std::vector<float>{ScaleForAbsMax(6)});
  const StateScales rows = MakeStateScales(StateLayout::kRow, peaks, 3, 3);
  EXPECT_EQ(rows.values, (std::vector<float>{ScaleForAbsMax(3), 1, ScaleForAbsMax(6)}));
  const StateScales clusters = MakeStateScales(StateLayout::kCluster, peaks, 3, 3, {1, 0, 1});
  EXPECT_EQ(clusters.values,
            (std::vector<float>{1, 1, 1, ScaleForAbsMax(6), ScaleForAbsMax(5), ScaleForAbsMax(4)}));
  for (const StateScales& s : {one, rows, clusters}) {
    EXPECT_TRUE(CheckStateScales(s, 3, 3).ok());
  }
}

// The largest value of each row of each state, chunk by chunk.
class Peaks : public Tap {
 public:
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (!site.ends_with(".state")) return;
    std::vector<float>& most = of[std::string(site)];
    most.resize(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows * cols; ++i) {
      float& peak = most[static_cast<size_t>(i / cols)];
      peak = std::fmax(peak, std::fabs(values[i]));
    }
  }
  bool WantsInnerSites() const override { return false; }
  std::map<std::string, std::vector<float>> of;
};

TEST(StateScales, SetStateFormatCalibratesThem) {
  for (const bool mamba : {false, true}) {
    Graph graph = mamba ? MakeMambaBlocks({}) : MakeBlocks({});
    WeightMap weights = mamba ? MakeMambaBlockWeights({}, 3) : MakeBlockWeights({}, 3);
    SetChunkSize(8, &graph);
    TokenDataset data;
    data.documents = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1}, {5, 5, 5}, {3, 1, 4, 1, 5, 9, 2, 6}};
    Peaks peaks;
    const Interpreter interpreter(graph, weights, AllowedIsas());
    for (const auto& document : data.documents) {
      State state(graph);
      std::vector<float> logits;
      const auto first = std::span(document).first(std::min<size_t>(8, document.size()));
      ASSERT_TRUE(interpreter.Run(first, &state, &peaks, &logits).ok());
      const auto rest = std::span(document).subspan(first.size());
      const bool ran = rest.empty() || interpreter.Run(rest, &state, &peaks, &logits).ok();
      ASSERT_TRUE(ran);
    }
    for (const int threads : {1, 3}) {
      graph.state = {};
      graph.state_scales = nullptr;
      const Status s = RunPassesOn({SetStateFormat({"i8s+ef"})}, &graph, &weights, data, threads);
      ASSERT_TRUE(s.ok()) << s.message();
      EXPECT_EQ(ToText(graph.state), "i8s+ef");
      EXPECT_TRUE(Verify(graph).ok());
      for (int layer = 0; layer < 2; ++layer) {
        std::vector<float> want;
        for (const float peak : peaks.of.at(StateSite(layer))) {
          want.push_back(ScaleForAbsMax(peak));
        }
        EXPECT_EQ((*graph.state_scales)[static_cast<size_t>(layer)].values, want) << mamba;
      }
    }
    ASSERT_TRUE(RunPassesOn({SetStateFormat({"i8"})}, &graph, &weights, data).ok());
    EXPECT_EQ(graph.state_scales, nullptr) << "scales of the format before";
  }
}

}  // namespace
}  // namespace octet
