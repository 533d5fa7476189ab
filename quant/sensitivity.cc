#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "base/logits.h"
#include "exec/quantized_format.h"
#include "exec/simulate.h"
#include "kernels/isa.h"
#include "quant/named_tensors.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

using Kind = SensitivityItem::Kind;

// One part in its form: an item, and what of the model changes.
struct Variant {
  SensitivityItem item;
  std::string full;  // tensor or site, in the model
  Weight weight;     // of a tensor
};

// The base recipe's model with float weights.
struct Prepared {
  Graph graph;
  WeightMap weights;
};

Result<Prepared> Prepare(QuantPlan plan, const Graph& graph, const WeightMap& weights,
                         const TokenDataset& calibration, ThreadPool* pool,
                         const Progress& progress) {
  plan.weights.clear();
  plan.mean_correction = "none";  // of an error that is not there
  plan.ssd = SsdMode::kFloat;     // sites inside it are rounded one at a time
  Prepared p{graph, weights};
  QuantContext context{p.graph, p.weights, calibration, *pool, progress};
  OCTET_TRY(RunPasses(PassesOf(plan), context));
  return p;
}

// The tensors with every matrix in 4 bits by GPTQ.
Result<WeightMap> StoreByGptq(QuantPlan plan, const Graph& graph, const WeightMap& weights,
                              const TokenDataset& calibration, ThreadPool* pool,
                              const Progress& progress) {
  plan.mean_correction = "none";
  plan.weights.clear();
  for (const char* name : {"linears", "embedding", "head"}) {
    plan.weights.push_back(MatrixRule(name, "", 4));
  }
  Prepared p{graph, weights};
  QuantContext context{p.graph, p.weights, calibration, *pool, progress};
  OCTET_TRY(RunPasses(PassesOf(plan), context));
  return std::move(p.weights);
}

// The tensors as `rules` store them.
Result<WeightMap> Store(const Prepared& p, std::vector<WeightRule> rules, ThreadPool* pool) {
  for (WeightRule& r : rules) {
    r.method = WeightMethod::kRtn;
  }
  Graph graph = p.graph;
  WeightMap weights = p.weights;
  const TokenDataset none;
  const Progress silent;
  QuantContext context{graph, weights, none, *pool, silent};
  OCTET_TRY(RunPasses({QuantizeWeights(std::move(rules), QuantPlan().damping)}, context));
  return weights;
}

// The tensors of the graph, each once.
std::vector<NamedTensor> DistinctTensors(const Graph& graph) {
  std::vector<NamedTensor> tensors;
  std::set<std::string> seen;
  for (int layer = kOutsideBlocks; layer < graph.layers; ++layer) {
    for (NamedTensor& t : TensorsOf(graph, layer)) {
      if (seen.insert(t.full).second) tensors.push_back(std::move(t));
    }
  }
  return tensors;
}

std::vector<WeightRule> EveryMatrix(int64_t bits) {
  std::vector<WeightRule> rules;
  for (const char* name : {"linears", "embedding", "head"}) {
    rules.push_back(MatrixRule(name, "", bits));
    rules.back().method = WeightMethod::kRtn;
  }
  return rules;
}

// Everything to try, and the bytes of what is not tried.
class Variants {
 public:
  Variants(const QuantPlan& base, const Prepared& p, const SensitivityOptions& options)
      : base_(base), p_(p), options_(options) {}

  // `four`: the matrices in 4 bits, where they are not rounded to nearest.
  Result<std::vector<Variant>> List(const WeightMap* four, ThreadPool* pool, int64_t* fixed_bytes) {
    OCTET_TRY(AddMatrices(four, pool));
    OCTET_ASSIGN(const WeightMap stored, Store(p_, base_.weights, pool));
    *fixed_bytes = 0;
    for (const auto& [name, w] : StoredTensors(p_.graph, stored)) {
      *fixed_bytes += w.data_bytes();
    }
    for (const NamedTensor& t : DistinctTensors(p_.graph)) {
      const Weight& w = *stored.Find(t.full);
      if (t.matrix()) *fixed_bytes -= w.bytes();
      if (t.matrix() || !w.quantized() || options_.matrices_only) continue;
      Add({Kind::kVector, t.layer, t.name, 8, w.bytes(), w.count() * 2}, t.full, w);
    }
    if (!options_.matrices_only) AddSites();
    std::ranges::stable_sort(variants_, {}, [](const Variant& v) { return v.item.layer; });
    return std::move(variants_);
  }

 private:
  void Add(SensitivityItem item, std::string full, Weight weight) {
    variants_.push_back({std::move(item), std::move(full), std::move(weight)});
  }

