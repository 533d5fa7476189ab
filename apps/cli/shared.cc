#include "apps/cli/shared.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <span>

#include <fmt/format.h>

#include "exec/quantized_format.h"
#include "io/file_writer.h"
#include "io/output_folder.h"
#include "io/safetensors.h"

namespace octet::cli {
namespace {

constexpr int64_t kFileSamples = 512;
constexpr int64_t kSelfSamples = 32;
constexpr size_t kCheckTokens = 4096;  // more says little that these do not
constexpr int64_t kFewTokens = 512;
constexpr int64_t kFewCheckTokens = 64;

Status CheckReadsText(const std::string& folder, const Graph& graph) {
  if (graph.nodes[0].op == Op::kEmbedding) return {};
  return InvalidArgument(folder + ": the model reads frames of numbers, not text; see octet s4d");
}

}  // namespace

void PrintWarnings(const std::string& model, const std::vector<std::string>& warnings) {
  for (const std::string& w : warnings) {
    PrintWarning(fmt::format("{}: {}", model, w));
  }
}

Status CheckDistinct(std::span<const int64_t> bits) {
  std::set<int64_t> seen;
  for (const int64_t b : bits) {
    if (!seen.insert(b).second) return InvalidArgument(fmt::format("--bits: {} is named twice", b));
  }
  return {};
}

Status ProbeFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status there = std::filesystem::symlink_status(path, error);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
    return InvalidArgument(path + ": is there already and no ordinary file");
  }
  return FileWriter::Create(path).status();
}

Status ProbeReports(const std::string& model, std::span<const std::string> paths) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::set<fs::path> seen;
  for (const std::string& path : paths) {
    if (path.empty()) continue;
    OCTET_TRY(ProbeFile(path));
    const fs::path file = fs::weakly_canonical(path, error);
    if (!seen.insert(file).second) return InvalidArgument(path + ": is named twice");
    const fs::path source = fs::weakly_canonical(model, error);
    if (file == source || file.parent_path() == source) {
      return InvalidArgument(path + ": belongs to the model; write the report elsewhere");
    }
  }
  return {};
}

Status CheckNotRead(std::span<const std::string> outputs, std::span<const std::string> inputs) {
  for (const std::string& output : outputs) {
    for (const std::string& input : inputs) {
      std::error_code error;
      if (!std::filesystem::equivalent(output, input, error)) continue;
      return InvalidArgument(output + ": is read by this run; write to another file");
    }
  }
  return {};
}

