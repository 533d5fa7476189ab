#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/s4d_training.h"
#include "apps/cli/shared.h"
#include "base/sha256.h"
#include "io/output_folder.h"
#include "quant/s4d/recipes.h"
#include "quant/s4d/weights.h"
#include "train/fake_quant.h"

namespace octet::cli {
namespace {

// What is trained: the model as it is or, of its recurrence, A, B and C themselves.
struct Trained {
  Json config;
  Graph graph;
  WeightMap weights;
  std::vector<std::string> frozen;
};

Result<Trained> Parameterise(const S4dQatCommand& c, const FloatCheckpoint& source) {
  Trained t{source.config, source.graph, source.weights, {}};
  if (c.parameters == "continuous") return t;
  OCTET_ASSIGN(S4dWeights discrete, QuantizeS4dWeights(source.graph, source.weights, {}));
  t.graph = std::move(discrete.graph);
  t.weights = std::move(discrete.weights);
  t.config.Set("discretization", "none");
  for (const Node& n : t.graph.nodes) {
    if (n.op == Op::kS4d && c.parameters == "frozen") t.frozen.push_back(n.weights[1]);
  }
  return t;
}

// Everything that determines the result.
Result<Json> Describe(const S4dQatCommand& c, const Trained& t, const ParameterLayout& layout,
                      const S4dQuantization& q, const PixelScale& scale,
                      const LabeledImages& images) {
  Json run = t.config;
  SetScale(scale, &run);
  run.Set("recipe", c.recipe);
  run.Set("quantization", ToJson(q));
  run.Set("parameters", c.parameters);
  run.Set("distill", c.distill);
  run.Set("temperature", c.temperature);
  const std::vector<float> start = layout.Gather(t.weights);
  run.Set("start_sha256", Sha256Hex(std::as_bytes(std::span(start))));
  Describe(c.training, images, &run);
  return run;
}

}  // namespace

Status Run(const S4dQatCommand& c) {
  OCTET_TRY(OutputFolder::Create(c.training.output).status());
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatS4dModel(c.model));
  OCTET_ASSIGN(const S4dPlan plan, LoadS4dRecipe(c.recipe, source.graph));
  if (Status s = CheckTrainable(plan); !s.ok()) return s.Annotate(c.recipe);
  OCTET_ASSIGN(const LabeledImages images, LoadTrainingImages(c.training));
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, {}));
  S4dQuantization quantization{plan, {}};
  OCTET_ASSIGN(quantization.ranges,
               Calibrate(source, images, c.calibrate, scale, c.training.threads));
  OCTET_ASSIGN(Trained t, Parameterise(c, source));
  OCTET_ASSIGN(const ParameterLayout layout, ParameterLayout::Of(t.graph, t.weights));
  TrainingOptions options = OptionsOf(c.training);
  options.frozen = t.frozen;
  options.quantization = &quantization;
  options.teacher_share = c.distill;
  options.temperature = c.temperature;
  TrainingData data{images, scale, images.count / kValidationShare};
  std::vector<float> teacher;
  if (c.distill > 0) {
    ProgressBar bar;
    OCTET_ASSIGN(teacher, TeacherLogits(t.graph, layout, layout.Gather(t.weights), data,
                                        c.training.threads, bar.Callback()));
    data.teacher = teacher;
  }
  OCTET_ASSIGN(Json run, Describe(c, t, layout, quantization, scale, images));
  Json config = t.config;
  SetScale(scale, &config);
  const TrainingJob job{"s4d.qat",
                        c.training.output,
                        std::move(config),
                        std::move(run),
                        {"recipe", "parameters", "epochs", "batch", "lr", "seed", "distill",
                         "temperature", "images", "images_sha256", "start_sha256"},
                        t.graph,
                        layout,
                        data,
                        options,
                        c.json};
  return RunTraining(job, layout.Gather(t.weights));
}

}  // namespace octet::cli
