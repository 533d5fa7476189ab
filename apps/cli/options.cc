#include "apps/cli/options.h"

#include <algorithm>
#include <limits>
#include <span>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/cli/suggest.h"
#include "apps/cli/term.h"
#include "base/parallel.h"
#include "base/version.h"
#include "tensor/state_format.h"

namespace octet::cli {
namespace {

constexpr int64_t kManyTokens = int64_t{1} << 30;
constexpr int64_t kBenchTokens = int64_t{1} << 22;
constexpr size_t kHelpColumns = 80;

constexpr const char* kExamples = R"(
Examples:
  octet demo
  octet quantize mamba2-130m --recipe ssdi8-plus-w8a8 --output mamba2-130m-w8a8
  octet quantize mamba2-130m --recipe auto --budget-mb 120 --output mamba2-auto
  octet compare mamba2-130m mamba2-130m-w8a8 --text wiki.test.raw
  octet generate mamba2-130m-w8a8 --prompt "Once upon a time" -n 64
  octet bench mamba2-130m mamba2-130m-w8a8 --threads 2

A MODEL is a folder as downloaded from Hugging Face (config.json,
model.safetensors or pytorch_model.bin, tokenizer.json) or one that
"octet quantize" wrote.

Results go to standard output, progress and warnings to standard error; --json
prints one object. Exit codes: 0 success, 1 failure of the system, 2 bad input
or usage, 4 a result of bad quality. Environment: OCTET_ISA=ref|avx2|...
restricts the instruction set, NO_COLOR switches colour off.)";

// Descriptions in lines that fit a terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_desc(const CLI::Option* o) const override {
    return Wrap(o->get_description(), kHelpColumns - get_column_width());
  }
  std::string make_subcommand(const CLI::App* c) const override {
    std::ostringstream out;
    CLI::detail::format_help(out, c->get_name(),
                             Wrap(c->get_description(), kHelpColumns - get_column_width()),
                             get_column_width());
    return out.str();
  }
};

// Declares the options of all commands; the values land in the members.
class Parser {
 public:
  Parser() : app_("Quantizes Mamba language models to 8 and 4 bits and runs them on CPUs.") {
    app_.name("octet");
    app_.formatter(std::make_shared<HelpFormatter>());  // subcommands inherit it
    app_.set_version_flag("--version", fmt::format("octet {}", kVersion), "print the version");
    app_.require_subcommand(1);
    app_.set_help_flag("-h,--help", "print this text");
    Quantize();
    MeasureSensitivity();
    Perplexity();
    Compare();
    Generate();
    Inspect();
    ListRecipes();
    Bench();
    Demo();
    Reproduce();
    S4d();
    app_.footer(kExamples);  // last: subcommands would inherit it
  }

