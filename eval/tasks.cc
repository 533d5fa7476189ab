#include "eval/tasks.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "eval/json_lines.h"
#include "text/python_string.h"

namespace octet {
namespace {

constexpr int64_t kMaxLabelBytes = int64_t{1} << 26;
constexpr size_t kMaxChoices = 64;

Result<const Json*> Member(const Json& object, const char* key) {
  if (!object.is_object()) {
    return Corrupt(fmt::format("want an object, not {}", TypeName(object.type())));
  }
  const Json* member = object.Find(key);
  if (member == nullptr) return Corrupt(fmt::format("member \"{}\" is missing", key));
  return member;
}

Result<std::string> Text(const Json& object, const char* key) {
  OCTET_ASSIGN(const Json* member, Member(object, key));
  if (member->is_string()) return member->AsString();
  return Corrupt(fmt::format("member \"{}\" is not a string", key));
}

Result<std::vector<std::string>> Texts(const Json& object, const char* key) {
  OCTET_ASSIGN(const Json* member, Member(object, key));
  std::vector<std::string> texts;
  if (member->is_array()) {
    for (const Json& text : member->AsArray()) {
      if (text.is_string()) texts.push_back(text.AsString());
    }
  }
  if (!member->is_array() || texts.size() != member->AsArray().size()) {
    return Corrupt(fmt::format("member \"{}\" is not an array of strings", key));
  }
  return texts;
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// An index as JSON has it: a number or its digits.
Result<int64_t> Index(const Json& object, const char* key) {
  OCTET_ASSIGN(const Json* member, Member(object, key));
  if (member->is_int()) return member->AsInt();
  if (member->is_string()) {
    if (const auto value = WholeNumber(member->AsString())) return *value;
  }
  return Corrupt(fmt::format("member \"{}\" is not a whole number", key));
}

Status CheckGold(const TaskItem& item) {
  const int64_t n = std::ssize(item.prompts);
  if (item.gold >= 0 && item.gold < n) return {};
  return Corrupt(
      fmt::format("the label {} is none of its {} choices, which count from 0", item.gold, n));
}

// Choices as continuations of one context, after a blank: output_type multiple_choice.
Result<TaskItem> ChoiceItem(const std::string& context, const std::vector<std::string>& choices,
                            int64_t gold) {
  if (choices.size() < 2 || choices.size() > kMaxChoices) {
    return Corrupt(
        fmt::format("it has {} choices; 2 to {} are possible", choices.size(), kMaxChoices));
  }
  TaskItem item;
  for (const std::string& choice : choices) {
    item.prompts.push_back({context, " " + choice});
    item.lengths.push_back(CodePoints(choice));
  }
  item.gold = gold;
  OCTET_TRY(CheckGold(item));
  return item;
}

std::string Question(const std::string& question) {
  return "Question: " + question + "\nAnswer:";
}

// lambada_openai.yaml: what stands before the last blank, and the word after it.
Result<TaskItem> ReadLambada(const Json& line) {
  OCTET_ASSIGN(const std::string text, Text(line, "text"));
  const size_t blank = text.rfind(' ');
  const bool one_word = blank == text.npos;
  TaskItem item;
  item.prompts.push_back(
      {one_word ? "" : text.substr(0, blank), " " + (one_word ? text : text.substr(blank + 1))});
  return item;
}

// re.sub("\\[.*?\\]", "", text): the dot matches all but a newline.
std::string WithoutBrackets(std::string_view text) {
  std::string out;
  for (size_t open = text.find('['); open != text.npos; open = text.find('[')) {
    const size_t close = text.find_first_of("]\n", open);
    if (close == text.npos) break;
    out += text.substr(0, text[close] == ']' ? open : close + 1);
    text.remove_prefix(close + 1);
  }
  return out += text;
}

// preprocess() of hellaswag/utils.py.
std::string CleanHellaSwag(std::string_view text) {
  return ReplaceAll(WithoutBrackets(ReplaceAll(Strip(text), " [title]", ". ")), "  ", " ");
}

Result<TaskItem> ReadHellaSwag(const Json& line) {
  if (line.Find("query") != nullptr) {
    OCTET_ASSIGN(const std::string query, Text(line, "query"));
    OCTET_ASSIGN(const std::vector<std::string> choices, Texts(line, "choices"));
    OCTET_ASSIGN(const int64_t gold, Index(line, "gold"));
    return ChoiceItem(query, choices, gold);
  }
  OCTET_ASSIGN(const std::string activity, Text(line, "activity_label"));
  OCTET_ASSIGN(const std::string ctx_a, Text(line, "ctx_a"));
  OCTET_ASSIGN(const std::string ctx_b, Text(line, "ctx_b"));
  OCTET_ASSIGN(std::vector<std::string> endings, Texts(line, "endings"));
  OCTET_ASSIGN(const int64_t gold, Index(line, "label"));
  std::ranges::transform(endings, endings.begin(), CleanHellaSwag);
  return ChoiceItem(CleanHellaSwag(activity + ": " + ctx_a + " " + Capitalize(ctx_b)), endings,
                    gold);
}

Result<TaskItem> ReadPiqa(const Json& line) {
  OCTET_ASSIGN(const std::string goal, Text(line, "goal"));
  OCTET_ASSIGN(const std::string sol1, Text(line, "sol1"));
  OCTET_ASSIGN(const std::string sol2, Text(line, "sol2"));
  OCTET_ASSIGN(const int64_t gold, Index(line, "label"));
  return ChoiceItem(Question(goal), {sol1, sol2}, gold);
}

Result<TaskItem> ArcItem(const std::string& question, const std::vector<std::string>& choices,
                         const std::vector<std::string>& labels, const std::string& answer) {
  if (labels.size() != choices.size()) {
    return Corrupt(fmt::format("it has {} choices and {} labels", choices.size(), labels.size()));
  }
  const auto gold = std::ranges::find(labels, answer);
  if (gold == labels.end()) {
    return Corrupt(fmt::format("answerKey \"{}\" is none of the labels of its choices", answer));
  }
  return ChoiceItem(Question(question), choices, gold - labels.begin());
}

// ai2_arc: of AI2, of the Hugging Face hub, or with the index of the right choice.
Result<TaskItem> ReadArc(const Json& line) {
  if (line.Find("gold") != nullptr) {
    OCTET_ASSIGN(const std::string question, Text(line, "question"));
    OCTET_ASSIGN(const std::vector<std::string> choices, Texts(line, "choices"));
    OCTET_ASSIGN(const int64_t gold, Index(line, "gold"));
    return ChoiceItem(Question(question), choices, gold);
  }
  OCTET_ASSIGN(const std::string answer, Text(line, "answerKey"));
  OCTET_ASSIGN(const Json* question, Member(line, "question"));
  if (question->is_string()) {
    OCTET_ASSIGN(const Json* lists, Member(line, "choices"));
    OCTET_ASSIGN(const std::vector<std::string> choices, Texts(*lists, "text"));
    OCTET_ASSIGN(const std::vector<std::string> labels, Texts(*lists, "label"));
    return ArcItem(question->AsString(), choices, labels, answer);
  }
  OCTET_ASSIGN(const std::string stem, Text(*question, "stem"));
  OCTET_ASSIGN(const Json* list, Member(*question, "choices"));
  if (!list->is_array()) return Corrupt("member \"choices\" is not an array");
  std::vector<std::string> choices, labels;
  for (const Json& choice : list->AsArray()) {
    OCTET_ASSIGN(choices.emplace_back(), Text(choice, "text"));
    OCTET_ASSIGN(labels.emplace_back(), Text(choice, "label"));
  }
  return ArcItem(stem, choices, labels, answer);
}

// preprocess_winogrande.py: partial evaluation (Trinh and Le 2018), the options are contexts.
Result<TaskItem> ReadWinoGrande(const Json& line) {
  OCTET_ASSIGN(const std::string sentence, Text(line, "sentence"));
  const size_t gap = sentence.find('_');
  if (gap == sentence.npos) return Corrupt("member \"sentence\" has no _");
  TaskItem item;
  for (const char* key : {"option1", "option2"}) {
    OCTET_ASSIGN(const std::string option, Text(line, key));
    item.prompts.push_back({sentence.substr(0, gap) + option,
                            fmt::format(" {}", Strip(std::string_view(sentence).substr(gap + 1)))});
  }
  OCTET_ASSIGN(const int64_t answer, Index(line, "answer"));
  if (answer != 1 && answer != 2) {
    return Corrupt(fmt::format("the answer {} is neither 1 nor 2", answer));
  }
  item.gold = answer - 1;
  return item;
}

const std::vector<TaskSpec>& Table() {
  static const std::vector<TaskSpec> tasks = {
      {"lambada_openai",
       false,
       false,
       {{"lambada_openai.jsonl"}, {"lambada_test.jsonl"}},
       ReadLambada},
      {"hellaswag", true, true, {{"hellaswag_val.jsonl"}}, ReadHellaSwag},
      {"piqa",
       true,
       false,
       {{"piqa_valid.jsonl", "piqa_valid_labels.lst"},
        {"valid.jsonl", "valid-labels.lst"},
        {"physicaliqa-train-dev/dev.jsonl", "physicaliqa-train-dev/dev-labels.lst"}},
       ReadPiqa},
      {"arc_easy",
       true,
       false,
       {{"arc_easy_test.jsonl"},
        {"ARC-Easy-Test.jsonl"},
        {"ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl"}},
       ReadArc},
      {"arc_challenge",
       true,
       true,
       {{"arc_challenge_test.jsonl"},
        {"ARC-Challenge-Test.jsonl"},
        {"ARC-V1-Feb2018-2/ARC-Challenge/ARC-Challenge-Test.jsonl"}},
       ReadArc},
      {"winogrande",
       true,
       false,
       {{"winogrande_dev.jsonl"}, {"winogrande_1.1/dev.jsonl"}, {"dev.jsonl"}},
       ReadWinoGrande}};
  return tasks;
}

struct FoundFile {
  std::string data, labels;
};

Result<FoundFile> FindFile(const TaskSpec& task, const std::string& folder) {
  const std::filesystem::path base = folder;
  std::error_code error;
  if (!std::filesystem::is_directory(base, error)) {
    const bool there = std::filesystem::exists(base, error);
    return NotFound(folder + (there ? ": is not a folder" : ": there is no such folder"));
  }
  std::vector<std::string> names;
  for (const TaskSpec::File& file : task.files) {
    if (std::filesystem::exists(base / file.data, error)) {
      return FoundFile{(base / file.data).string(),
                       *file.labels == '\0' ? "" : (base / file.labels).string()};
    }
    names.emplace_back(file.data);
  }
  return NotFound(
      fmt::format("{}: has no file of {}: {}", folder, task.name, fmt::join(names, " or ")));
}

// One whole number per line.
Result<std::vector<int64_t>> ReadLabels(const std::string& path) {
  OCTET_ASSIGN(const std::string bytes, ReadWholeFile(path, kMaxLabelBytes));
  std::vector<int64_t> labels;
  std::string_view left = bytes;
  while (!left.empty()) {
    const size_t end = left.find('\n');
    const std::string_view line = Strip(left.substr(0, end));
    left.remove_prefix(end == left.npos ? left.size() : end + 1);
    const auto label = WholeNumber(line);
    if (!label) {
      return Corrupt(fmt::format("{}: line {} is not a whole number", path, labels.size() + 1));
    }
    labels.push_back(*label);
  }
  return labels;
}

}  // namespace

std::span<const TaskSpec> AllTasks() {
  return Table();
}

const TaskSpec* FindTask(std::string_view name) {
  const auto task =
      std::ranges::find(Table(), name, [](const TaskSpec& t) { return std::string_view(t.name); });
  return task == Table().end() ? nullptr : &*task;
}

Result<std::vector<TaskItem>> ReadTask(const TaskSpec& task, const std::string& folder,
                                       int64_t limit) {
  OCTET_ASSIGN(const FoundFile file, FindFile(task, folder));
  std::optional<std::vector<int64_t>> labels;
  std::vector<TaskItem> items;
  size_t lines = 0;
  Status labels_status;  // of another file than the line
  const Status read = ForEachJsonLine(file.data, [&](const Json& line, int64_t) -> Status {
    const size_t at = lines++;
    if (file.labels.empty() || line.Find("label") != nullptr) {
      OCTET_ASSIGN(items.emplace_back(), task.read(line));
      return {};
    }
    if (!labels) {
      Result<std::vector<int64_t>> found = ReadLabels(file.labels);
      if (!found.ok()) return labels_status = found.status();
      labels = *std::move(found);
    }
    if (at >= labels->size()) {
      return Corrupt(
          fmt::format("there is no label for it: {} has {} lines", file.labels, labels->size()));
    }
    Json labeled = line;
    if (labeled.is_object()) labeled.Set("label", (*labels)[at]);
    OCTET_ASSIGN(items.emplace_back(), task.read(labeled));
    return {};
  });
  OCTET_TRY(labels_status);
  OCTET_TRY(read);
  if (labels && labels->size() != lines) {
    return Corrupt(fmt::format("{}: has {} lines, and {} has {}", file.labels, labels->size(),
                               file.data, lines));
  }
  if (items.empty()) return InvalidArgument(file.data + ": there is no item in the file");
  if (limit > 0 && std::ssize(items) > limit) items.resize(static_cast<size_t>(limit));
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].doc = static_cast<int64_t>(i);
  }
  return items;
}

}  // namespace octet
