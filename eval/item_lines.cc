#include "eval/item_lines.h"

#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "eval/json_lines.h"

namespace octet {
namespace {

Json ToJson(const ItemResult& item) {
  Json j = Json::MakeObject();
  Json log_likelihoods = Json::MakeArray(), greedy = Json::MakeArray();
  for (const Score& s : item.scores) {
    log_likelihoods.Append(s.log_likelihood);
    greedy.Append(s.is_greedy);
  }
  j.Set("task", item.task);
  j.Set("doc", item.doc);
  j.Set("item", item.digest);
  j.Set("loglikelihood", std::move(log_likelihoods));
  j.Set("is_greedy", std::move(greedy));
  if (item.gold >= 0) {
    j.Set("prediction", item.prediction);
    j.Set("gold", item.gold);
  }
  j.Set("acc", int{item.acc});
  if (item.acc_norm) {
    j.Set("prediction_norm", item.prediction_norm);
    j.Set("acc_norm", int{*item.acc_norm});
  }
  return j;
}

Status Wrong(const char* key) {
  return Corrupt(fmt::format("member \"{}\" is missing or not what --items writes", key));
}

Result<int64_t> IntIn(const Json& line, const char* key, int64_t count) {
  const Json* v = line.Find(key);
  if (v == nullptr || !v->is_int() || v->AsInt() < 0 || v->AsInt() >= count) return Wrong(key);
  return v->AsInt();
}

Result<std::vector<Score>> ScoresOf(const Json& line) {
  const Json* values = line.Find("loglikelihood");
  const Json* greedy = line.Find("is_greedy");
  if (values == nullptr || !values->is_array() || values->AsArray().empty()) {
    return Wrong("loglikelihood");
  }
  const size_t n = values->AsArray().size();
  if (greedy == nullptr || !greedy->is_array() || greedy->AsArray().size() != n) {
    return Wrong("is_greedy");
  }
  std::vector<Score> scores;
  for (size_t i = 0; i < n; ++i) {
    const Json& value = values->AsArray()[i];
    if (!value.is_number()) return Wrong("loglikelihood");
    if (!greedy->AsArray()[i].is_bool()) return Wrong("is_greedy");
    OCTET_ASSIGN(const double number, value.AsNumber());
    scores.push_back({number, greedy->AsArray()[i].AsBool()});
  }
  return scores;
}

Status ReadChoices(const Json& line, bool norm, ItemResult* item) {
  const int64_t n = std::ssize(item->scores);
  OCTET_ASSIGN(item->gold, IntIn(line, "gold", n));
  OCTET_ASSIGN(item->prediction, IntIn(line, "prediction", n));
  if (item->acc != (item->prediction == item->gold)) return Wrong("acc");
  if (!norm) return {};
  OCTET_ASSIGN(item->prediction_norm, IntIn(line, "prediction_norm", n));
  OCTET_ASSIGN(const int64_t acc_norm, IntIn(line, "acc_norm", 2));
  item->acc_norm = acc_norm != 0;
  return *item->acc_norm == (item->prediction_norm == item->gold) ? Status() : Wrong("acc_norm");
}

Result<ItemResult> ItemOf(const Json& line) {
  ItemResult item;
  const Json* task = line.Find("task");
  if (task == nullptr || !task->is_string()) return Wrong("task");
  item.task = task->AsString();
  const TaskSpec* spec = FindTask(item.task);
  if (spec == nullptr) return Corrupt(fmt::format("there is no task \"{}\"", item.task));
  const Json* digest = line.Find("item");
  if (digest == nullptr || !digest->is_string()) return Wrong("item");
  item.digest = digest->AsString();
  OCTET_ASSIGN(item.doc, IntIn(line, "doc", int64_t{1} << 32));
  OCTET_ASSIGN(item.scores, ScoresOf(line));
  OCTET_ASSIGN(const int64_t acc, IntIn(line, "acc", 2));
  item.acc = acc != 0;
  if (spec->choices) {
    const bool norm = spec->papers_take_norm || line.Find("acc_norm") != nullptr;
    OCTET_TRY(ReadChoices(line, norm, &item));
  }
  return item;
}

}  // namespace

std::string ItemLines(std::span<const ItemResult> items) {
  std::string lines;
  for (const ItemResult& item : items) {
    lines += ToJson(item).Dump(-1) + "\n";
  }
  return lines;
}

Result<std::vector<ItemResult>> ReadItemLines(const std::string& path) {
  std::vector<ItemResult> items;
  std::set<std::pair<std::string, int64_t>> seen;
  OCTET_TRY(ForEachJsonLine(path, [&](const Json& line, int64_t) -> Status {
    OCTET_ASSIGN(ItemResult item, ItemOf(line));
    if (!seen.emplace(item.task, item.doc).second) {
      return Corrupt(fmt::format("item {} of {} is there twice", item.doc, item.task));
    }
    items.push_back(std::move(item));
    return {};
  }));
  if (items.empty()) return InvalidArgument(path + ": there is no item in the file");
  return items;
}

}  // namespace octet
