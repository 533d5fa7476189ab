// What the user asked for: the command line as plain structs. Parsing is in options.cc, the group
// s4d in options_s4d.cc; besides them only option_kinds.h and its .cc include CLI11.
#ifndef OCTET_APPS_CLI_OPTIONS_H_
#define OCTET_APPS_CLI_OPTIONS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace octet::cli {

struct QuantizeCommand {
  std::string model, recipe, output;
  std::string calibration = "self";  // a file, or "self": the float model writes the text
  int64_t samples = 0;               // 0: 512 of a file, 32 of its own
  int64_t length = 512;
  std::vector<std::string> options;  // "key=value"
  double budget_mb = 0;              // recipe auto: of 1,000,000 bytes; 0: not given
  double max_kl = 0;                 // recipe auto; 0: not given
  std::string save_recipe;           // "": do not
  uint64_t seed = 0;
  bool force = false;
  int threads = 1;
  bool json = false;
};

struct SensitivityCommand {
  std::string model, text;
  std::string recipe;  // "": DefaultBaseRecipe
  std::vector<int64_t> bits = {4, 8};
  int64_t samples = 16, length = 256;
  std::string output, html;  // "": do not write
  uint64_t seed = 0;
  int threads = 1;
  bool json = false;
};

// Text and windows of `evaluate perplexity` and `compare`.
struct TextFlags {
  std::string path;
  int64_t window = 2048, stride = 0, max_tokens = 0;  // stride 0: the window
};

struct PerplexityCommand {
  std::string model;
  std::string protocol;  // of apps/cli/protocols.h; "": what `text` says
  TextFlags text;
  int64_t chunk_size = 0;
  int threads = 1;
  bool json = false;
};

struct DriftCommand {
  std::string model;
  std::string text;   // "": the model writes it
  std::string state;  // "": the model's
  int64_t tokens = 4096;
  int threads = 1;
  bool json = false;
};

struct TasksCommand {
  std::string model;               // a folder, or a .jsonl file of items
  std::string data;                // "": none is needed
  std::vector<std::string> tasks;  // empty: all
  int64_t limit = 0;               // items of each task; 0: all
  std::string items;               // "": do not write
  std::string baseline;            // as model; "": none
  int threads = 1;
  bool json = false;
};

struct ContextCommand {
  std::string model, text;
  std::string reference;  // "": none
  int64_t tokens = 16384, segments = 16;
  int64_t bucket = 0;  // 0: growing buckets
  std::string html;    // "": do not write
  int threads = 1;
  bool json = false;
};

struct CompareCommand {
  std::string reference, candidate;
  TextFlags text;
  int64_t chunk_size = 0;
  int threads = 1;
  bool json = false;
};

struct GenerateCommand {
  std::string model;
  std::string prompt = "-";  // "-": standard input
  int64_t count = 128;
  double temperature = 0.8;
  int64_t top_k = 0;
  double top_p = 1.0;
  uint64_t seed = 0;
  int64_t chunk_size = 0;
  int threads = 1;
  bool json = false;
};

struct InspectCommand {
  std::string path;
  bool graph = false;
  bool json = false;
};

struct RecipesCommand {
  std::string recipe;  // "": all; else the plan of this one, a name or a JSON file
  std::string family;  // "mamba", "mamba2", or "": the first of mamba2 and mamba that it is for
  bool schema = false;
  bool json = false;
};

struct BenchCommand {
  std::vector<std::string> models;
  std::vector<std::string> recipes;  // measure these of the float model as well
  std::vector<std::string> isas;     // empty: the one in force
  std::vector<int64_t> prefill = {512};
  int64_t decode = 64;
  std::vector<int64_t> batch;  // streams that decode together
  std::vector<int64_t> ssd;    // not empty: only the SSD, on prompts of so many tokens
  int repeats = 5;
  int64_t chunk_size = 0;
  bool bf16 = false;
  bool explain = false;
  bool stages = false;
  std::string roofline;  // "": do not write
  std::vector<int> threads;
  bool json = false;
};

struct DemoCommand {
  std::string model;   // "": models/books-mamba2-5m of the source tree
  std::string output;  // "": quantized models are removed at the end
  int threads = 1;
  bool json = false;
};

struct ReproduceCommand {
  std::string data;                  // "": OCTET_DATA, or ../shared/data
  std::vector<std::string> models;   // empty: the shipped ones
  std::vector<std::string> recipes;  // empty: all
  int64_t bytes = 200000;            // of each text
  int64_t samples = 64, length = 512;
  int64_t window = 512;
  std::string output = "docs/results/methods";  // .md and .json
  int threads = 1;
  bool json = false;
};