  Result<Command> Parse(int argc, const char* const* argv) {
    OCTET_TRY(CheckWords({argv + 1, argv + std::max(argc, 1)}));
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      return Command(ShowText{app_.help()});
    } catch (const CLI::CallForVersion& e) {
      return Command(ShowText{std::string(e.what()) + "\n"});
    } catch (const CLI::ParseError& e) {
      return InvalidArgument(fmt::format("{}; see: {} --help", e.what(), NameOf(Innermost())));
    }
    return Chosen();
  }

 private:
  CLI::App* AddCommand(const char* name, const char* help, bool* json) {
    CLI::App* c = app_.add_subcommand(name, help);
    c->add_flag("--json", *json, "print one JSON object");
    return c;
  }

  // A range whose limits do not clutter the help.
  template <class T>
  static CLI::Validator Between(T low, T high) {
    const auto check = [low, high](const std::string& text) {
      T value{};
      const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
      return inside ? std::string() : fmt::format("{} is not between {} and {}", text, low, high);
    };
    return CLI::Validator(check, "");
  }

  static void Model(CLI::App* c, const char* name, const char* help, std::string* value) {
    c->add_option(name, *value, help)->required()->type_name("");
  }

  // Computes with one thread per core unless told otherwise.
  static void Threads(CLI::App* c, int* threads) {
    *threads = AvailableThreads();
    AddThreads(c, threads,
               "threads; default: the cores that it may use; results do not depend on it");
  }

  static void AddThreads(CLI::App* c, int* threads, const char* help) {
    c->add_option("--threads", *threads, help)
        ->check(Between(1, 1024))
        ->capture_default_str()
        ->type_name("N");
  }

  static void ChunkSize(CLI::App* c, int64_t* chunk_size) {
    c->add_option("--chunk-size", *chunk_size,
                  "tokens per chunk of the SSD; default: the model's. A model with scales that "
                  "were calibrated for one size runs with no other")
        ->check(Between(int64_t{1}, int64_t{65536}))
        ->type_name("N");
  }

  static void Count(CLI::App* c, const char* name, const char* help, int64_t* value, int64_t low,
                    int64_t high = kManyTokens) {
    c->add_option(name, *value, help)
        ->check(Between(low, high))
        ->capture_default_str()
        ->type_name("N");
  }

  static void Seed(CLI::App* c, uint64_t* seed) {
    // CLI11 would wrap -1 around.
    const auto not_negative = [](const std::string& text) {
      return std::string(text.starts_with('-') ? "must not be negative" : "");
    };
    c->add_option("--seed", *seed, "seed of random numbers")
        ->check(not_negative)
        ->capture_default_str()
        ->type_name("N");
  }

  static void Text(CLI::App* c, TextFlags* t) {
    c->add_option("--text", t->path, "plain text, or .jsonl with a \"text\" per line")
        ->required()
        ->type_name("FILE");
    Count(c, "--window", "tokens that a fresh state sees; what is left at the end is not scored",
          &t->window, 2);
    c->add_option("--stride", t->stride, "tokens from one window to the next; default: the window")
        ->check(Between(int64_t{1}, kManyTokens))
        ->type_name("N");
    c->add_option("--max-tokens", t->max_tokens, "use only the first tokens of the text")
        ->check(Between(int64_t{1}, kManyTokens))
        ->type_name("N");
  }

  void Quantize() {
    QuantizeCommand& q = quantize_;
    CLI::App* c = AddCommand("quantize", "quantize a float model", &q.json);
    Model(c, "MODEL", "folder of the float model", &q.model);
    c->add_option("--recipe", q.recipe,
                  "how; see \"octet recipes\", or auto: a width for each matrix that keeps "
                  "--budget-mb or --max-kl")
        ->required()
        ->type_name("NAME");
    c->add_option("--output", q.output, "folder to write; must not exist or be empty")
        ->required()
        ->type_name("DIR");
    c->add_option("--calibration", q.calibration,
                  "text to calibrate on (plain or .jsonl), or self: the model writes it")
        ->capture_default_str()
        ->type_name("FILE");
    c->add_option("--samples", q.samples, "pieces of text; default: 512 of a file, 32 of its own")
        ->check(Between(1, 1 << 24))
        ->type_name("N");
    c->add_option("--length", q.length, "tokens of a piece")
        ->check(Between(2, 1 << 24))
        ->capture_default_str()
        ->type_name("T");
    c->add_option("--option", q.options, "option of the recipe, repeatable")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    AutoLimits(c, &q);
    c->add_option("--save-recipe", q.save_recipe, "write the plan as a recipe file as well")
        ->type_name("FILE.json");
    Seed(c, &q.seed);
    c->add_flag("--force", q.force, "write the folder even if the self-check finds it broken");
    c->footer(
        "\nFinished blocks go to DIR.partial, so memory holds one block. Where a run was\n"
        "killed, interrupted or met a full disk, the same command goes on after the last\n"
        "finished block and gives the same bytes; any other starts again. The folder is\n"
        "removed at the end, but stays for --force when the result is broken.");
    Threads(c, &q.threads);
  }

  static void AutoLimits(CLI::App* c, QuantizeCommand* q) {
    CLI::Option* budget =
        c->add_option("--budget-mb", q->budget_mb,
                      "recipe auto: what the weights may take at most, in units of 1,000,000 bytes")
            ->check(Between(1e-6, 1e9))
            ->type_name("N");
    c->add_option("--max-kl", q->max_kl,
                  "recipe auto: the smallest model whose mean KL from float is at most that")
        ->check(Between(1e-9, 100.0))
        ->type_name("X")
        ->excludes(budget);
  }

  void MeasureSensitivity() {
    SensitivityCommand& s = sensitivity_;
    CLI::App* c =
        AddCommand("sensitivity", "what quantizing each part of a model alone costs", &s.json);
    Model(c, "MODEL", "folder of the float model", &s.model);
    c->add_option("--text", s.text, "text to measure on (plain or .jsonl), or self")
        ->required()
        ->type_name("FILE");
    c->add_option("--recipe", s.recipe,
                  "whose rotation and sites; default: ssdi8-plus-w8a8, of a Mamba-1 quamba")
        ->type_name("NAME");
    c->add_option("--bits", s.bits, "widths of matrices")
        ->delimiter(',')
        ->check(CLI::IsMember({4, 8}).description(""))
        ->allow_extra_args(false)
        ->capture_default_str()
        ->type_name("4,8");
    Count(c, "--samples", "pieces of text; 4 times as many others calibrate", &s.samples, 2,
          1 << 20);
    Count(c, "--length", "tokens of a piece", &s.length, 2, 1 << 24);
    c->add_option("--output", s.output, "write the JSON object to this file")
        ->type_name("FILE.json");
    c->add_option("--html", s.html, "write a heat map to this file")->type_name("FILE.html");
    Seed(c, &s.seed);
    Threads(c, &s.threads);
  }

  void Perplexity() {
    CLI::App* group = app_.add_subcommand("evaluate", "measure a model");
    group->require_subcommand(1);
    PerplexityCommand& p = perplexity_;
    CLI::App* c = group->add_subcommand("perplexity", "perplexity of a text");
    c->add_flag("--json", p.json, "print one JSON object");
    Model(c, "MODEL", "model folder", &p.model);
    Text(c, &p.text);
    ChunkSize(c, &p.chunk_size);
    Threads(c, &p.threads);
    Drift(group);
  }

  void Drift(CLI::App* group) {
    DriftCommand& d = drift_;
    CLI::App* c = group->add_subcommand(
        "drift", "what a narrow recurrent state costs, by position, when decoding");
    c->add_flag("--json", d.json, "print one JSON object");
    Model(c, "MODEL", "model folder", &d.model);
    c->add_option("--text", d.text, "text to decode; default: the model writes it")
        ->type_name("FILE");
    c->add_option("--state", d.state,
                  "format to measure; default: the model's. One of " +
                      fmt::format("{}", fmt::join(StateFormatNames(), ", ")) +
                      "; i8s needs a model with its scales")
        ->type_name("FORMAT");
    Count(c, "--tokens", "tokens to decode one by one", &d.tokens, 1, kBenchTokens);
    AddThreads(c, &d.threads, "threads; results do not depend on it");
  }

  void Compare() {
    CompareCommand& o = compare_;
    CLI::App* c = AddCommand("compare", "how far a model departs from another", &o.json);
    Model(c, "REFERENCE", "folder of the reference, usually the float model", &o.reference);
    Model(c, "CANDIDATE", "folder of the other, usually a quantized model", &o.candidate);
    Text(c, &o.text);
    ChunkSize(c, &o.chunk_size);
    Threads(c, &o.threads);
  }

  void Generate() {
    GenerateCommand& g = generate_;
    CLI::App* c = AddCommand("generate", "continue a text", &g.json);
    Model(c, "MODEL", "model folder", &g.model);
    c->add_option("--prompt", g.prompt,
                  "text to continue; -: standard input, less one newline at its end")
        ->capture_default_str()
        ->type_name("TEXT");
    Count(c, "-n,--tokens", "tokens to write at most", &g.count, 1);
    c->add_option("--temperature", g.temperature, "0: always the most likely token")
        ->capture_default_str()
        ->type_name("T");
    Count(c, "--top-k", "sample from the K most likely tokens; 0: all", &g.top_k, 0);
    c->add_option("--top-p", g.top_p, "sample from the most likely tokens of total probability P")
        ->capture_default_str()
        ->type_name("P");
    Seed(c, &g.seed);
    ChunkSize(c, &g.chunk_size);
    Threads(c, &g.threads);
  }

  void Inspect() {
    InspectCommand& i = inspect_;
    CLI::App* c =
        AddCommand("inspect", "what a model folder or a .safetensors file holds", &i.json);
    Model(c, "PATH", "model folder, .safetensors file, or .pth checkpoint of an S4D", &i.path);
    c->add_flag("--graph", i.graph, "print every operation");
  }

  void ListRecipes() {
    RecipesCommand& r = recipes_;
    CLI::App* c = AddCommand("recipes", "list the quantization recipes, or show one", &r.json);
    CLI::Option* recipe =
        c->add_option("RECIPE", r.recipe, "a name, or a JSON recipe file: prints its plan as JSON")
            ->type_name("");
    c->add_option("--family", r.family, "mamba or mamba2: the models that the plan is for")
        ->check(CLI::IsMember({"mamba", "mamba2"}))
        ->type_name("NAME")
        ->needs(recipe);
    c->add_flag("--schema", r.schema, "print the JSON schema of recipe files")->excludes(recipe);
  }

  void Bench() {
    BenchCommand& b = bench_;
    CLI::App* c = AddCommand("bench", "measure the speed of models, interleaved", &b.json);
    c->add_option("MODEL", b.models, "model folders")->required()->type_name("");
    Count(c, "--prefill", "tokens of the prompt; 0: skip", &b.prefill, 0, kBenchTokens);
    Count(c, "--decode", "tokens fed one by one; 0: skip", &b.decode, 0, kBenchTokens);
    c->add_option("--repeats", b.repeats, "measurements of each")
        ->check(Between(1, 100000))
        ->capture_default_str()
        ->type_name("N");
    ChunkSize(c, &b.chunk_size);
    c->add_flag("--bf16", b.bf16, "prefill bf16 weights with bf16 products where the CPU has them");
    c->add_flag("--explain", b.explain, "print the kernel of every step");
    AddThreads(c, &b.threads, "threads of each model");
  }

  void Demo() {
    DemoCommand& d = demo_;
    CLI::App* c = AddCommand("demo", "quantize a small model four ways and compare", &d.json);
    c->add_option("MODEL", d.model, "float model folder; default: models/books-mamba2-5m")
        ->type_name("");
    c->add_option("--output", d.output, "keep the quantized models in this new folder")
        ->type_name("DIR");
    Threads(c, &d.threads);
  }

  // A misspelled command or flag by its name; what CLI11 says of one depends on what follows it.
  Status CheckWords(std::span<const char* const> args) {
    const CLI::App* c = &app_;
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string word = args[i];
      const bool flag = word.starts_with('-') && word != "-";
      if (word == "--") return {};
      const std::vector<const CLI::App*> commands = c->get_subcommands({});
      if (!flag && !commands.empty()) {
        const auto named = [&](const CLI::App* s) { return s->get_name() == word; };
        const auto chosen = std::ranges::find_if(commands, named);
        if (chosen == commands.end()) return UnknownCommand(*c, word);
        c = *chosen;
        continue;
      }
      if (!flag) continue;
      // "--top-k=3" and "-n3" hold their values.
      const bool is_long = word.starts_with("--");
      const std::string name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
      const CLI::Option* option = c->get_option_no_throw(name);
      if (option == nullptr) return UnknownFlag(*c, name);
      if (option->get_items_expected_min() > 0 && name == word) ++i;
    }
    return {};
  }

  static Status UnknownCommand(const CLI::App& c, const std::string& word) {
    std::vector<std::string> known;
    for (const CLI::App* s : c.get_subcommands({})) {
      known.push_back(s->get_name());
    }
    const std::string closest = Closest(word, known);
    const std::string help = closest.empty()
                                 ? fmt::format("the commands are {};", fmt::join(known, ", "))
                                 : fmt::format("did you mean {}?", closest);
    return InvalidArgument(
        fmt::format("unknown command {}; {} See {} --help", word, help, NameOf(&c)));
  }

  static Status UnknownFlag(const CLI::App& c, const std::string& name) {
    std::vector<std::string> known;
    for (const CLI::Option* o : c.get_options()) {
      for (const std::string& l : o->get_lnames()) {
        known.push_back("--" + l);
      }
    }
    const std::string closest = Closest(name, known);
    const std::string help = closest.empty() ? "" : fmt::format(" did you mean {}?", closest);
    return InvalidArgument(
        fmt::format("unknown option {};{} See {} --help", name, help, NameOf(&c)));
  }

  void Reproduce() {
    ReproduceCommand& r = reproduce_;
    CLI::App* c = AddCommand(
        "reproduce", "measure every recipe on models and their copies with outliers", &r.json);
    c->add_option("--data", r.data,
                  "folder with books/calibration.txt, books/valid.txt, wikitext2/wiki.test.raw; "
                  "default: OCTET_DATA, or ../shared/data")
        ->type_name("DIR");
    c->add_option("--models", r.models, "float model folders; default: the shipped ones")
        ->type_name("DIR");
    c->add_option("--recipes", r.recipes, "only these, and their variants")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NAME,NAME");
    Count(c, "--bytes", "of each text to evaluate", &r.bytes, 1);
    Count(c, "--samples", "pieces of text to calibrate on", &r.samples, 1, 1 << 24);
    Count(c, "--length", "tokens of a piece", &r.length, 2, 1 << 24);
    Count(c, "--window", "tokens that a fresh state sees", &r.window, 2);
    c->add_option("--output", r.output, "write FILE.md and FILE.json")
        ->capture_default_str()
        ->type_name("FILE");
    Threads(c, &r.threads);
  }

  // Reads a list of numbers, one for each channel.
  static void Channels(CLI::App* c, const char* name, const char* help, std::vector<float>* v) {
    c->add_option(name, *v, help)->delimiter(',')->allow_extra_args(false)->type_name("X,X,X");
  }

  static void Images(CLI::App* c, bool train, ImageFlags* i) {
    CLI::Option* mnist = c->add_option("--mnist", i->mnist,
                                       "folder of idx files, plain or .gz, such as "
                                       "t10k-images-idx3-ubyte.gz")
                             ->type_name("DIR");
    CLI::Option* cifar = c->add_option("--cifar10", i->cifar10,
                                       "file of CIFAR-10's binary version, such as test_batch.bin")
                             ->type_name("FILE")
                             ->excludes(mnist);
    if (train)
      c->add_flag("--train", i->train, "the training split")->needs(mnist)->excludes(cifar);
    Channels(c, "--mean",
             "of pixels / 255; default: the model's, else 0 of mnist, CIFAR-10's own of cifar10",
             &i->mean);
    Channels(c, "--std",
             "deviation of pixels / 255; default: the model's, else 1, or CIFAR-10's own", &i->std);
    Count(c, "--limit", "first images only; 0: all", &i->limit, 0);
  }

  void S4d() {
    CLI::App* group = app_.add_subcommand("s4d", "S4D classifiers of sequences (state-spaces/s4)");
    group->require_subcommand(1);
    S4dEvaluateCommand& e = s4d_evaluate_;
    CLI::App* c = group->add_subcommand("evaluate", "accuracy on labelled images, pixel by pixel");
    c->add_flag("--json", e.json, "print one JSON object");
    Model(c, "MODEL", "model folder, or a .pth or .pt checkpoint", &e.model);
    Images(c, true, &e.images);
    Threads(c, &e.threads);
    S4dTrain(group);
    S4dSensitivity(group);
  }

  void S4dSensitivity(CLI::App* group) {
    S4dSensitivityCommand& s = s4d_sensitivity_;
    CLI::App* c = group->add_subcommand(
        "sensitivity", "accuracy when one part alone is quantized: the paper's parts and Octet's");
    c->add_flag("--json", s.json, "print one JSON object");
    Model(c, "MODEL", "float model folder, or a .pth or .pt checkpoint", &s.model);
    Images(c, false, &s.images);
    Count(c, "--calibrate", "images for static ranges: mnist's first training ones, else the last",
          &s.calibrate, 1, 1 << 24);
    c->add_option("--bits", s.bits, "widths")
        ->delimiter(',')
        ->check(Between<int64_t>(2, 16))
        ->allow_extra_args(false)
        ->capture_default_str()
        ->type_name("N,N");
    c->add_option("--output", s.output, "write the JSON object to this file")
        ->type_name("FILE.json");
    c->add_option("--html", s.html, "write plots to this file")->type_name("FILE.html");
    Threads(c, &s.threads);
  }

  void S4dTrain(CLI::App* group) {
    S4dTrainCommand& t = s4d_train_;
    CLI::App* c = group->add_subcommand("train", "train a classifier of images, pixel by pixel");
    c->add_flag("--json", t.json, "print one JSON object");
    c->add_option("--mnist", t.mnist,
                  "folder of idx files, plain or .gz, such as train-images-idx3-ubyte.gz; the last "
                  "sixth of the images is for validation")
        ->required()
        ->type_name("DIR");
    c->add_option("--output", t.output, "folder to write; must not exist or be empty")
        ->required()
        ->type_name("DIR");
    Count(c, "--d-model", "channels", &t.d_model, 1, 4096);
    Count(c, "--layers", "S4D layers", &t.layers, 1, 64);
    Count(c, "--modes", "complex modes of a channel, half of the papers' d_state", &t.modes, 1,
          4096);
    Word(c, "--norm", "LayerNorm before a layer, after it, or none", {"none", "post", "pre"},
         &t.norm);
    Word(c, "--gelu", "piecewise: the quadratic form for microcontrollers", {"exact", "piecewise"},
         &t.gelu);
    Number(c, "--mean", "of the pixels / 255", &t.mean, -1e6, 1e6);
    Number(c, "--std", "deviation of the pixels / 255", &t.std, 1e-6, 1e6);
    Count(c, "--epochs", "passes over the images", &t.epochs, 1, 100000);
    Count(c, "--batch", "images of a step", &t.batch, 1, 1 << 20);
    Number(c, "--lr", "learning rate of Adam at the start; it falls to 0 by a cosine", &t.lr, 1e-12,
           1e12);
    Count(c, "--limit", "first images only; 0: all", &t.limit, 0);
    Seed(c, &t.seed);
    c->footer(
        "\nWrites config.json, model.safetensors (of the epoch that is best on the images\n"
        "for validation) and last.safetensors. DIR.checkpoint is written after each epoch\n"
        "and every minute; where a run was killed or interrupted, the same command goes\n"
        "on from there and gives the same bytes.");
    Threads(c, &t.threads);
  }

  static void Word(CLI::App* c, const char* name, const char* help,
                   const std::vector<std::string>& words, std::string* value) {
    c->add_option(name, *value, help)
        ->check(CLI::IsMember(words).description(""))
        ->capture_default_str()
        ->type_name(fmt::format("{}", fmt::join(words, "|")));
  }

  static void Number(CLI::App* c, const char* name, const char* help, double* value, double low,
                     double high) {
    c->add_option(name, *value, help)
        ->check(Between(low, high))
        ->capture_default_str()
        ->type_name("X");
  }

  // The subcommand that the arguments reached.
  CLI::App* Innermost() {
    CLI::App* c = &app_;
    while (!c->get_subcommands().empty()) {
      c = c->get_subcommands().front();
    }
    return c;
  }

  static std::string NameOf(const CLI::App* c) {
    return c->get_parent() == nullptr ? c->get_name()
                                      : NameOf(c->get_parent()) + " " + c->get_name();
  }

  Result<Command> Chosen() {
    const std::string name = Innermost()->get_name();
    const bool s4d = Innermost()->get_parent()->get_name() == "s4d";
    if (s4d && name == "evaluate") return Command(s4d_evaluate_);
    if (s4d && name == "train") return Command(s4d_train_);
    if (s4d) return Command(s4d_sensitivity_);
    if (name == "quantize") return Command(quantize_);
    if (name == "perplexity") return Command(perplexity_);
    if (name == "drift") return Command(drift_);
    if (name == "compare") return Command(compare_);
    if (name == "generate") return Command(generate_);
    if (name == "inspect") return Command(inspect_);
    if (name == "recipes") return Command(recipes_);
    if (name == "bench") return Command(bench_);
    if (name == "sensitivity") return Command(sensitivity_);
    if (name == "reproduce") return Command(reproduce_);
    return Command(demo_);
  }

  CLI::App app_;
  QuantizeCommand quantize_;
  PerplexityCommand perplexity_;
  DriftCommand drift_;
  CompareCommand compare_;
  GenerateCommand generate_;
  InspectCommand inspect_;
  RecipesCommand recipes_;
  BenchCommand bench_;
  DemoCommand demo_;
  SensitivityCommand sensitivity_;
  ReproduceCommand reproduce_;
  S4dEvaluateCommand s4d_evaluate_;
  S4dTrainCommand s4d_train_;
  S4dSensitivityCommand s4d_sensitivity_;
};

}  // namespace

Result<Command> ParseCommandLine(int argc, const char* const* argv) {
  return Parser().Parse(argc, argv);
}

}  // namespace octet::cli
