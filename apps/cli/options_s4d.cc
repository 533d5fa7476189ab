#include "apps/cli/options_s4d.h"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "apps/cli/option_kinds.h"

namespace octet::cli {
namespace {

// Reads a list of numbers, one for each channel.
void AddChannels(CLI::App* c, const char* name, const char* help, std::vector<float>* v) {
  c->add_option(name, *v, help)->delimiter(',')->allow_extra_args(false)->type_name("X,X,X");
}

// What of MNIST a command reads.
constexpr const char* kTrainImages =
    "folder of MNIST's idx files, plain or .gz: train-images-idx3-ubyte.gz and its labels";
constexpr const char* kOneSplit =
    "folder of MNIST's idx files, plain or .gz: t10k-images-idx3-ubyte.gz and its labels or, with "
    "--train, train-images-idx3-ubyte.gz and its";
constexpr const char* kBothSplits =
    "folder of MNIST's four idx files, plain or .gz, such as train-images-idx3-ubyte.gz";

void AddImageSet(CLI::App* c, const char* mnist_help, bool train, ImageFlags* i) {
  CLI::Option* mnist = c->add_option("--mnist", i->mnist, mnist_help)->type_name("DIR");
  CLI::Option* cifar = c->add_option("--cifar10", i->cifar10,
                                     "file of CIFAR-10's binary version, such as test_batch.bin")
                           ->type_name("FILE")
                           ->excludes(mnist);
  if (train) c->add_flag("--train", i->train, "the training split")->needs(mnist)->excludes(cifar);
  AddChannels(c, "--mean",
              "of pixels / 255; default: the model's, else 0 of mnist, CIFAR-10's own of cifar10",
              &i->mean);
  AddChannels(c, "--std",
              "deviation of pixels / 255; default: the model's, else 1, or CIFAR-10's own",
              &i->std);
}

void AddImages(CLI::App* c, bool train, ImageFlags* i) {
  AddImageSet(c, train ? kOneSplit : kBothSplits, train, i);
  AddCount(c, "--limit", "first images only; 0: all", &i->limit, 0);
}

void Evaluate(CLI::App* group, Command* chosen) {
  const auto [c, e] = AddCommand<S4dEvaluateCommand>(
      group, "evaluate", "accuracy on labelled images, pixel by pixel", chosen);
  AddModel(c, "MODEL", "model folder, or a .pth or .pt checkpoint", &e.model);
  AddImages(c, true, &e.images);
  c->add_flag("--integers", e.integers, "a quantized model in integers, as octet export c has it");
  c->add_option("--items", e.items, "write label, prediction and logits of each image to this file")
      ->type_name("FILE.jsonl");
  AddThreads(c, &e.threads);
}

void AddTrainingImages(CLI::App* c, std::string* folder) {
  c->add_option("--mnist", *folder,
                std::string(kTrainImages) + "; the last sixth of the images is for validation")
      ->required()
      ->type_name("DIR");
}

void AddCalibrate(CLI::App* c, int64_t* images) {
  AddCount(c, "--calibrate", "images for static ranges: mnist's first training ones, else the last",
           images, 1, 1 << 24);
}

void AddRecipe(CLI::App* c, std::string* recipe) {
  c->add_option("--recipe", *recipe, "a name of octet s4d recipes, or a .json file")
      ->capture_default_str()
      ->type_name("NAME|FILE");
}

void AddBits(CLI::App* c, std::vector<int64_t>* bits) {
  c->add_option("--bits", *bits, "widths")
      ->delimiter(',')
      ->check(Between<int64_t>(2, 16))
      ->allow_extra_args(false)
      ->capture_default_str()
      ->type_name("N,N");
}

void AddSteps(CLI::App* c, TrainingFlags* t) {
  AddCount(c, "--epochs", "passes over the images", &t->epochs, 1, 100000);
  AddCount(c, "--batch", "images of a step", &t->batch, 1, 1 << 20);
  AddNumber(c, "--lr", "learning rate of Adam at the start; it falls to 0 by a cosine", &t->lr,
            1e-12, 1e12);
  AddCount(c, "--limit", "first images only; 0: all", &t->limit, 0);
  AddSeed(c, &t->seed);
  c->footer(
      "\nWrites config.json, model.safetensors (of the epoch that is best on the images\n"
      "for validation) and last.safetensors. DIR.checkpoint is written after each epoch\n"
      "and every minute; where a run was killed or interrupted, the same command goes\n"
      "on from there and gives the same bytes.");
  AddThreads(c, &t->threads);
}

void Train(CLI::App* group, Command* chosen) {
  const auto [c, t] = AddCommand<S4dTrainCommand>(
      group, "train", "train a classifier of images, pixel by pixel", chosen);
  AddTrainingImages(c, &t.training.mnist);
  AddOutputFolder(c, &t.training.output);
  AddCount(c, "--d-model", "channels", &t.d_model, 1, 4096);
  AddCount(c, "--layers", "S4D layers", &t.layers, 1, 64);
  AddCount(c, "--modes", "complex modes of a channel, half of the papers' d_state", &t.modes, 1,
           4096);
  AddWord(c, "--norm", "LayerNorm before a layer, after it, or none", {"none", "post", "pre"},
          &t.norm);
  AddWord(c, "--gelu", "piecewise: the quadratic form for microcontrollers", {"exact", "piecewise"},
          &t.gelu);
  AddNumber(c, "--mean", "of the pixels / 255", &t.mean, -1e6, 1e6);
  AddNumber(c, "--std", "deviation of the pixels / 255", &t.std, 1e-6, 1e6);
  AddSteps(c, &t.training);
}

void Quantize(CLI::App* group, Command* chosen) {
  const auto [c, q] = AddCommand<S4dQuantizeCommand>(
      group, "quantize", "quantize without training, and measure", chosen);
  AddModel(c, "MODEL", "float model folder, or a .pth or .pt checkpoint", &q.model);
  AddOutputFolder(c, &q.output);
  AddRecipe(c, &q.recipe);
  AddImages(c, false, &q.images);
  AddCalibrate(c, &q.calibrate);
  AddThreads(c, &q.threads);
}

void Allocate(CLI::App* group, Command* chosen) {
  const auto [c, a] = AddCommand<S4dAllocateCommand>(
      group, "allocate", "choose a width for each tensor, and write them as a recipe", chosen);
  AddModel(c, "MODEL", "float model folder, or a .pth or .pt checkpoint", &a.model);
  c->add_option("--output", a.output, "recipe file to write, for quantize and qat")
      ->required()
      ->type_name("FILE.json");
  AddRecipe(c, &a.recipe);
  CLI::Option* budget =
      c->add_option("--budget-kb", a.budget_kb,
                    "what flash and RAM together may take at most, in units of 1,000 bytes")
          ->check(Between(1e-3, 1e9))
          ->type_name("N");
  c->add_option("--max-kl", a.max_kl,
                "the fewest bytes whose mean KL from float is at most that, nats per image")
      ->check(Between(1e-9, 100.0))
      ->type_name("X")
      ->excludes(budget);
  AddWord(
      c, "--accounting",
      "stored: bytes of octet export c, which keeps A, B and C of a mode in 12 bytes and states in "
      "8 or 16 bits; ideal: each value in its own bits, as in arXiv:2506.12480",
      {"stored", "ideal"}, &a.accounting);
  AddImageSet(c, kTrainImages, false, &a.images);
  AddCalibrate(c, &a.calibrate);
  AddCount(c, "--sample", "images of those that KL is measured on", &a.sample, 1, 1 << 24);
  AddBits(c, &a.bits);
  AddThreads(c, &a.threads);
}

void Qat(CLI::App* group, Command* chosen) {
  const auto [c, q] = AddCommand<S4dQatCommand>(
      group, "qat", "quantization-aware training of a model that is trained", chosen);
  AddModel(c, "MODEL", "float model folder, or a .pth or .pt checkpoint", &q.model);
  AddTrainingImages(c, &q.training.mnist);
  AddOutputFolder(c, &q.training.output);
  AddRecipe(c, &q.recipe);
  AddWord(c, "--parameters",
          "what is trained of the layers: poles and steps; discrete A, B, C; or those without A",
          {"continuous", "discrete", "frozen"}, &q.parameters);
  AddNumber(c, "--distill", "share of the float model's answers in the loss", &q.distill, 0, 1);
  AddNumber(c, "--temperature", "of the softmax that is distilled", &q.temperature, 0.01, 1000);
  AddCalibrate(c, &q.calibrate);
  AddSteps(c, &q.training);
}

void Recipes(CLI::App* group, Command* chosen) {
  const auto [c, r] = AddCommand<S4dRecipesCommand>(
      group, "recipes", "list the recipes, or print the plan of one", chosen);
  c->add_option("NAME", r.name, "a name, or a .json file");
  c->add_flag("--schema", r.schema, "JSON Schema of recipe files");
}

void Sensitivity(CLI::App* group, Command* chosen) {
  const auto [c, s] = AddCommand<S4dSensitivityCommand>(
      group, "sensitivity",
      "accuracy when one part alone is quantized: the paper's parts and Octet's", chosen);
  AddModel(c, "MODEL", "float model folder, or a .pth or .pt checkpoint", &s.model);
  AddImages(c, false, &s.images);
  AddCalibrate(c, &s.calibrate);
  AddBits(c, &s.bits);
  c->add_option("--output", s.output, "write the JSON object to this file")->type_name("FILE.json");
  c->add_option("--html", s.html, "write plots to this file")->type_name("FILE.html");
  AddThreads(c, &s.threads);
}

}  // namespace

void AddS4dCommands(CLI::App* app, Command* chosen) {
  CLI::App* group = app->add_subcommand("s4d", "S4D classifiers of sequences (state-spaces/s4)");
  group->require_subcommand(1);
  Evaluate(group, chosen);
  Train(group, chosen);
  Quantize(group, chosen);
  Allocate(group, chosen);
  Qat(group, chosen);
  Sensitivity(group, chosen);
  Recipes(group, chosen);
}

}  // namespace octet::cli
