#include <filesystem>
#include <span>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/continuation.h"
#include "apps/cli/demo_folder.h"
#include "apps/cli/shared.h"
#include "eval/bench.h"
#include "eval/compare.h"

namespace octet::cli {
namespace {

constexpr int64_t kCalibrationSamples = 16;
constexpr int64_t kEvaluationSamples = 16;
constexpr int64_t kLength = 512;
constexpr uint64_t kCalibrationSeed = 1, kEvaluationSeed = 2;
constexpr const char* kPrompt = "It was a dark night, and the old man";
constexpr int64_t kSampleTokens = 48;

struct Contestant {
  const char* name;
  const char* recipe;  // null: the float model itself
};
constexpr Contestant kContestants[] = {
    {"float", nullptr},           {"absmax W8A8", "absmax"},    {"Quamba W8A8", "quamba"},
    {"SSDi8 W8A8", "ssdi8-w8a8"}, {"SSDi8 W4A8", "ssdi8-w4a8"}, {"SSDi8+ W8A8", "ssdi8-plus-w8a8"}};

struct Row {
  std::string name, folder;
  std::shared_ptr<const Model> model;
  int64_t bytes_on_disk = 0;
  CompareReport quality;  // against float
  int64_t state_bytes = 0;
  double prefill = 0, decode = 0;  // tokens per second
};

int64_t WeightFileBytes(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = it->path().extension().string();
    if (extension != ".safetensors" && extension != ".bin") continue;
    const uintmax_t size = it->file_size(error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

// Quantizes and loads back what was written, so that the rows are what a user would get.
Result<Row> MakeRow(const Contestant& contestant, const std::string& float_folder,
                    const FloatCheckpoint& source, const CalibrationText& text,
                    const TemporaryFolder& output, int threads, ProgressBar* bar) {
  Row row;
  row.name = contestant.name;
  row.folder = float_folder;
  if (contestant.recipe != nullptr) {
    PrintStep(fmt::format("Quantizing: {}", row.name));
    OCTET_ASSIGN(const RecipeRun recipe,
                 PlanRecipeNamed(contestant.recipe, Json(), FamilyOf(source.graph)));
    OCTET_ASSIGN(const CheckedModel checked,
                 QuantizeAndCheck(recipe, source, text, threads, bar->Callback()));
    for (const std::string& f : checked.check.Failures()) {
      PrintWarning(row.name + ": " + f);
    }
    row.folder = output.path() + "/" + contestant.recipe;
    OCTET_TRY(WriteModelFolder(checked.model, source, float_folder, row.folder));
  }
  OCTET_ASSIGN(row.model, LoadModel(row.folder, 0));
  row.bytes_on_disk = WeightFileBytes(row.folder);
  return row;
}

Status MeasureQuality(int threads, ProgressBar* bar, std::span<Row> rows) {
  PrintStep("Comparing with the float model on text that calibration did not see");
  const std::shared_ptr<const Model>& reference = rows.front().model;
  OCTET_ASSIGN(const std::vector<TokenDocument> documents,
               GenerateText(reference, {kEvaluationSamples, kLength, kEvaluationSeed, threads},
                            bar->Callback()));
  TokenDocument tokens;
  for (const TokenDocument& d : documents) {
    tokens.insert(tokens.end(), d.begin(), d.end());
  }
  for (Row& row : rows) {
    OCTET_ASSIGN(row.quality, Compare(reference, row.model, tokens, "generated text",
                                      {kLength, kLength, 0, threads}, bar->Callback()));
  }
  return {};
}

Status MeasureSpeed(ProgressBar* bar, std::span<Row> rows) {
  PrintStep("Measuring speed, the models in turn");
  std::vector<BenchSubject> subjects;
  for (const Row& row : rows) {
    subjects.push_back({row.model, ""});
  }
  OCTET_ASSIGN(const BenchReport report, Bench(subjects, BenchOptions{}, bar->Callback()));
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].state_bytes = report.state_bytes[i];
    rows[i].prefill = report.Find(i, BenchTest::kPrefill)->tokens_per_s.median;
    rows[i].decode = report.Find(i, BenchTest::kDecode)->tokens_per_s.median;
  }
  return {};
}

// One column for each model, which fits a terminal.
std::string TableText(std::span<const Row> rows, bool mamba2) {
  std::vector<std::vector<std::string>> lines = {
      {""},        {"size on disk"},    {"state"},         {"perplexity ratio"},
      {"mean KL"}, {"top-1 agreement"}, {"prefill tok/s"}, {"decode tok/s"}};
  for (const Row& r : rows) {
    const std::string column[] = {r.name,
                                  FormatBytes(r.bytes_on_disk),
                                  FormatBytes(r.state_bytes),
                                  fmt::format("{:.4f}", r.quality.perplexity_ratio.value),
                                  fmt::format("{:.5f}", r.quality.kl_mean.value),
                                  FormatPercent(r.quality.top1_agreement),
                                  fmt::format("{:.0f}", r.prefill),
                                  fmt::format("{:.0f}", r.decode)};
    for (size_t i = 0; i < lines.size(); ++i) {
      lines[i].push_back(column[i]);
    }
  }
  Table table(lines.front());
  for (size_t i = 1; i < lines.size(); ++i) {
    table.Add(lines[i]);
  }
  const char* methods = mamba2 ? "SSDi8 the published method, SSDi8+ Octet's form\nof it. "
                               : "Quamba the published method.\n";
  return table.Text() + fmt::format(R"(
absmax is the naive baseline, {}W8A8: 8-bit weights and activations; W4A8: 4-bit weights.
size on disk      the weight files
state             what one stream of text remembers between tokens
perplexity ratio  perplexity over that of float, on {} tokens that float
                  wrote; 1 is equal
mean KL           departure from the predictions of float, in nats per token
top-1 agreement   how often the most likely next token is the same as float's
prefill tok/s     a prompt of 512 tokens in one call, 1 thread, median of 5
decode tok/s      one token at a time, as when writing, 1 thread, median of 5
)",
                                    methods, rows.front().quality.tokens);
}

Json ToJson(std::span<const Row> rows) {
  Json array = Json::MakeArray();
  for (const Row& r : rows) {
    Json j = Json::MakeObject();
    j.Set("name", r.name);
    j.Set("bytes_on_disk", r.bytes_on_disk);
    j.Set("state_bytes", r.state_bytes);
    j.Set("perplexity_ratio", r.quality.perplexity_ratio.value);
    j.Set("kl_mean", r.quality.kl_mean.value);
    j.Set("top1_agreement", r.quality.top1_agreement);
    j.Set("prefill_tokens_per_s", r.prefill);
    j.Set("decode_tokens_per_s", r.decode);
    array.Append(std::move(j));
  }
  Json j = Json::MakeObject();
  j.Set("tokens", rows.front().quality.tokens);
  j.Set("rows", std::move(array));
  return j;
}

// The same prompt and seed through the float model and the last one.
Result<std::string> Samples(std::span<const Row> rows) {
  std::string text = "\nThe same prompt and seed:\n";
  for (const Row* row : {&rows.front(), &rows.back()}) {
    const Result<Tokenizer> tokenizer = row->model->tokenizer();
    if (!tokenizer.ok()) return std::string();
    OCTET_ASSIGN(Sampler sampler, Sampler::Create({0.8, 40, 1.0, 1}));
    OCTET_ASSIGN(const Continuation out,
                 Continue(row->model, tokenizer->Encode(kPrompt), kSampleTokens, &sampler, 1, {}));
    text += fmt::format("\n[{}] {}{}\n", row->name, kPrompt, out.text);
  }
  return text;
}

std::string NextCommands(const std::string& model, const std::string& recipe) {
  const std::string program = ProgramName();
  return fmt::format(R"(
Next:
  {0} quantize {1} --recipe {3} --output books-w8a8
  {0} compare {1} books-w8a8 --text YOUR_TEXT.txt --window 512
  {0} generate books-w8a8 --prompt "{2}" -n 100
)",
                     program, model, kPrompt, recipe);
}

}  // namespace

