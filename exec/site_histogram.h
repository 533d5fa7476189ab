// What values pass a site, beside the codes that it can store.
#ifndef OCTET_EXEC_SITE_HISTOGRAM_H_
#define OCTET_EXEC_SITE_HISTOGRAM_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "exec/interpreter.h"
#include "exec/simulate.h"
#include "graph/graph.h"
#include "tensor/codec.h"

namespace octet {

// The codes of a site. Positions are in units of the scale, values over their own scale, so that
// sites with many scales have one picture.
struct SiteGrid {
  std::string code;                    // a name of tensor/codec.h, or of a state's format
  std::string scaling;                 // "static", "per token", "per chunk", "per row"
  float min_scale = 0, max_scale = 0;  // of those that values had
  int64_t scales = 0;                  // static ones of the site; 0: made at run time
  double low = 0, high = 0;            // beyond these a value saturates
  std::vector<double> levels;  // that codes decode to, ascending; none of more than 512 codes
  std::vector<bool> used;      // by level: whether some value had that code; empty for a state
};

struct SiteHistogram {
  static constexpr int kBins = 128;

  std::string site;
  int64_t values = 0, saturated = 0;
  double min = 0, max = 0;       // of the values themselves
  std::optional<SiteGrid> grid;  // nothing: the site is kept in floats
  // Counts of [left + i width, left + (i + 1) width): of positions where there is a grid, the outer
  // bins counting what is beyond them too; else of values, all of which they hold.
  double left = 0, width = 0;
  std::vector<int64_t> bins;
};

// Simulates quantization as SimulationTap does, and keeps a histogram of what each of `sites` holds
// before it is rounded: names as of Tap::At, "layers.3.state" being the recurrent state, which is
// seen once a call. All values of the same site, whatever their index, form one histogram; scores
// above the diagonal, which nothing reads, and values that are not finite are left out.
class HistogramTap : public Tap {
 public:
  HistogramTap(const Graph& graph, std::set<std::string, std::less<>> sites)
      : graph_(graph), simulation_(graph), sites_(std::move(sites)) {}
  void At(std::string_view site, int64_t index, float* values, int64_t rows, int64_t cols) override;

  // By site, of those that were seen.
  const std::map<std::string, SiteHistogram, std::less<>>& histograms() const { return seen_; }
  const std::map<std::string, Saturation, std::less<>>& saturation() const {
    return simulation_.saturation();
  }

 private:
  void AddState(int layer, const float* values, int64_t rows, int64_t cols, SiteHistogram* h) const;

  const Graph& graph_;
  SimulationTap simulation_;
  const std::set<std::string, std::less<>> sites_;
  std::map<std::string, SiteHistogram, std::less<>> seen_;
};

// The sites of block `layer` that quantization of a state space model is about, in the order of the
// computation, and what they are: the input of in_proj, x, B, C and dt of the SSM, the codes inside
// an Ssd, the recurrent state, the input of out_proj. Those that the block has.
struct NamedSite {
  std::string site;  // "layers.3.x"
  std::string name;  // "x"
  std::string what;  // "input of the state space model"
  bool inner;        // inside an Ssd
};
std::vector<NamedSite> NotableSites(const Graph& graph, int layer);

}  // namespace octet
#endif  // OCTET_EXEC_SITE_HISTOGRAM_H_
