#include "apps/cli/s4d_model.h"

#include <algorithm>
#include <set>

#include "apps/cli/shared.h"
#include "edge/lower.h"
#include "edge/run.h"
#include "io/output_folder.h"
#include "io/safetensors.h"
#include "quant/s4d/simulate.h"

namespace octet::cli {

Result<S4dModel> LoadS4dModel(const std::string& path) {
  S4dModel model;
  OCTET_ASSIGN(model.checkpoint, LoadS4dCheckpoint(path));
  PrintWarnings(path, model.checkpoint.warnings);
  const Json* j = model.checkpoint.config.Find("quantization_config");
  if (j == nullptr) return model;
  Result<S4dQuantization> q = ParseS4dQuantization(*j, model.checkpoint.graph);
  if (!q.ok()) return q.status().Annotate(path + "/config.json: quantization_config");
  model.quantization = *std::move(q);
  return model;
}

Result<FloatCheckpoint> LoadFloatS4dModel(const std::string& path) {
  OCTET_ASSIGN(S4dModel model, LoadS4dModel(path));
  if (model.quantization) {
    return InvalidArgument(path + ": the model is quantized already; start from the float one");
  }
  return std::move(model.checkpoint);
}

Result<S4dRanges> Calibrate(const FloatCheckpoint& model, const LabeledImages& images,
                            int64_t count, const PixelScale& scale, int threads) {
  OCTET_TRY(CheckScale(scale, images.channels));
  ThreadPool pool(threads);
  const auto sequence = [&](int64_t i) { return FramesOf(images, i, scale); };
  return ObserveS4d(model.graph, model.weights, std::min(count, images.count), sequence, &pool);
}

Result<ClassifyReport> ClassifyS4d(const S4dModel& model, const LabeledImages& images,
                                   const ClassifyOptions& options, const Progress& progress) {
  const FloatCheckpoint& c = model.checkpoint;
  if (!model.quantization) {
    OCTET_ASSIGN(const auto lowered, Model::Create(c.graph, c.weights, c.config, {}, {}));
    return Classify(lowered, images, options, progress);
  }
  OCTET_ASSIGN(const S4dSimulation simulation,
               S4dSimulation::Create(c.graph, c.weights, model.quantization->plan,
                                     model.quantization->ranges));
  const auto run = [&](std::span<const float> frames) { return simulation.Run(frames); };
  return Classify(c.graph, run, images, options, progress);
}

Result<IntegerS4d> LowerModel(const S4dModel& model) {
  if (!model.quantization) {
    return InvalidArgument("the model is not quantized; see octet s4d quantize");
  }
  return LowerS4d(model.checkpoint.graph, model.checkpoint.weights, model.quantization->plan,
                  model.quantization->ranges);
}

Result<ClassifyReport> ClassifyIntegers(const S4dModel& model, const LabeledImages& images,
                                        const ClassifyOptions& options, const Progress& progress) {
  OCTET_ASSIGN(const IntegerS4d integers, LowerModel(model));
  const auto run = [&](std::span<const float> frames) { return RunFrames(integers, frames); };
  return Classify(model.checkpoint.graph, run, images, options, progress);
}

Status WriteS4dFolder(const std::string& output, Json config, const S4dQuantization* quantization,
                      const NamedWeights& tensors, const NamedWeights& last) {
  OCTET_ASSIGN(OutputFolder folder, OutputFolder::Create(output));
  if (quantization != nullptr) config.Set("quantization_config", ToJson(*quantization));
  OCTET_TRY(folder.WriteFile("config.json", config.Dump(2) + "\n"));
  OCTET_TRY(WriteSafetensors(folder.PathOf("model.safetensors"), tensors, {{"format", "pt"}}));
  if (!last.empty()) {
    OCTET_TRY(WriteSafetensors(folder.PathOf("last.safetensors"), last, {{"format", "pt"}}));
  }
  return folder.Commit();
}

NamedWeights TensorsOf(const Graph& graph, const WeightMap& weights) {
  std::set<std::string> names;
  for (const Node& n : graph.nodes) {
    names.insert(n.weights.begin(), n.weights.end());
  }
  names.erase("");
  NamedWeights tensors;
  for (const std::string& name : names) {
    const Weight& w = *weights.Find(name);
    tensors.emplace_back(name, MakeWeight(ToF32(w), w.shape));
  }
  return tensors;
}

void SetScale(const PixelScale& scale, Json* config) {
  const auto list = [](const std::vector<float>& values) {
    Json array = Json::MakeArray();
    for (const float v : values) {
      array.Append(static_cast<double>(v));
    }
    return array;
  };
  config->Set("pixel_mean", list(scale.mean));
  config->Set("pixel_std", list(scale.std));
}

}  // namespace octet::cli