Status Run(const DemoCommand& c) {
  std::string folder = c.model;
  if (folder.empty()) {
    OCTET_ASSIGN(folder, FindDemoModel());
  }
  OCTET_ASSIGN(TemporaryFolder output, CreateDemoFolder(c.output));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(folder));
  OCTET_ASSIGN(const auto reference, LoadModel(folder, source));
  ProgressBar bar;
  PrintStep(fmt::format("{} writes text to calibrate on", folder));
  OCTET_ASSIGN(const CalibrationText text,
               LoadCalibration({"self", kCalibrationSamples, kLength, kCalibrationSeed}, reference,
                               c.threads, bar.Callback()));
  std::vector<Row> rows;
  for (const Contestant& contestant : kContestants) {
    if (contestant.recipe != nullptr) {
      if (!PlanRecipeNamed(contestant.recipe, Json(), FamilyOf(source.graph)).ok()) continue;
    }
    OCTET_ASSIGN(rows.emplace_back(),
                 MakeRow(contestant, folder, source, text, output, c.threads, &bar));
  }
  OCTET_TRY(MeasureQuality(c.threads, &bar, rows));
  OCTET_TRY(MeasureSpeed(&bar, rows));
  if (c.json) {
    PrintJson("demo", ToJson(rows));
  } else {
    OCTET_ASSIGN(const std::string samples, Samples(rows));
    const bool mamba2 = FamilyOf(source.graph) == Family::kMamba2;
    Print("\n" + TableText(rows, mamba2) + samples +
          NextCommands(folder, mamba2 ? "ssdi8-plus-w8a8" : "quamba"));
  }
  OCTET_TRY(Flush());
  if (!c.output.empty()) output.Keep();
  return {};
}

}  // namespace octet::cli
