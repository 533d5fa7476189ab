#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/method_report.h"
#include "io/file_writer.h"

namespace octet::cli {
namespace {

// Below the data folder.
constexpr const char* kCalibration = "books/calibration.txt";
constexpr struct {
  const char* name;
  const char* file;
} kTexts[] = {{"books", "books/valid.txt"}, {"wikitext2", "wikitext2/wiki.test.raw"}};
constexpr const char* kModels[] = {"models/books-mamba2-5m", "models/books-mamba-5m"};

std::string DataFolder(const ReproduceCommand& c) {
  if (!c.data.empty()) return c.data;
  const char* given = std::getenv("OCTET_DATA");
  return given != nullptr && *given != '\0' ? given : "../shared/data";
}

// At most `bytes` bytes, whole characters.
std::string Cut(std::string text, int64_t bytes) {
  size_t n = std::min(text.size(), static_cast<size_t>(bytes));
  while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) {
    --n;
  }
  text.resize(n);
  return text;
}

Result<std::vector<EvaluationText>> ReadTexts(const std::string& data, int64_t bytes) {
  std::vector<EvaluationText> texts;
  for (const auto& t : kTexts) {
    OCTET_ASSIGN(TextFile file, ReadTextFile((std::filesystem::path(data) / t.file).string()));
    texts.push_back({t.name, Cut(std::move(file.text), bytes)});
  }
  return texts;
}

// The command line, without folders of this machine.
std::string CommandLine(const ReproduceCommand& c) {
  std::string text = fmt::format("octet reproduce --bytes {} --samples {} --length {} --window {}",
                                 c.bytes, c.samples, c.length, c.window);
  for (size_t i = 0; i < c.models.size(); ++i) {
    std::filesystem::path model = std::filesystem::path(c.models[i]).lexically_normal();
    if (!model.has_filename()) model = model.parent_path();
    if (model.is_absolute()) model = model.filename();
    text += fmt::format(" {}{}", i == 0 ? "--models " : "", model.string());
  }
  if (!c.recipes.empty()) text += fmt::format(" --recipes {}", fmt::join(c.recipes, ","));
  return text;
}

// Not in place yet: both reports appear when both could be written.
Result<FileWriter> WriteBeside(const std::string& path, const std::string& text) {
  OCTET_ASSIGN(FileWriter writer, FileWriter::Create(path));
  OCTET_TRY(writer.Write(std::as_bytes(std::span(text))));
  return writer;
}

}  // namespace

Status Run(const ReproduceCommand& c) {
  OCTET_ASSIGN(const std::vector<Method> methods, MethodsOf(c.recipes));
  const std::string data = DataFolder(c);
  OCTET_ASSIGN(const std::vector<EvaluationText> texts, ReadTexts(data, c.bytes));
  GridOptions options;
  options.models = c.models;
  if (options.models.empty()) options.models.assign(std::begin(kModels), std::end(kModels));
  options.methods = methods;
  options.calibration = (std::filesystem::path(data) / kCalibration).string();
  options.samples = c.samples;
  options.length = c.length;
  options.window = c.window;
  options.threads = c.threads;
  // Fails now, rather than after minutes of work, when the reports could not be written.
  for (const char* extension : {".md", ".json"}) {
    OCTET_TRY(ProbeFile(c.output + extension));
  }
  MethodReport report;
  report.command = CommandLine(c);
  for (const EvaluationText& t : texts) {
    report.texts.push_back(t.name);
  }
  ProgressBar bar;
  OCTET_ASSIGN(report.models, MeasureGrid(options, texts, &bar));
  report.orders = CheckOrders(report.models, texts.size());
  OCTET_ASSIGN(FileWriter markdown, WriteBeside(c.output + ".md", ToMarkdown(report)));
  OCTET_ASSIGN(FileWriter json, WriteBeside(c.output + ".json", ToJson(report).Dump(1) + "\n"));
  OCTET_TRY(json.Commit());
  OCTET_TRY(markdown.Commit());
  if (c.json) {
    PrintJson("reproduce", ToJson(report));
  } else {
    Print(fmt::format("{0}.md and {0}.json written\n", c.output));
  }
  return {};
}

}  // namespace octet::cli
