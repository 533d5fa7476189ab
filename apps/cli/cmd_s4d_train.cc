#include <utility>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_training.h"
#include "apps/cli/shared.h"
#include "arch/architecture.h"
#include "io/output_folder.h"
#include "train/s4d_init.h"

namespace octet::cli {
namespace {

constexpr int64_t kClasses = 10;

Json ModelConfig(const S4dTrainCommand& c) {
  Json config = Json::MakeObject();
  config.Set("model_type", "s4d");
  config.Set("d_model", c.d_model);
  config.Set("n_layers", c.layers);
  config.Set("n_modes", c.modes);
  config.Set("discretization", "zoh");
  config.Set("real_transform", "exp");
  config.Set("norm", c.norm);
  config.Set("norm_eps", 1e-5);
  config.Set("gelu", c.gelu);
  config.Set("pixel_mean", Json::Array{c.mean});
  config.Set("pixel_std", Json::Array{c.std});
  return config;
}

}  // namespace

Status Run(const S4dTrainCommand& c) {
  OCTET_TRY(OutputFolder::Create(c.training.output).status());
  OCTET_ASSIGN(const LabeledImages images, LoadTrainingImages(c.training));
  const WeightMap start =
      InitS4d({1, c.d_model, c.layers, c.modes, kClasses, c.norm != "none"}, c.training.seed);
  OCTET_ASSIGN(const Architecture model, BuildArchitecture(ModelConfig(c), start));
  OCTET_ASSIGN(const ParameterLayout layout, ParameterLayout::Of(model.graph, model.weights));
  Json run = ModelConfig(c);
  Describe(c.training, images, &run);
  const PixelScale scale{{static_cast<float>(c.mean)}, {static_cast<float>(c.std)}};
  const TrainingJob job{"s4d.train",
                        c.training.output,
                        ModelConfig(c),
                        std::move(run),
                        {"epochs", "batch", "lr", "seed", "images", "images_sha256"},
                        model.graph,
                        layout,
                        {images, scale, images.count / kValidationShare},
                        OptionsOf(c.training),
                        c.json};
  return RunTraining(job, layout.Gather(model.weights));
}

}  // namespace octet::cli