  Status AddMatrices(const WeightMap* four, ThreadPool* pool) {
    std::vector<WeightMap> stored;
    for (const int64_t bits : options_.bits) {
      if (bits != 4 && bits != 8) {
        return InvalidArgument(fmt::format("a matrix cannot be tried at {} bits", bits));
      }
      if (bits == 4 && four != nullptr) {
        stored.push_back(*four);
        continue;
      }
      OCTET_ASSIGN(WeightMap w, Store(p_, EveryMatrix(bits), pool));
      stored.push_back(std::move(w));
    }
    for (const NamedTensor& t : DistinctTensors(p_.graph)) {
      for (size_t i = 0; t.matrix() && i < stored.size(); ++i) {
        const Weight& w = *stored[i].Find(t.full);
        Add({Kind::kMatrix, t.layer, t.name, options_.bits[i], w.bytes(), w.count() * 2}, t.full,
            w);
      }
    }
    return {};
  }

  void AddSites() {
    for (const auto& [site, encoding] : p_.graph.encodings) {
      if (!encoding.quantized()) continue;
      int layer = -1;
      std::string name = site;
      for (int l = 0; l < p_.graph.layers && layer < 0; ++l) {
        const std::string prefix = fmt::format("layers.{}.", l);
        if (!site.starts_with(prefix)) continue;
        layer = l;
        name.erase(0, prefix.size());
      }
      Add({Kind::kSite, layer, name, 8}, site, {});
    }
  }

  const QuantPlan& base_;
  const Prepared& p_;
  const SensitivityOptions& options_;
  std::vector<Variant> variants_;
};

// Rounds one site as its encoding says and leaves all others alone.
class OneSiteTap : public Tap {
 public:
  OneSiteTap(const Graph& graph, std::string site)
      : simulation_(graph), site_(std::move(site)), inner_(site_.find(".ssd.") != site_.npos) {}
  void At(std::string_view site, int64_t index, float* values, int64_t rows,
          int64_t cols) override {
    if (site == site_) simulation_.At(site, index, values, rows, cols);
  }
  bool WantsInnerSites() const override { return inner_; }

 private:
  SimulationTap simulation_;
  std::string site_;
  bool inner_;
};

// The float run of one document: the residual stream before each block and after the last, and the
// logits.
struct Reference {
  std::vector<std::vector<float>> streams;
  std::vector<float> logits;
};

Result<Reference> RunReference(const Graph& graph, const WeightMap& weights,
                               const std::vector<TokenId>& document) {
  const Interpreter interpreter(graph, weights, AllowedIsas());
  Reference r;
  State state(graph, HistoryStorage::kFloats);
  OCTET_ASSIGN(std::vector<float> residual, interpreter.Embed(document));
  for (int layer = 0; layer < graph.layers; ++layer) {
    r.streams.push_back(residual);
    OCTET_TRY(interpreter.RunLayer(layer, &residual, &state, nullptr));
  }
  OCTET_TRY(interpreter.Logits(residual, nullptr, &r.logits));
  r.streams.push_back(std::move(residual));
  return r;
}

// The first block whose results the variant can change; the number of layers: none.
int FirstBlock(const Graph& graph, const Variant& v) {
  if (v.item.layer >= 0) return v.item.layer;
  return v.full == graph.nodes[0].weights[0] ? 0 : graph.layers;
}

// Logits of the document with one part quantized.
Status RunVariant(const Prepared& p, const Variant& v, const Reference& reference,
                  const std::vector<TokenId>& document, std::vector<float>* logits) {
  const bool site = v.item.kind == Kind::kSite;
  WeightMap weights = p.weights;
  if (!site) weights.Set(v.full, v.weight);
  const Interpreter interpreter(p.graph, weights, AllowedIsas());
  OneSiteTap tap(p.graph, v.full);
  State state(p.graph, HistoryStorage::kFloats);
  const int first = FirstBlock(p.graph, v);
  std::vector<float> residual = reference.streams[static_cast<size_t>(first)];
  if (v.full == p.graph.nodes[0].weights[0]) {
    OCTET_ASSIGN(residual, interpreter.Embed(document));
  }
  for (int layer = first; layer < p.graph.layers; ++layer) {
    const bool here = site && layer == v.item.layer;
    OCTET_TRY(interpreter.RunLayer(layer, &residual, &state, here ? &tap : nullptr));
  }
  return interpreter.Logits(residual, site && v.item.layer < 0 ? &tap : nullptr, logits);
}

// Mean KL of each variant on one document.
Result<std::vector<double>> MeasureDocument(const Prepared& p, const std::vector<Variant>& variants,
                                            const std::vector<TokenId>& document,
                                            const std::function<void()>& step) {
  OCTET_ASSIGN(const Reference reference, RunReference(p.graph, p.weights, document));
  std::vector<double> means;
  std::vector<float> logits;
  for (const Variant& v : variants) {
    OCTET_TRY(RunVariant(p, v, reference, document, &logits));
    double sum = 0;
    const auto vocab = static_cast<size_t>(p.graph.vocab_rows);
    for (size_t t = 0; t < document.size(); ++t) {
      sum += KlDivergence(std::span(reference.logits).subspan(t * vocab, vocab),
                          std::span(logits).subspan(t * vocab, vocab));
    }
    means.push_back(sum / static_cast<double>(document.size()));
    if (!std::isfinite(means.back())) {
      return Internal(fmt::format("{}: quantized, it gives logits that are not finite", v.full));
    }
    step();
  }
  return means;
}

