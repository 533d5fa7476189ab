// The result of `octet s4d sensitivity` as one page with plots that needs nothing else.
#ifndef OCTET_APPS_CLI_S4D_SENSITIVITY_HTML_H_
#define OCTET_APPS_CLI_S4D_SENSITIVITY_HTML_H_

#include <cstdint>
#include <string>
#include <vector>

namespace octet::cli {

struct S4dSensitivity {
  struct Cell {
    double accuracy, kl;  // kl: mean KL(float || quantized) over images, nats
  };
  struct Row {
    std::string name;
    bool published;
    std::vector<Cell> cells;  // by bits
  };
  std::vector<int64_t> bits;
  int64_t images = 0;
  double accuracy = 0;  // in float
  std::vector<Row> rows;
};

// A plot of accuracy over bits for the paper's rows, one for Octet's, and the table.
std::string S4dSensitivityHtml(const S4dSensitivity& s, const std::string& model);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_S4D_SENSITIVITY_HTML_H_
