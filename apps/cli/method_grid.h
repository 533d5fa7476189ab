// Every recipe on every model: what `octet reproduce` measures.
#ifndef OCTET_APPS_CLI_METHOD_GRID_H_
#define OCTET_APPS_CLI_METHOD_GRID_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/cli/shared.h"
#include "eval/compare.h"
#include "exec/simulate.h"

namespace octet::cli {

// A recipe with options: "quamba generation=q1".
struct Method {
  std::string name, recipe;
  Json options;
  bool has_parts;  // also measured with only one part quantized; recipes with default options
};
// All registered recipes and variants worth a row; of `recipes` only, unless that is empty.
// kInvalidArgument for a name that is not registered.
Result<std::vector<Method>> MethodsOf(std::span<const std::string> recipes);

// Part of the model that a row quantizes (quant/plan_parts.h).
enum class Part : uint8_t { kAll, kSsm, kLinears };
const char* PartName(Part part);  // "all", "ssm", "linears"

struct EvaluationText {
  std::string name;  // "books"
  std::string text;
};

struct MethodRow {
  std::string method;
  Part part = Part::kAll;
  int64_t bytes = 0;                             // of the weights, as stored
  std::vector<CompareReport> quality;            // against float, by text
  std::map<std::string, Saturation> saturation;  // by site, "layers.3.x"
};

struct ModelResults {
  std::string name;  // last part of the folder's path; ", outliers" for its copy
  Family family = Family::kMamba;
  int64_t bytes = 0;  // of the float weights
  std::vector<MethodRow> rows;

  const MethodRow* Find(std::string_view method, Part part) const;
};

struct GridOptions {
  std::vector<std::string> models;  // folders; each is measured as it is, and a copy with
  // outliers (quant/outliers.h), without parts and without variants that no order names
  std::vector<Method> methods;
  std::string calibration;  // file
  int64_t samples = 0, length = 0, window = 0;
  int threads = 1;
};
// kInvalidArgument also when a model has none of the methods.
Result<std::vector<ModelResults>> MeasureGrid(const GridOptions& options,
                                              std::span<const EvaluationText> texts,
                                              ProgressBar* bar);

// What a paper claims: the first method is closer to float than the second.
struct Order {
  const char* claim;
  const char* better;
  const char* worse;
  Family family;
};
std::span<const Order> PublishedOrders();

// One order on one model, part and text.
struct OrderResult {
  const Order* order;
  std::string model;
  Part part;
  size_t text;
  double better_kl, worse_kl;
  Estimate difference;  // better - worse by windows: below 0 when the order holds
  int64_t windows;
};
// All for which both rows were measured.
std::vector<OrderResult> CheckOrders(std::span<const ModelResults> models, size_t texts);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_METHOD_GRID_H_
