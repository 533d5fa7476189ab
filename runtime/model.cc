#include "runtime/model.h"

#include <filesystem>

#include <fmt/format.h>

#include "arch/architecture.h"
#include "exec/quantized_format.h"
#include "io/checkpoint.h"
#include "io/torch_file.h"

namespace octet {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;

std::string PathIn(const std::string& folder, const char* file) {
  return (std::filesystem::path(folder) / file).string();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// The graph and weights of a folder, quantized or not.
struct Parts {
  Json config;
  Architecture arch;
};

Result<Architecture> Restore(const Json& config, const Json& quantization,
                             const WeightMap& stored) {
  const Json* method = quantization.Find("quant_method");
  if (method == nullptr || *method != Json("octet")) {
    return Unsupported(
        "config.json: quantization_config was not written by Octet (quant_method must "
        "be \"octet\" or, of S4D, \"octet-s4d\")");
  }
  const Json* description = quantization.Find("graph");
  if (description == nullptr) return Corrupt("config.json: quantization_config: graph is missing");
  WeightMap encodings;
  OCTET_ASSIGN(const WeightMap weights, AttachScales(*description, stored, &encodings));
  OCTET_ASSIGN(Architecture arch, BuildArchitecture(config, weights));
  OCTET_TRY(ApplyQuantization(*description, encodings, &arch.graph));
  if (quantization.Find("failures") != nullptr) {
    arch.warnings.emplace_back(
        "the self-check found this model broken when it was quantized (config.json: "
        "quantization_config: failures)");
  }
  return arch;
}

bool IsS4dMethod(const Json& quantization) {
  const Json* method = quantization.Find("quant_method");
  return method != nullptr && *method == Json(kS4dQuantMethod);
}

bool IsTorchFile(const std::string& path) {
  std::error_code error;
  return (path.ends_with(".pth") || path.ends_with(".pt")) &&
         std::filesystem::is_regular_file(path, error);
}

// The checkpoint of an S4D classifier is a model by itself: its tensors have all the sizes.
Result<Parts> LoadS4dFile(const std::string& path) {
  OCTET_ASSIGN(const WeightMap stored, ReadTorchFile(path));
  Json config = Json::MakeObject();
  config.Set("model_type", "s4d");
  Result<Architecture> arch = BuildArchitecture(config, stored);
  if (!arch.ok()) return arch.status().Annotate(path);
  return Parts{std::move(config), *std::move(arch)};
}

Result<Parts> LoadParts(const std::string& folder) {
  if (IsTorchFile(folder)) return LoadS4dFile(folder);
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    if (!std::filesystem::exists(folder, error)) {
      return NotFound(fmt::format("{}: there is no such model", folder));
    }
    return InvalidArgument(
        fmt::format("{}: is not a folder; a model is one, or the .pth file of an S4D", folder));
  }
  OCTET_ASSIGN(Json config, Json::ParseFile(PathIn(folder, "config.json"), kMaxConfigBytes));
  OCTET_ASSIGN(const WeightMap stored, OpenCheckpoint(folder));
  const Json* quantization = config.Find("quantization_config");
  const bool is_float = quantization == nullptr || IsS4dMethod(*quantization);
  Result<Architecture> arch =
      is_float ? BuildArchitecture(config, stored) : Restore(config, *quantization, stored);
  if (!arch.ok()) return arch.status().Annotate(folder);
  return Parts{std::move(config), *std::move(arch)};
}

Status ApplyChunkSize(int64_t chunk_size, Graph* graph) {
  if (chunk_size == 0) return {};
  if (chunk_size < 1 || chunk_size > kMaxChunkSize) {
    return InvalidArgument(fmt::format("the chunk size must be between 1 and {}", kMaxChunkSize));
  }
  if (chunk_size != ChunkSize(*graph) && ChunkSizeIsCalibrated(*graph)) {
    return InvalidArgument(
        fmt::format("this model was calibrated for chunks of {} tokens and cannot "
                    "run with {}; quantize it again with chunk_size={}",
                    ChunkSize(*graph), chunk_size, chunk_size));
  }
  SetChunkSize(chunk_size, graph);
  return {};
}

}  // namespace

Result<FloatCheckpoint> LoadFloatCheckpoint(const std::string& folder) {
  OCTET_ASSIGN(Parts parts, LoadParts(folder));
  if (parts.config.Find("quantization_config") != nullptr) {
    return InvalidArgument(
        fmt::format("{}: the model is quantized already; start from the float one", folder));
  }
  return FloatCheckpoint{std::move(parts.config), std::move(parts.arch.graph),
                         std::move(parts.arch.weights), std::move(parts.arch.warnings)};
}

