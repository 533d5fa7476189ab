#include "apps/cli/options.h"

#include <algorithm>
#include <span>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/cli/option_kinds.h"
#include "apps/cli/options_export.h"
#include "apps/cli/options_report.h"
#include "apps/cli/options_s4d.h"
#include "apps/cli/protocols.h"
#include "apps/cli/suggest.h"
#include "apps/cli/term.h"
#include "base/parallel.h"
#include "base/version.h"
#include "tensor/state_format.h"

namespace octet::cli {
namespace {

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

constexpr const char* kProtocols = R"(
Protocols, each from an empty state per window and to the letter of its source:
  wikitext2-gptq  GPTQ (arXiv:2210.17323), as Quamba evaluates: the rows of the
                  data set joined by two newlines, encoded at once, windows of
                  2048 tokens side by side, the rest dropped
  strided         Hugging Face's guide "Perplexity of fixed-length models": the
                  same rows, windows of 1024 tokens every 512, the last one
                  shorter, all tokens but the first scored once
  document        task wikitext of lm-evaluation-harness 0.4.13: pages between
                  " = Title = " lines, or the documents of a .jsonl, are
                  detokenized and scored by themselves, after the end-of-text
                  token, in rolling windows of 2048; perplexity is per word
                  and per byte of the page as it was
The rows of plain text are its lines, so FILE may be wiki.test.raw.)";

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

// Declares all commands; parsing sets chosen_.
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
    AddS4dCommands(&app_, &chosen_);
    AddExportCommands(&app_, &chosen_);
    AddReportCommand(&app_, &chosen_);
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
    return chosen_;
  }

 private:
  void Quantize() {
    const auto [c, q] =
        AddCommand<QuantizeCommand>(&app_, "quantize", "quantize a float model", &chosen_);
    AddModel(c, "MODEL", "folder of the float model", &q.model);
    c->add_option("--recipe", q.recipe,
                  "how; see \"octet recipes\", or auto: a width for each matrix that keeps "
                  "--budget-mb or --max-kl")
        ->required()
        ->type_name("NAME");
    AddOutputFolder(c, &q.output);
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
    AddAutoLimits(c, &q);
    c->add_option("--save-recipe", q.save_recipe, "write the plan as a recipe file as well")
        ->type_name("FILE.json");
    AddSeed(c, &q.seed);
    c->add_flag("--force", q.force, "write the folder even if the self-check finds it broken");
    c->footer(
        "\nFinished blocks go to DIR.partial, so memory holds one block. Where a run was\n"
        "killed, interrupted or met a full disk, the same command goes on after the last\n"
        "finished block and gives the same bytes; any other starts again. The folder is\n"
        "removed at the end, but stays for --force when the result is broken.");
    AddThreads(c, &q.threads);
  }

  static void AddAutoLimits(CLI::App* c, QuantizeCommand* q) {
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
    const auto [c, s] = AddCommand<SensitivityCommand>(
        &app_, "sensitivity", "what quantizing each part of a model alone costs", &chosen_);
    AddModel(c, "MODEL", "folder of the float model", &s.model);
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
    AddCount(c, "--samples", "pieces of text; 4 times as many others calibrate", &s.samples, 2,
             1 << 20);
    AddCount(c, "--length", "tokens of a piece", &s.length, 2, 1 << 24);
    c->add_option("--output", s.output, "write the JSON object to this file")
        ->type_name("FILE.json");
    c->add_option("--html", s.html, "write a heat map to this file")->type_name("FILE.html");
    AddSeed(c, &s.seed);
    AddThreads(c, &s.threads);
  }

  void Perplexity() {
    CLI::App* group = app_.add_subcommand("evaluate", "measure a model");
    group->require_subcommand(1);
    const auto [c, p] =
        AddCommand<PerplexityCommand>(group, "perplexity", "perplexity of a text", &chosen_);
    AddModel(c, "MODEL", "model folder", &p.model);
    AddWord(c, "--protocol", "what a publication did, see below; default: --window and --stride",
            {std::string(kGptqProtocol.name), std::string(kStridedProtocol.name),
             std::string(kDocumentProtocol.name)},
            &p.protocol);
    AddText(c, &p.text);
    AddChunkSize(c, &p.chunk_size);
    AddThreads(c, &p.threads);
    c->footer(kProtocols);
    c->parse_complete_callback([c = c, protocol = &p.protocol] { CheckProtocol(c, *protocol); });
    Drift(group);
    Tasks(group);
    Context(group);
  }

  // What a protocol says is not for other options to say.
  static void CheckProtocol(const CLI::App* c, const std::string& protocol) {
    if (protocol.empty()) return;
    std::vector<std::string> fixed = {"--window", "--stride"};
    if (protocol == kDocumentProtocol.name) fixed.emplace_back("--max-tokens");
    for (const std::string& option : fixed) {
      if (c->get_option(option)->count() == 0) continue;
      throw CLI::ValidationError(fmt::format(
          "--protocol {} fixes the windows and the text; it goes without {}", protocol, option));
    }
  }

  void Context(CLI::App* group) {
    const auto [c, x] = AddCommand<ContextCommand>(
        group, "context", "perplexity by position in a long text, the state carried", &chosen_);
    AddModel(c, "MODEL", "model folder", &x.model);
    c->add_option("--text", x.text, "plain text, or .jsonl with a \"text\" per line")
        ->required()
        ->type_name("FILE");
    c->add_option("--reference", x.reference,
                  "measure this model beside it, usually the float model")
        ->type_name("MODEL");
    AddCount(c, "--tokens", "tokens to score in a row", &x.tokens, 1, kBenchTokens);
    AddCount(c, "--segments", "stretches of text to score, at most; each is of one document",
             &x.segments, 1, 1 << 20);
    c->add_option("--bucket", x.bucket,
                  "tokens of a row of the table; default: 64, then as many as before them")
        ->check(Between(int64_t{1}, kBenchTokens))
        ->type_name("N");
    c->add_option("--html", x.html, "write a plot to this file")->type_name("FILE.html");
    AddThreads(c, &x.threads);
  }

  void Tasks(CLI::App* group) {
    const auto [c, t] = AddCommand<TasksCommand>(
        group, "tasks", "zero-shot tasks, as lm-evaluation-harness scores them", &chosen_);
    AddModel(c, "MODEL", "model folder, or a .jsonl file that --items wrote", &t.model);
    c->add_option("--data", t.data, "folder with the files of the tasks; see docs/evaluation.md")
        ->type_name("DIR");
    c->add_option("--tasks", t.tasks,
                  "only these of lambada_openai, hellaswag, piqa, arc_easy, arc_challenge, "
                  "winogrande")
        ->delimiter(',')
        ->transform([](std::string name) { return CLI::detail::trim(name); })
        ->allow_extra_args(false)
        ->type_name("NAME,NAME");
    c->add_option("--limit", t.limit, "only the first N items of each task")
        ->check(Between(int64_t{1}, kManyTokens))
        ->type_name("N");
    c->add_option("--items", t.items, "write the results of each item to this file")
        ->type_name("FILE.jsonl");
    c->add_option("--baseline", t.baseline,
                  "a model folder or file of items to compare with, item by item")
        ->type_name("PATH");
    AddThreads(c, &t.threads);
  }

  void Drift(CLI::App* group) {
    const auto [c, d] = AddCommand<DriftCommand>(
        group, "drift", "what a narrow recurrent state costs, by position, when decoding",
        &chosen_);
    AddModel(c, "MODEL", "model folder", &d.model);
    c->add_option("--text", d.text, "text to decode; default: the model writes it")
        ->type_name("FILE");
    c->add_option("--state", d.state,
                  "format to measure; default: the model's. One of " +
                      fmt::format("{}", fmt::join(StateFormatNames(), ", ")) +
                      "; i8s needs a model with its scales")
        ->type_name("FORMAT");
    AddCount(c, "--tokens", "tokens to decode one by one", &d.tokens, 1, kBenchTokens);
    AddThreads(c, &d.threads, "threads; results do not depend on it");
  }

  void Compare() {
    const auto [c, o] = AddCommand<CompareCommand>(
        &app_, "compare", "how far a model departs from another", &chosen_);
    AddModel(c, "REFERENCE", "folder of the reference, usually the float model", &o.reference);
    AddModel(c, "CANDIDATE", "folder of the other, usually a quantized model", &o.candidate);
    AddText(c, &o.text);
    AddChunkSize(c, &o.chunk_size);
    AddThreads(c, &o.threads);
  }

  void Generate() {
    const auto [c, g] = AddCommand<GenerateCommand>(&app_, "generate", "continue a text", &chosen_);
    AddModel(c, "MODEL", "model folder", &g.model);
    c->add_option("--prompt", g.prompt,
                  "text to continue; -: standard input, less one newline at its end")
        ->capture_default_str()
        ->type_name("TEXT");
    AddCount(c, "-n,--tokens", "tokens to write at most", &g.count, 1);
    c->add_option("--temperature", g.temperature, "0: always the most likely token")
        ->capture_default_str()
        ->type_name("T");
    AddCount(c, "--top-k", "sample from the K most likely tokens; 0: all", &g.top_k, 0);
    c->add_option("--top-p", g.top_p, "sample from the most likely tokens of total probability P")
        ->capture_default_str()
        ->type_name("P");
    AddSeed(c, &g.seed);
    AddChunkSize(c, &g.chunk_size);
    AddThreads(c, &g.threads);
  }

  void Inspect() {
    const auto [c, i] = AddCommand<InspectCommand>(
        &app_, "inspect", "what a model folder or a .safetensors file holds", &chosen_);
    AddModel(c, "PATH", "model folder, .safetensors file, or .pth checkpoint of an S4D", &i.path);
    c->add_flag("--graph", i.graph, "print every operation");
  }

  void ListRecipes() {
    const auto [c, r] = AddCommand<RecipesCommand>(
        &app_, "recipes", "list the quantization recipes, or show one", &chosen_);
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
    const auto [c, b] = AddCommand<BenchCommand>(
        &app_, "bench", "measure the speed of models, interleaved", &chosen_);
    c->add_option("MODEL", b.models, "model folders")->required()->type_name("");
    AddList(c, "--prefill", "tokens of the prompt; 0: skip", &b.prefill, int64_t{0}, kBenchTokens)
        ->type_name("N,N");
    AddCount(c, "--decode", "tokens fed one by one; 0: skip", &b.decode, 0, kBenchTokens);
    AddList(c, "--batch", "streams that decode together, a token of each at a time", &b.batch,
            int64_t{2}, int64_t{1024})
        ->type_name("N,N");
    c->add_option("--repeats", b.repeats, "measurements of each")
        ->check(Between(1, 100000))
        ->capture_default_str()
        ->type_name("N");
    AddChunkSize(c, &b.chunk_size);
    c->add_flag("--bf16", b.bf16, "prefill bf16 weights with bf16 products where the CPU has them");
    c->add_flag("--explain", b.explain,
                "print the kernel of every step; with --prefill 0 --decode 0 nothing else");
    c->add_flag("--stages", b.stages,
                "also where the time goes, beside the roofs of this machine, measured in the same "
                "run");
    c->add_option("--roofline", b.roofline, "write a plot of the stages and the roofs to this file")
        ->check(NotEmpty())
        ->type_name("FILE.svg");
    CLI::Option* ssd =
        AddList(
            c, "--ssd",
            "instead, the SSD of a layer alone on prompts of so many tokens, on one thread: its "
            "stages in floats and in codes",
            &b.ssd, int64_t{2}, kBenchTokens)
            ->type_name("N,N");
    c->add_option("--isa", b.isas,
                  "instruction sets, each in turn in every repeat; default: the best, or OCTET_ISA")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NAME,NAME");
    c->add_option("--recipes", b.recipes,
                  "quantize the float MODEL by these into a temporary folder and measure them too")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NAME,NAME");
    b.threads = {AvailableThreads()};
    AddList(c, "--threads", "threads of each model, each in turn", &b.threads, 1, kMaxThreads)
        ->type_name("N,N");
    // CLI11's excludes() would list them all in the help.
    c->parse_complete_callback([c = c, ssd] {
      for (const char* other : {"--prefill", "--decode", "--batch", "--threads", "--bf16",
                                "--explain", "--stages", "--roofline", "--recipes"}) {
        if (*ssd && *c->get_option(other)) throw CLI::ExcludesError("--ssd", other);
      }
    });
  }

  // Numbers from `low` to `high`; what *values holds is the default.
  template <class T>
  static CLI::Option* AddList(CLI::App* c, const char* name, const char* help,
                              std::vector<T>* values, T low, T high) {
    return c->add_option(name, *values, help)
        ->delimiter(',')
        ->check(Between(low, high))
        ->allow_extra_args(false)
        ->capture_default_str();
  }

  void Demo() {
    const auto [c, d] = AddCommand<DemoCommand>(
        &app_, "demo", "quantize a small model four ways and compare", &chosen_);
    c->add_option("MODEL", d.model, "float model folder; default: models/books-mamba2-5m")
        ->type_name("");
    c->add_option("--output", d.output, "keep the quantized models in this new folder")
        ->type_name("DIR");
    AddThreads(c, &d.threads);
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
      const bool takes_value = option->get_items_expected_min() > 0;
      if (takes_value && name == word) ++i;
      if (takes_value && option->get_delimiter() != 0 && i < args.size()) {
        const std::string text = args[i];
        OCTET_TRY(CheckItems(name, name == word ? text : text.substr(name.size() + is_long)));
      }
    }
    return {};
  }

  // CLI11 leaves out what is empty between commas.
  static Status CheckItems(const std::string& flag, const std::string& list) {
    if (("," + list + ",").find(",,") == std::string::npos) return {};
    return InvalidArgument(fmt::format("{}: \"{}\" has an empty item", flag, list));
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
    const auto [c, r] = AddCommand<ReproduceCommand>(
        &app_, "reproduce", "measure every recipe on models and their copies with outliers",
        &chosen_);
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
    AddCount(c, "--bytes", "of each text to evaluate", &r.bytes, 1);
    AddCount(c, "--samples", "pieces of text to calibrate on", &r.samples, 1, 1 << 24);
    AddCount(c, "--length", "tokens of a piece", &r.length, 2, 1 << 24);
    AddCount(c, "--window", "tokens that a fresh state sees", &r.window, 2);
    c->add_option("--output", r.output, "write FILE.md and FILE.json")
        ->capture_default_str()
        ->type_name("FILE");
    AddThreads(c, &r.threads);
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

  CLI::App app_;
  Command chosen_;
};

}  // namespace

Result<Command> ParseCommandLine(int argc, const char* const* argv) {
  return Parser().Parse(argc, argv);
}

}  // namespace octet::cli
