#include "train/checkpoint.h"

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "io/safetensors.h"

namespace octet {
namespace {

Json ProgressOf(const Json& run, const TrainingState& s) {
  Json epochs = Json::MakeArray();
  for (const EpochReport& e : s.epochs) {
    epochs.Append(Json::Array{e.loss, e.accuracy});
  }
  Json progress = Json::MakeObject();
  progress.Set("run", run);
  progress.Set("best_epoch", s.best_epoch);
  progress.Set("step", s.step);
  progress.Set("loss", s.loss);
  progress.Set("epochs", std::move(epochs));
  return progress;
}

// The first member in which two descriptions of a run differ, "" for none.
std::string Difference(const Json& run, const Json& other) {
  for (const auto& [key, value] : run.AsObject()) {
    const Json* found = other.Find(key);
    if (found == nullptr || *found != value) return key;
  }
  return run == other ? "" : "everything";
}

Result<std::vector<float>> Floats(const WeightMap& tensors, const char* name, int64_t size) {
  OCTET_ASSIGN(const Weight w, tensors.Get(name));
  if (w.dtype != DType::kF32 || w.count() != size) {
    return Corrupt(fmt::format("{} does not hold {} values", name, size));
  }
  return ToF32(w);
}

Result<Json> ParseProgress(const WeightMap& tensors) {
  OCTET_ASSIGN(const Weight w, tensors.Get("progress"));
  if (w.dtype != DType::kU8) return Corrupt("progress is no text");
  return Json::Parse({reinterpret_cast<const char*>(w.data), static_cast<size_t>(w.data_bytes())});
}

Result<int64_t> Count(const Json& progress, const char* key, int64_t least) {
  const Json* value = progress.Find(key);
  if (value == nullptr || !value->is_int() || value->AsInt() < least) {
    return Corrupt(fmt::format("{} is damaged", key));
  }
  return value->AsInt();
}

Status ReadEpochs(const Json& progress, TrainingState* s) {
  const Json* epochs = progress.Find("epochs");
  if (epochs == nullptr || !epochs->is_array()) return Corrupt("epochs is damaged");
  for (const Json& e : epochs->AsArray()) {
    if (!e.is_array() || e.AsArray().size() != 2) return Corrupt("epochs is damaged");
    EpochReport report;
    OCTET_ASSIGN(report.loss, e.AsArray()[0].AsNumber());
    OCTET_ASSIGN(report.accuracy, e.AsArray()[1].AsNumber());
    s->epochs.push_back(report);
  }
  return {};
}

Result<TrainingState> Parse(const WeightMap& tensors, const Json& run, int64_t size) {
  OCTET_ASSIGN(const Json progress, ParseProgress(tensors));
  const Json* stored = progress.Find("run");
  if (stored == nullptr || !stored->is_object())
    return Corrupt("is no checkpoint of a training run");
  if (const std::string key = Difference(run, *stored); !key.empty()) {
    return InvalidArgument(
        fmt::format("the training that was interrupted there differs ({}); repeat its arguments, "
                    "choose another "
                    "output or remove the file",
                    key));
  }
  TrainingState s;
  OCTET_ASSIGN(s.parameters, Floats(tensors, "parameters", size));
  OCTET_ASSIGN(s.mean, Floats(tensors, "mean", size));
  OCTET_ASSIGN(s.square, Floats(tensors, "square", size));
  OCTET_TRY(ReadEpochs(progress, &s));
  OCTET_ASSIGN(s.best_epoch, Count(progress, "best_epoch", -1));
  if (s.best_epoch >= std::ssize(s.epochs) || (s.best_epoch < 0) != s.epochs.empty()) {
    return Corrupt("best_epoch is damaged");
  }
  if (s.best_epoch >= 0) {
    OCTET_ASSIGN(s.best, Floats(tensors, "best", size));
  }
  OCTET_ASSIGN(s.step, Count(progress, "step", 0));
  const Json* loss = progress.Find("loss");
  if (loss == nullptr) return Corrupt("loss is damaged");
  OCTET_ASSIGN(s.loss, loss->AsNumber());
  return s;
}

}  // namespace

Status WriteCheckpoint(const std::string& path, const Json& run, const TrainingState& state) {
  const std::string text = ProgressOf(run, state).Dump(-1);
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  std::vector<std::pair<std::string, Weight>> tensors;
  const auto size = static_cast<int64_t>(text.size());
  tensors.emplace_back("progress", MakeWeight(DType::kU8, {begin, begin + size}, {size}));
  const auto add = [&](const char* name, const std::vector<float>& v) {
    tensors.emplace_back(name, MakeWeight(v, {std::ssize(v)}));
  };
  add("parameters", state.parameters);
  add("mean", state.mean);
  add("square", state.square);
  if (!state.best.empty()) add("best", state.best);
  return WriteSafetensors(path, tensors, {});
}

Result<std::optional<TrainingState>> ReadCheckpoint(const std::string& path, const Json& run,
                                                    int64_t size) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::optional<TrainingState>();
  OCTET_ASSIGN(const WeightMap tensors, ReadSafetensors(path));
  Result<TrainingState> state = Parse(tensors, run, size);
  if (!state.ok()) return state.status().Annotate(path);
  return std::optional<TrainingState>(*std::move(state));
}

}  // namespace octet
