#include "apps/cli/shared.h"

#include <filesystem>

#include <fmt/format.h>

#include "exec/quantized_format.h"
#include "io/output_folder.h"
#include "io/safetensors.h"

namespace octet::cli {
namespace {

constexpr int64_t kFileSamples = 512;
constexpr int64_t kSelfSamples = 32;
constexpr size_t kCheckTokens = 4096;  // more says little that these do not

}  // namespace

Result<std::shared_ptr<const Model>> LoadModel(const std::string& folder, int64_t chunk_size,
                                               bool bf16_compute) {
  ModelOptions options;
  options.chunk_size = chunk_size;
  options.bf16_compute = bf16_compute;
  OCTET_ASSIGN(std::shared_ptr<const Model> model, Model::Load(folder, options));
  for (const std::string& w : model->warnings()) {
    PrintWarning(fmt::format("{}: {}", folder, w));
  }
  return model;
}

WindowOptions MakeWindowOptions(const TextFlags& text, int threads) {
  return {text.window, text.stride == 0 ? text.window : text.stride, text.max_tokens, threads};
}

Result<std::vector<TokenId>> LoadTokens(const TextFlags& text, const Model& model) {
  OCTET_ASSIGN(const TextFile file, ReadTextFile(text.path));
  OCTET_ASSIGN(const Tokenizer tokenizer, model.tokenizer());
  return tokenizer.Encode(file.text);
}

int64_t StoredBytes(const Graph& graph, const WeightMap& weights) {
  int64_t bytes = 0;
  for (const auto& [name, w] : StoredTensors(graph, weights)) {
    bytes += w.data_bytes();
  }
  return bytes;
}

Result<CalibrationText> LoadCalibration(const std::string& source, int64_t samples, int64_t length,
                                        uint64_t seed, const std::shared_ptr<const Model>& model,
                                        int threads, const Progress& progress) {
  CalibrationText text;
  std::vector<TokenDocument> documents;
  if (source == "self") {
    const int64_t n = samples == 0 ? kSelfSamples : samples;
    OCTET_ASSIGN(documents, GenerateText(model, {n + 1, length, seed, threads}, progress));
    text.check = std::move(documents.back());
    documents.pop_back();
  } else {
    const int64_t n = samples == 0 ? kFileSamples : samples;
    OCTET_ASSIGN(const TextFile file, ReadTextFile(source));
    OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
    OCTET_ASSIGN(documents, CutSamples(file, tokenizer, n + std::max<int64_t>(1, n / 10), length));
    Result<TokenDocument> held = HoldOut(&documents);
    if (!held.ok()) return held.status().Annotate(source);
    text.check = *std::move(held);
  }
  if (text.check.size() > kCheckTokens) text.check.resize(kCheckTokens);
  text.data.documents = std::move(documents);
  text.record = Json::MakeObject();
  text.record.Set("name",
                  source == "self" ? source : std::filesystem::path(source).filename().string());
  text.record.Set("sha256", HashTokens(text.data.documents));
  text.record.Set("samples", static_cast<int64_t>(text.data.documents.size()));
  text.record.Set("tokens", text.data.tokens());
  return text;
}

Result<CheckedModel> QuantizeAndCheck(const RecipeRun& recipe, const FloatCheckpoint& source,
                                      const CalibrationText& text, int threads,
                                      const Progress& progress, WorkFolder* work) {
  ThreadPool pool(threads);
  CheckedModel checked;
  OCTET_ASSIGN(checked.model, Quantize(recipe, source.graph, source.weights, text.data, text.record,
                                       &pool, progress, work));
  OCTET_ASSIGN(checked.check,
               SelfCheck(source.graph, source.weights, checked.model, text.check, &pool, progress));
  return checked;
}

Status WriteModelFolder(const QuantizedModel& model, const FloatCheckpoint& source,
                        const std::string& source_folder, const std::string& output) {
  OCTET_ASSIGN(OutputFolder folder, OutputFolder::Create(output));
  Json config = source.config;
  const auto names = [](const Graph& g, ValueId v) {
    return g.nodes[static_cast<size_t>(v)].weights.front();
  };
  const bool own_head = names(model.graph, model.graph.logits) != names(model.graph, 0);
  if (own_head) config.Set("tie_word_embeddings", false);
  config.Set("quantization_config", model.config);
  OCTET_TRY(folder.WriteFile("config.json", config.Dump(2) + "\n"));
  OCTET_TRY(WriteSafetensors(folder.PathOf("model.safetensors"),
                             StoredTensors(model.graph, model.weights), {{"format", "pt"}}));
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "generation_config.json"}) {
    const std::filesystem::path from = std::filesystem::path(source_folder) / file;
    std::error_code error;
    if (std::filesystem::exists(from, error)) OCTET_TRY(folder.CopyFile(from.string(), file));
  }
  return folder.Commit();
}

}  // namespace octet::cli
