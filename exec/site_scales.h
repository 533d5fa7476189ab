// Which scale each value of an encoded site has.
#ifndef OCTET_EXEC_SITE_SCALES_H_
#define OCTET_EXEC_SITE_SCALES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "tensor/codec.h"
#include "tensor/encoding.h"

namespace octet {

// The scales of the values [rows, cols] that one call of Tap::At shows.
struct SiteScales {
  enum class Along : uint8_t { kAll, kRows, kColumns };
  std::string site;  // whose encoding applies: the local state of an Ssd has that of its state
  Codec codec = Codec::kUniform;
  ScaleSource source = ScaleSource::kStatic;
  Along along = Along::kAll;
  std::vector<float> scales;  // one, one a row, or one a column
  std::vector<int> zeros;     // as many; 0 for a codec without zeros

  size_t Index(int64_t row, int64_t column) const {
    return along == Along::kAll ? 0 : static_cast<size_t>(along == Along::kRows ? row : column);
  }
};

// As the graph's encodings say, scales that are made at run time being made from `values`; nothing
// for a site that is kept in floats, also where only some forms of an Ssd encode it. `site` and
// `index` as in Tap::At. Not of the recurrent state, which has a format in place of an encoding.
std::optional<SiteScales> ScalesOf(const Graph& graph, std::string_view site, int64_t index,
                                   const float* values, int64_t rows, int64_t cols);

}  // namespace octet
#endif  // OCTET_EXEC_SITE_SCALES_H_
