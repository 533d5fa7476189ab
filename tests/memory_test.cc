// Contracts:
// 1. A checkpoint in 16 bits stays mapped. Codes are mapped or copied, never both: loading and
//    running a model takes at most its file, 8 MiB and its states, mapped files included.
// 2. GPTQ of a whole model, with its work folder, needs at most 1.5 times the memory of the model
//    in fp32, mapped files and streams included.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <malloc.h>

#include <gtest/gtest.h>

#include "exec/quantized_format.h"
#include "io/output_folder.h"
#include "io/safetensors.h"
#include "io/scratch_folder.h"
#include "quant/recipe.h"
#include "quant/weight_codes.h"
#include "quant/work_folder.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/models.h"

namespace octet {
namespace {

// Bytes of memory that no file backs.
int64_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "RssAnon:") continue;
    int64_t kilobytes = 0;
    status >> kilobytes;
    return kilobytes * 1024;
  }
  return -1;
}

Weight ToBF16(const Weight& w) {
  const std::vector<float> values = ToF32(w);
  std::vector<std::byte> bytes(values.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = F32ToBF16(values[i]);
    std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return MakeWeight(DType::kBF16, std::move(bytes), w.shape);
}

// Writes a model of about 70 MB, in bf16 or with its matrices in int8; nothing of it stays in
// memory.
void WriteLargeModel(const std::string& folder, bool codes) {
  Mamba2Config c;
  c.d_model = 512;
  c.layers = 20;
  c.vocab_rows = codes ? 40000 : 512;
  c.heads = 16;
  c.head_dim = 64;
  c.state_size = 64;
  c.groups = 1;
  c.conv_kernel = 4;
  c.dt_hi = std::numeric_limits<float>::infinity();
  c.tied = !codes;
  const RandomModel m = MakeRandomModel(c, 1);
  ThreadPool pool(2);
  WeightMap weights;
  for (const auto& [name, w] : m.weights.all()) {
    const bool matrix = w.shape.size() == 2;
    weights.Set(name, codes && matrix ? EncodeRowsInt8(w, &pool) : ToBF16(w));
  }
  Result<OutputFolder> out = OutputFolder::Create(folder);
  ASSERT_TRUE(out.ok()) << out.status().message();
  ASSERT_TRUE(
      WriteSafetensors(out->PathOf("model.safetensors"), StoredTensors(m.graph, weights), {}).ok());
  Json config = Json::MakeObject();
  config.Set("model_type", "mamba2");
  config.Set("n_groups", 1);
  config.Set("state_size", 64);
  config.Set("tie_word_embeddings", !codes);
  if (codes) {
    Json quantization = Json::MakeObject();
    quantization.Set("quant_method", "octet");
    quantization.Set("graph", DescribeQuantization(m.graph, weights));
    config.Set("quantization_config", std::move(quantization));
  }
  ASSERT_TRUE(out->WriteFile("config.json", config.Dump()).ok());
  ASSERT_TRUE(out->Commit().ok());
}

// The most memory that was in use since the last call, files and all; -1: the system does not tell.
int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kilobytes = -1;
  while (kilobytes < 0 && status >> word) {
    if (word == "VmHWM:") status >> kilobytes;
  }
  std::ofstream reset("/proc/self/clear_refs");
  return reset << "5" && reset.flush() ? kilobytes * 1024 : -1;
}

// Writes a model and gives the bytes of its weights.
int64_t WriteLargeModelAt(const std::string& folder, bool codes) {
  WriteLargeModel(folder, codes);
  const auto path = std::filesystem::path(folder) / "model.safetensors";
  return static_cast<int64_t>(std::filesystem::file_size(path));
}

// Loads the model and runs a prompt and a token; the model is in memory afterwards.
std::shared_ptr<const Model> LoadAndRun(const std::string& folder) {
  auto model = Model::Load(folder, {});
  EXPECT_TRUE(model.ok()) << model.status().message();
  Session session(*model, std::make_shared<ThreadPool>(2));
  std::vector<float> logits(static_cast<size_t>((*model)->vocab_rows()));
  const std::vector<TokenId> ids = RandomTokens(200, 512, 3);
  EXPECT_TRUE(session.Feed(ids, logits).ok());
  EXPECT_TRUE(session.Feed(std::span(ids).first(1), logits).ok());
  return *model;
}

// What loading and running allocates stays below half of the file: values of 256 tokens and
// oneDNN's scratch are about 25 MB.
TEST(Memory, SixteenBitWeightsStayMapped) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's own memory hides what is measured";
#endif
  const ScratchFolder scratch;
  const int64_t file_bytes = WriteLargeModelAt(scratch.At("model"), false);
  ASSERT_GT(file_bytes, int64_t{60} << 20);
  malloc_trim(0);  // what the heap keeps for later would hide allocations
  const int64_t before = AnonymousBytes();
  const auto model = LoadAndRun(scratch.At("model"));
  EXPECT_LT(AnonymousBytes() - before, file_bytes / 2);
}

// Neither the embedding, of which a prompt reads a few rows, nor a head while it is copied to
// panels is in memory twice: 20 MB each.
TEST(Memory, CodesAreInMemoryOnce) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's own memory hides what is measured";
#endif
  const ScratchFolder scratch;
  const int64_t file_bytes = WriteLargeModelAt(scratch.At("model"), true);
  ASSERT_GT(file_bytes, int64_t{60} << 20);
  malloc_trim(0);
  if (PeakBytes() < 0) GTEST_SKIP() << "the system does not tell the most memory in use";
  const int64_t before = PeakBytes();
  const auto model = LoadAndRun(scratch.At("model"));
  const State state(model->graph());
  EXPECT_LT(PeakBytes() - before, file_bytes + (int64_t{8} << 20) + state.bytes());
}

TEST(Memory, GptqStaysNearTheSizeOfTheModel) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's own memory hides what is measured";
#endif
  const ScratchFolder scratch;
  WriteLargeModel(scratch.At("model"), false);
  const Result<FloatCheckpoint> source = LoadFloatCheckpoint(scratch.At("model"));
  ASSERT_TRUE(source.ok()) << source.status().message();
  int64_t weights = 0;
  for (const auto& [name, w] : source->weights.all()) {
    weights += w.count();
  }
  TokenDataset text;
  for (uint64_t d = 0; d < 4; ++d) {
    text.documents.push_back(RandomTokens(128, 512, d));
  }
  Result<WorkFolder> work = WorkFolder::Open(scratch.At("work"), Json("gptq"));
  ASSERT_TRUE(work.ok()) << work.status().message();
  const RecipeRun run = *PlanRecipeNamed("ssdi8-w4a8", Json(), Family::kMamba2);
  ThreadPool pool(2);
  malloc_trim(0);
  const int64_t before = AnonymousBytes();
  if (PeakBytes() < 0) GTEST_SKIP() << "/proc does not tell the peak of memory";
  const Result<QuantizedModel> q =
      Quantize(run, source->graph, source->weights, text, Json("random"), &pool, {}, &*work);
  ASSERT_TRUE(q.ok()) << q.status().message();
  const int64_t peak = PeakBytes() - before;
  EXPECT_GT(peak, 2 * weights) << "less than the mapped model";
  EXPECT_LT(peak, 6 * weights);
}

}  // namespace
}  // namespace octet
