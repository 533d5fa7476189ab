// A roofline plot (Williams et al. 2009, Roofline): how close stages are to what a machine can do.
#ifndef OCTET_APPS_CLI_ROOFLINE_SVG_H_
#define OCTET_APPS_CLI_ROOFLINE_SVG_H_

#include <string>
#include <vector>

#include "eval/bench.h"

namespace octet::cli {

// A complete SVG, light or dark as the reader's system is: operations per second over operations
// per byte, both logarithmic; the roofs as lines, a dot for each stage of each row. `rows` have
// stages; only the first prompt and decode are meant to be there. `title` is any text.
std::string RooflineSvg(const std::string& title, const Roof& roof,
                        const std::vector<const BenchRow*>& rows);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_ROOFLINE_SVG_H_
