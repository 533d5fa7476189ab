#include <fmt/format.h>

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

// Everything that determines the result.
Json Describe(const S4dTrainCommand& c, const LabeledImages& images) {
  Json run = ModelConfig(c);
  run.Set("epochs", c.epochs);
  run.Set("batch", c.batch);
  run.Set("lr", c.lr);
  run.Set("seed", fmt::format("{}", c.seed));
  DescribeImages(images, &run);
  return run;
}

}  // namespace

Status Run(const S4dTrainCommand& c) {
  OCTET_TRY(OutputFolder::Create(c.output).status());
  OCTET_ASSIGN(const LabeledImages images, LoadTrainingImages(c.mnist, c.limit));
  const WeightMap start =
      InitS4d({1, c.d_model, c.layers, c.modes, kClasses, c.norm != "none"}, c.seed);
  OCTET_ASSIGN(const Architecture model, BuildArchitecture(ModelConfig(c), start));
  OCTET_ASSIGN(const ParameterLayout layout, ParameterLayout::Of(model.graph, model.weights));
  TrainingOptions options;
  options.epochs = c.epochs;
  options.batch = c.batch;
  options.lr = c.lr;
  options.seed = c.seed;
  options.threads = c.threads;
  const PixelScale scale{{static_cast<float>(c.mean)}, {static_cast<float>(c.std)}};
  const TrainingJob job{"s4d.train",
                        c.output,
                        ModelConfig(c),
                        Describe(c, images),
                        {"epochs", "batch", "lr", "seed", "images", "images_sha256"},
                        model.graph,
                        layout,
                        {images, scale, images.count / kValidationShare},
                        options,
                        c.json};
  return RunTraining(job, layout.Gather(model.weights));
}

}  // namespace octet::cli