Result<FloatCheckpoint> LoadS4dCheckpoint(const std::string& folder) {
  OCTET_ASSIGN(Parts parts, LoadParts(folder));
  if (parts.arch.graph.nodes[0].op != Op::kFrames) {
    return InvalidArgument(folder + ": the model reads text, not frames of numbers");
  }
  return FloatCheckpoint{std::move(parts.config), std::move(parts.arch.graph),
                         std::move(parts.arch.weights), std::move(parts.arch.warnings)};
}

Result<std::shared_ptr<const Model>> Model::Create(Graph graph, WeightMap weights, Json config,
                                                   std::optional<Tokenizer> tokenizer,
                                                   const ModelOptions& options) {
  OCTET_TRY(ApplyChunkSize(options.chunk_size, &graph));
  std::shared_ptr<Model> model(new Model());
  model->graph_ = std::move(graph);
  model->weights_ = std::move(weights);
  model->config_ = std::move(config);
  model->tokenizer_ = std::move(tokenizer);
  if (model->tokenizer_ && model->tokenizer_->size() > model->vocab_rows()) {
    return InvalidArgument(fmt::format("the tokenizer has {} ids, but the vocabulary only {} rows",
                                       model->tokenizer_->size(), model->vocab_rows()));
  }
  LowerOptions lower;
  if (options.isas) lower.isas = *options.isas;
  lower.bf16_compute = options.bf16_compute;
  OCTET_ASSIGN(model->program_, Program::Lower(model->graph_, model->weights_, lower));
  OCTET_TRY(model->ReadEos());
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> Model::Load(const std::string& folder,
                                                 const ModelOptions& options) {
  OCTET_ASSIGN(Parts parts, LoadParts(folder));
  const Json* quantization = parts.config.Find("quantization_config");
  if (quantization != nullptr && IsS4dMethod(*quantization)) {
    return Unsupported(folder + ": is a quantized S4D classifier, which octet s4d evaluate runs");
  }
  return Load(folder,
              {std::move(parts.config), std::move(parts.arch.graph), std::move(parts.arch.weights),
               std::move(parts.arch.warnings)},
              options);
}

Result<std::shared_ptr<const Model>> Model::Load(const std::string& folder,
                                                 const FloatCheckpoint& checkpoint,
                                                 const ModelOptions& options) {
  Json config = checkpoint.config;
  std::optional<Tokenizer> tokenizer;
  if (const std::string path = PathIn(folder, "tokenizer.json"); Exists(path)) {
    OCTET_ASSIGN(tokenizer, Tokenizer::Load(path));
  }
  const std::string generation = PathIn(folder, "generation_config.json");
  if (Exists(generation)) {  // eos_token_id there wins
    OCTET_ASSIGN(const Json g, Json::ParseFile(generation, kMaxConfigBytes));
    if (const Json* eos = g.Find("eos_token_id"); eos != nullptr) config.Set("eos_token_id", *eos);
  }
  auto created = Create(checkpoint.graph, checkpoint.weights, std::move(config),
                        std::move(tokenizer), options);
  if (!created.ok()) return created.status().Annotate(folder);
  auto model = std::const_pointer_cast<Model>(*created);
  model->folder_ = folder;
  model->warnings_ = checkpoint.warnings;
  return std::shared_ptr<const Model>(std::move(model));
}

Result<Tokenizer> Model::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  return NotFound(
      fmt::format("{}: there is no tokenizer.json; state-spaces checkpoints use the one of "
                  "EleutherAI/gpt-neox-20b, copy it into the folder",
                  folder_));
}

Status Model::ReadEos() {
  const Json* eos = config_.Find("eos_token_id");
  if (eos == nullptr || eos->is_null()) {
    if (tokenizer_) {
      if (const auto id = tokenizer_->Find("<|endoftext|>")) eos_.push_back(*id);
    }
    return {};
  }
  const Json::Array ids = eos->is_array() ? eos->AsArray() : Json::Array{*eos};
  for (const Json& id : ids) {
    if (!id.is_int() || id.AsInt() < 0 || id.AsInt() >= vocab_rows()) {
      return InvalidArgument(
          fmt::format("eos_token_id {} is not a token id of the vocabulary", eos->Dump(-1)));
    }
    eos_.push_back(static_cast<TokenId>(id.AsInt()));
  }
  return {};
}

}  // namespace octet