// Labelled images: one of mnist and cifar10.
struct ImageFlags {
  std::string mnist;             // folder of idx files
  std::string cifar10;           // a file of the binary version
  bool train = false;            // mnist: the training split
  std::vector<float> mean, std;  // of the pixels / 255, by channel; empty: those of the set
  int64_t limit = 0;             // 0: all
};

struct S4dEvaluateCommand {
  std::string model;
  ImageFlags images;
  bool integers = false;  // as octet export c makes them
  std::string items;      // "": do not write
  int threads = 1;
  bool json = false;
};

// What both commands that train S4D classifiers are told.
struct TrainingFlags {
  std::string mnist = "";   // folder of idx files
  std::string output = "";  // folder to write
  int64_t epochs = 20, batch = 128;
  double lr = 0.01;
  uint64_t seed = 0;
  int64_t limit = 0;  // first images of the training split; 0: all
  int threads = 1;
};

struct S4dTrainCommand {
  TrainingFlags training;
  int64_t d_model = 64, layers = 1, modes = 32;
  std::string norm = "none", gelu = "exact";  // as in config.json
  double mean = 0.1307, std = 0.3081;         // of the pixels / 255
  bool json = false;
};

struct S4dSensitivityCommand {
  std::string model;
  ImageFlags images;
  int64_t calibrate = 512;
  std::vector<int64_t> bits = {16, 8, 6, 4, 2};
  std::string output, html;  // "": do not write
  int threads = 1;
  bool json = false;
};

struct S4dQuantizeCommand {
  std::string model, output;
  std::string recipe = "w8a8";  // a name, or a .json file
  ImageFlags images;
  int64_t calibrate = 512;
  int threads = 1;
  bool json = false;
};

struct S4dAllocateCommand {
  std::string model, output;          // output: a recipe file
  std::string recipe = "w8a8";        // a name, or a .json file
  ImageFlags images;                  // without limit
  double budget_kb = 0;               // of 1,000 bytes; 0: not given
  double max_kl = 0;                  // 0: not given
  std::string accounting = "stored";  // or ideal
  std::vector<int64_t> bits = {2, 3, 4, 5, 6, 7, 8, 10, 12, 16};
  int64_t calibrate = 512, sample = 256;
  int threads = 1;
  bool json = false;
};

struct S4dQatCommand {
  std::string model;
  TrainingFlags training = {.epochs = 10, .lr = 0.001};
  std::string recipe = "w4a6";        // a name, or a .json file
  std::string parameters = "frozen";  // or discrete, continuous
  int64_t calibrate = 512;
  double distill = 0, temperature = 2;  // share of the teacher; of its softmax
  bool json = false;
};

struct ReportCommand {
  std::vector<std::string> models;
  std::string reference;  // "": the first
  std::string output;
  std::string json;  // "": do not write, "-": standard output
  TextFlags text = {.path = "self", .window = 512, .max_tokens = 16384};
  std::string calibration = "self";   // a file, or "self": the reference writes it
  int64_t samples = 8, length = 256;  // of calibration
  std::vector<std::string> items;     // by model
  std::string recipe;                 // of the sensitivity; "": DefaultBaseRecipe
  std::vector<int> layers;            // empty: the first, the middle, the last
  std::string prompt = "It was a dark night, and the old man";
  int64_t count = 48;  // tokens to continue it with
  int64_t repeats = 5;
  std::vector<std::string> skip;
  uint64_t seed = 0;
  int threads = 1;
};

struct S4dRecipesCommand {
  std::string name;
  bool schema = false;
  bool json = false;
};

struct ExportCCommand {
  std::string model, output;
  std::string name = "s4d";
  int64_t length = 784;
  std::string mnist;     // folder of idx files; "": no accuracy
  bool sample = false;   // its first test image is among the test vectors
  int64_t limit = 1000;  // test images; 0: all
  int threads = 1;
  bool json = false;
};

struct ShowText {
  std::string text;  // --help, --version
};

using Command =
    std::variant<ShowText, QuantizeCommand, PerplexityCommand, DriftCommand, ContextCommand,
                 CompareCommand, GenerateCommand, InspectCommand, RecipesCommand, BenchCommand,
                 DemoCommand, SensitivityCommand, ReproduceCommand, TasksCommand,
                 S4dEvaluateCommand, S4dSensitivityCommand, S4dTrainCommand, S4dQuantizeCommand,
                 S4dAllocateCommand, S4dQatCommand, S4dRecipesCommand, ExportCCommand,
                 ReportCommand>;

// kInvalidArgument, in one sentence, for a command line that makes no sense.
Result<Command> ParseCommandLine(int argc, const char* const* argv);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_OPTIONS_H_
