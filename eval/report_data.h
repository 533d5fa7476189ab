// What a report on several models measures (`octet report`): sizes, quality against the first
// model, speed, what passes the sites.
#ifndef OCTET_EVAL_REPORT_DATA_H_
#define OCTET_EVAL_REPORT_DATA_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/bench.h"
#include "eval/compare.h"
#include "eval/drift.h"
#include "eval/progress.h"
#include "eval/text_data.h"
#include "eval/windows.h"
#include "exec/site_histogram.h"
#include "runtime/model.h"

namespace octet {

// Bytes of the tensors of a model as they are stored, scales included.
struct StoredSize {
  int64_t ends = 0;      // the embedding and the head
  int64_t matrices = 0;  // of the blocks
  int64_t rest = 0;      // norms, convolutions, the SSM's vectors, scales of sites
  int64_t total() const { return ends + matrices + rest; }
};
StoredSize SizeOf(const Model& model);

// What passes the sites of a model, its quantization simulated.
struct SiteReport {
  struct Panel {
    int layer;
    NamedSite site;
    SiteHistogram histogram;
  };
  std::vector<Panel> panels;  // by layer, in the order of NotableSites; inner sites of an
                              // Ssd only where they are encoded
  std::map<std::string, Saturation, std::less<>> saturation;  // of every encoded site
  int64_t tokens = 0;
};
// Runs the documents, in pieces of at least 64 tokens between which recurrent states are seen.
// `layers`: of the panels. kInvalidArgument for a layer that the model does not have and for a
// token outside the vocabulary.
Result<SiteReport> MeasureSites(const Model& model, std::span<const TokenDocument> documents,
                                std::span<const int> layers, const Progress& progress);

struct ReportOptions {
  WindowOptions windows;
  BenchOptions bench;
  bool speed = true, sites = true, drift = true;
  std::vector<int> layers;     // of the panels; empty: the first, the middle and the last
  int64_t drift_tokens = 512;  // decoded one by one with both states
};

struct ModelReport {
  StoredSize size;
  int64_t state_bytes = 0;               // of one stream between tokens
  std::optional<CompareReport> quality;  // against the first; nothing for the first itself
  std::optional<SiteReport> sites;
  std::optional<DriftReport> drift;  // of a model whose state is not fp32
};

struct ReportData {
  std::vector<ModelReport> models;
  std::optional<BenchReport> speed;  // subjects are the models
  std::vector<int> layers;           // of the panels
};

// `models`: the reference, then at least one other. Quality on `tokens`, which `name` says where
// they come from; sites on `documents`; drift on the first of `tokens`. Errors of CompareAll,
// Bench, MeasureSites and MeasureDrift.
Result<ReportData> MeasureReport(std::span<const std::shared_ptr<const Model>> models,
                                 std::span<const TokenId> tokens, const std::string& name,
                                 std::span<const TokenDocument> documents,
                                 const ReportOptions& options, const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_REPORT_DATA_H_