Status WriteTextFile(const std::string& path, const std::string& text) {
  OCTET_ASSIGN(FileWriter file, FileWriter::Create(path));
  OCTET_TRY(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

Result<std::shared_ptr<const Model>> LoadModel(const std::string& folder, int64_t chunk_size,
                                               bool bf16_compute) {
  ModelOptions options;
  options.chunk_size = chunk_size;
  options.bf16_compute = bf16_compute;
  OCTET_ASSIGN(std::shared_ptr<const Model> model, Model::Load(folder, options));
  OCTET_TRY(CheckReadsText(folder, model->graph()));
  PrintWarnings(folder, model->warnings());
  const auto& nodes = model->graph().nodes;
  if (chunk_size != 0 && std::ranges::find(nodes, Op::kSsd, &Node::op) == nodes.end()) {
    PrintWarning(folder + ": --chunk-size changes nothing: the model has no SSD");
  }
  return model;
}

Result<std::shared_ptr<const Model>> LoadModel(const std::string& folder,
                                               const FloatCheckpoint& source) {
  OCTET_TRY(CheckReadsText(folder, source.graph));
  OCTET_ASSIGN(std::shared_ptr<const Model> model, Model::Load(folder, source, {}));
  PrintWarnings(folder, model->warnings());
  return model;
}

std::vector<std::string> DistinctNames(const std::vector<std::string>& folders) {
  std::vector<std::filesystem::path> rest, names(folders.size());
  for (const std::string& f : folders) {
    const std::filesystem::path path = std::filesystem::path(f).lexically_normal();
    rest.push_back(path.has_filename() ? path : path.parent_path());
  }
  for (bool longer = true; longer;) {
    std::map<std::filesystem::path, int64_t> uses;
    for (const auto& name : names) {
      ++uses[name];
    }
    longer = false;
    for (size_t i = 0; i < rest.size(); ++i) {
      if (!rest[i].has_filename() || (uses[names[i]] == 1 && !names[i].empty())) continue;
      names[i] = names[i].empty() ? rest[i].filename() : rest[i].filename() / names[i];
      rest[i] = rest[i].parent_path();
      longer = true;
    }
  }
  return {names.begin(), names.end()};
}

WindowOptions MakeWindowOptions(const TextFlags& text, int threads) {
  return {text.window, text.stride == 0 ? text.window : text.stride, text.max_tokens, threads};
}

Result<std::vector<TokenId>> LoadTokens(const TextFlags& text, const Model& model) {
  OCTET_ASSIGN(const TextFile file, ReadTextFile(text.path));
  OCTET_ASSIGN(const Tokenizer tokenizer, model.tokenizer());
  return tokenizer.Encode(file.text);
}

Status DifferentTokenizers(const std::string& reference, const std::string& candidate) {
  return InvalidArgument(fmt::format("{} and {} have different tokenizers; they cannot be compared",
                                     reference, candidate));
}

Status CheckSameTokens(const std::vector<TokenId>& tokens, const TextFlags& text,
                       const Model& reference, const Model& candidate) {
  if (!candidate.tokenizer().ok()) return {};
  OCTET_ASSIGN(const std::vector<TokenId> other, LoadTokens(text, candidate));
  if (other == tokens) return {};
  return DifferentTokenizers(reference.folder(), candidate.folder());
}

int64_t StoredBytes(const Graph& graph, const WeightMap& weights) {
  int64_t bytes = 0;
  for (const auto& [name, w] : StoredTensors(graph, weights)) {
    bytes += w.data_bytes();
  }
  return bytes;
}

Status CheckWindow(const TextFlags& text, int64_t tokens) {
  if (text.max_tokens > 0) tokens = std::min(tokens, text.max_tokens);
  // A stride that makes no sense is reported by whoever cuts the windows.
  if (tokens >= text.window || text.stride > text.window) return {};
  return InvalidArgument(
      fmt::format("{}: the text is shorter than a window: it has {}, a window {}; --window sets "
                  "another size",
                  text.path, FormatNumber(tokens, "token"), text.window));
}

std::string DroppedText(int64_t dropped) {
  return fmt::format("{} at the end {} no window", FormatNumber(dropped, "token"),
                     dropped == 1 ? "fills" : "fill");
}

Result<CalibrationText> LoadCalibration(const CalibrationFlags& flags,
                                        const std::shared_ptr<const Model>& model, int threads,
                                        const Progress& progress) {
  const bool self = flags.source == "self";
  const int64_t fallback = self ? kSelfSamples : kFileSamples;
  const int64_t n = flags.samples == 0 ? fallback : flags.samples;
  CalibrationText text;
  std::vector<TokenDocument>& documents = text.data.documents;
  if (self) {
    const int64_t wanted = flags.needed ? n + 1 : 1;
    OCTET_ASSIGN(documents,
                 GenerateText(model, {wanted, flags.length, flags.seed, threads}, progress));
    text.check = std::move(documents.back());
    documents.pop_back();
  } else {
    OCTET_ASSIGN(const TextFile file, ReadTextFile(flags.source));
    OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
    OCTET_ASSIGN(documents,
                 CutSamples(file, tokenizer, n + std::max<int64_t>(1, n / 10), flags.length));
    Result<TokenDocument> held = HoldOut(&documents);
    if (!held.ok()) return held.status().Annotate(flags.source);
    text.check = *std::move(held);
    if (!flags.needed) documents.clear();
  }
  if (text.check.size() > kCheckTokens) text.check.resize(kCheckTokens);
  if (!flags.needed) return text;
  text.record = Json::MakeObject();
  text.record.Set("name",
                  self ? flags.source : std::filesystem::path(flags.source).filename().string());
  text.record.Set("sha256", HashTokens(documents));
  text.record.Set("samples", static_cast<int64_t>(documents.size()));
  text.record.Set("tokens", text.data.tokens());
  return text;
}

std::vector<std::string> TextWarnings(const CalibrationText& text) {
  std::vector<std::string> warnings;
  if (const int64_t n = text.data.tokens(); n < kFewTokens && !text.record.is_null()) {
    warnings.push_back(fmt::format("calibrated on only {}; scales from so few fit little else",
                                   FormatNumber(n, "token")));
  }
  if (const int64_t n = std::ssize(text.check); n < kFewCheckTokens) {
    warnings.push_back(fmt::format("checked on only {}; the KL and the agreement say little",
                                   FormatNumber(n, "token")));
  }
  return warnings;
}

TokenDataset TakeSample(int64_t samples, TokenDataset* text) {
  TokenDataset sample, rest;
  for (size_t i = 0; i < text->documents.size(); ++i) {
    const bool wanted = static_cast<int64_t>(i) % (kCalibrationPieces + 1) == 0 &&
                        std::ssize(sample.documents) < samples;
    (wanted ? sample : rest).documents.push_back(std::move(text->documents[i]));
  }
  *text = std::move(rest);
  return sample;
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