// Mean over documents, and its standard error.
void Summarize(const std::vector<std::vector<double>>& by_document, size_t i,
               SensitivityItem* item) {
  const auto n = static_cast<double>(by_document.size());
  double sum = 0, squares = 0;
  for (const auto& means : by_document) {
    sum += means[i];
  }
  item->kl = sum / n;
  for (const auto& means : by_document) {
    squares += (means[i] - item->kl) * (means[i] - item->kl);
  }
  item->kl_error = std::sqrt(squares / (n - 1) / n);
}

}  // namespace

Result<Sensitivity> MeasureSensitivity(const QuantPlan& base, const Graph& graph,
                                       const WeightMap& weights, const TokenDataset& calibration,
                                       const TokenDataset& sample,
                                       const SensitivityOptions& options, ThreadPool* pool,
                                       const Progress& progress) {
  const bool empty = std::ranges::any_of(sample.documents, [](const auto& d) { return d.empty(); });
  if (sample.documents.size() < 2 || empty) {
    return InvalidArgument("sensitivity is measured on at least two pieces of text");
  }
  OCTET_ASSIGN(Prepared p, Prepare(base, graph, weights, calibration, pool, progress));
  WeightMap four;
  if (options.gptq) {
    OCTET_ASSIGN(four, StoreByGptq(base, graph, weights, calibration, pool, progress));
  }
  Sensitivity result;
  result.layers = p.graph.layers;
  result.documents = static_cast<int64_t>(sample.documents.size());
  result.tokens = sample.tokens();
  OCTET_ASSIGN(
      const std::vector<Variant> variants,
      Variants(base, p, options).List(options.gptq ? &four : nullptr, pool, &result.fixed_bytes));
  p.graph.state = StateFormat();
  p.graph.state_scales = nullptr;

  const int64_t total = result.documents * static_cast<int64_t>(variants.size());
  int64_t done = 0;
  std::mutex mutex;
  const auto step = [&] {
    const std::lock_guard lock(mutex);
    ++done;
    if (progress) progress("measuring sensitivity", done, total);
  };
  std::vector<Status> statuses(sample.documents.size());
  std::vector<std::vector<double>> by_document(sample.documents.size());
  pool->For(result.documents, [&](int64_t task, int) {
    const auto d = static_cast<size_t>(task);
    Result<std::vector<double>> means = MeasureDocument(p, variants, sample.documents[d], step);
    statuses[d] = means.status();
    if (means.ok()) by_document[d] = *std::move(means);
  });
  for (const Status& s : statuses) {
    OCTET_TRY(s);
  }
  for (size_t i = 0; i < variants.size(); ++i) {
    result.items.push_back(variants[i].item);
    Summarize(by_document, i, &result.items.back());
  }
  return result;
}

const char* DefaultBaseRecipe(Family family) {
  return family == Family::kMamba2 ? "ssdi8-plus-w8a8" : "quamba";
}

TokenDataset SampleOf(const TokenDataset& data, int64_t documents, int64_t length) {
  TokenDataset sample;
  const auto have = static_cast<int64_t>(data.documents.size());
  const int64_t wanted = std::min(have, documents);
  for (int64_t i = 0; i < wanted; ++i) {
    std::vector<TokenId> d = data.documents[static_cast<size_t>(i * have / wanted)];
    if (static_cast<int64_t>(d.size()) > length) d.resize(static_cast<size_t>(length));
    if (d.size() >= 2) sample.documents.push_back(std::move(d));
  }
  return sample;
}

WeightRule MatrixRule(const std::string& name, const std::string& layers, int64_t bits) {
  WeightRule rule{.tensors = name, .layers = layers, .bits = bits, .scale = WeightScale::kRow};
  if (bits == 4) {
    rule.step = Int4Step::kLeastSquares;
    if (name != "embedding") rule.method = WeightMethod::kGptq;
  }
  return rule;
}

Json Sensitivity::ToJson() const {
  Json array = Json::MakeArray();
  for (const SensitivityItem& i : items) {
    const bool site = i.kind == Kind::kSite;
    Json j = Json::MakeObject();
    j.Set("kind", i.kind == Kind::kMatrix ? "matrix" : site ? "site" : "vector");
    j.Set("layer", i.layer < 0 ? Json() : Json(i.layer));
    j.Set("name", i.name);
    j.Set("bits", i.bits);
    if (!site) {
      j.Set("bytes", i.bytes);
      j.Set("bytes_saved", i.f16_bytes - i.bytes);
    }
    j.Set("kl", i.kl);
    j.Set("kl_error", i.kl_error);
    array.Append(std::move(j));
  }
  Json j = Json::MakeObject();
  j.Set("documents", documents);
  j.Set("tokens", tokens);
  j.Set("layers", layers);
  j.Set("fixed_bytes", fixed_bytes);
  j.Set("items", std::move(array));
  return j;
}

}  // namespace octet
