#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "quant/passes/passes.h"
#include "quant/reorder.h"

namespace octet {
namespace {

// Mean magnitude of each channel of the SSD's input over one document.
class MeanMagnitudes : public Tap {
 public:
  explicit MeanMagnitudes(std::string site) : site_(std::move(site)) {}
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (site != site_) return;
    std::vector<double> sums(static_cast<size_t>(cols));
    for (int64_t i = 0; i < rows * cols; ++i) {
      sums[static_cast<size_t>(i % cols)] += static_cast<double>(std::fabs(values[i]));
    }
    for (const double sum : sums) {
      means.push_back(static_cast<float>(sum / static_cast<double>(rows)));
    }
  }
  bool WantsInnerSites() const override { return false; }

  std::vector<float> means;

 private:
  std::string site_;
};

// The largest of the documents' means: what Quamba 2 sorts by (methods_mamba 2.5.2).
Result<std::vector<float>> Magnitudes(QuantContext& c, int layer, const Node& ssd) {
  const std::string& x = c.graph.nodes[static_cast<size_t>(ssd.in[0])].site;
  std::vector<MeanMagnitudes> taps(c.data.documents.size(), MeanMagnitudes(x));
  OCTET_TRY(RunFloatBlock(c, layer, [&](size_t d) { return &taps[d]; }));
  std::vector<float> largest = taps[0].means;
  for (const MeanMagnitudes& tap : taps) {
    for (size_t i = 0; i < largest.size(); ++i) {
      largest[i] = std::max(largest[i], tap.means[i]);
    }
  }
  return largest;
}

}  // namespace

Pass SortAndClusterHeads() {
  return {
      "sort and cluster heads", [](QuantContext& c) { return StartStreams(c, &c.float_streams); },
      [](QuantContext& c, int layer) -> Status {
        const Node* ssd = FindStateNode(c.graph, layer);
        if (ssd == nullptr || ssd->op != Op::kSsd) {
          return Unsupported(fmt::format("block {} has no heads to sort", layer));
        }
        OCTET_ASSIGN(const std::vector<float> magnitudes, Magnitudes(c, layer, *ssd));
        OCTET_ASSIGN(c.clusters,
                     ClusterHeads(magnitudes, ssd->ssd.heads, ssd->ssd.head_dim, ssd->ssd.groups));
        return ReorderHeads(c.graph, layer, c.clusters->order, &c.weights);
      }};
}

}  // namespace octet
