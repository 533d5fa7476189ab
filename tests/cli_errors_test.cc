// Contracts of the program, on bad input: exit code 2 (1 when the system refuses, 4 when the result
// is bad), exactly one line on standard error that names the file or tensor and the reason, nothing
// on standard output, and no output folder. Of a large run that the system stopped, and of a result
// that was refused, only the finished blocks stay.
#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <limits>

#include <fmt/format.h>

#include "io/safetensors.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

class CliErrorsTest : public CliTest {
 protected:
  // One sentence that mentions all of `parts`.
  void ExpectError(const Outcome& o, int code, const std::vector<std::string>& parts) const {
    EXPECT_EQ(o.exit_code, code) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.rfind("octet: ", 0), 0u) << o.err;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << "not one line: " << o.err;
    for (const std::string& part : parts) {
      EXPECT_NE(o.err.find(part), std::string::npos) << part << " not in: " << o.err;
    }
  }

  // A quantization fails and leaves nothing but what was there before.
  void ExpectQuantizeFails(std::vector<std::string> args, int code,
                           const std::vector<std::string>& parts) const {
    const std::vector<std::string> before = Entries();
    ExpectError(Octet(std::move(args)), code, parts);
    EXPECT_EQ(Entries(), before);
  }

  Outcome Perplexity(const std::string& model, const std::string& text) const {
    return Octet({"evaluate", "perplexity", model, "--text", text, "--window", "32"});
  }

  // A copy of the model in `m`; tests then damage it.
  std::string CopyModel(const std::string& from = kBooks) const {
    std::filesystem::create_directory(folder_ / "m");
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      std::filesystem::copy_file(entry.path(), folder_ / "m" / entry.path().filename());
      std::filesystem::permissions(folder_ / "m" / entry.path().filename(),
                                   std::filesystem::perms::owner_all);
    }
    return PathOf("m");
  }

  // Rewrites the model's weights as fp32, after `edit` has seen each.
  static void EditWeights(
      const std::string& model,
      const std::function<void(const std::string& tensor, std::vector<float>* values)>& edit) {
    const std::string file = model + "/model.safetensors";
    const Result<WeightMap> weights = ReadSafetensors(file);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    std::vector<std::pair<std::string, Weight>> edited;
    for (const auto& [name, w] : weights->all()) {
      std::vector<float> values = ToF32(w);
      edit(name, &values);
      edited.emplace_back(name, MakeWeight(std::move(values), w.shape));
    }
    std::filesystem::remove(file);  // the mapping keeps its bytes
    ASSERT_TRUE(WriteSafetensors(file, edited, {}).ok());
  }

  // CopyModel with one member of config.json replaced.
  std::string ModelWith(const std::string& key, Json value) const {
    std::filesystem::remove_all(folder_ / "m");
    const std::string model = CopyModel();
    Result<Json> config = Json::ParseFile(model + "/config.json", 1 << 20);
    EXPECT_TRUE(config.ok());
    config->Set(key, std::move(value));
    WriteAll(model + "/config.json", config->Dump());
    return model;
  }
};

TEST_F(CliErrorsTest, Usage) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"quantise"},
                                                       {"--no-such-flag"},
                                                       {"quantize"},
                                                       {"quantize", kBooks, "--recipe", "absmax"},
                                                       {"evaluate"},
                                                       {"generate", kBooks, "-n", "many"},
                                                       {"bench"},
                                                       {"bench", kBooks, "--repeats", "0"},
                                                       {"compare", kBooks, "--text", "x"},
                                                       {"inspect", kBooks, "--threads"},
                                                       {"recipes", "absmax", "extra"},
                                                       {"recipes", "absmax", "--schema"},
                                                       {"recipes", "--family", "mamba"}};
  for (const auto& args : wrong) {
    ExpectError(Octet(args), 2, {"--help"});
  }
}

TEST_F(CliErrorsTest, MisspelledCommandsAndFlagsAreNamed) {
  ExpectError(Octet({"quantise", kBooks}), 2, {"command quantise", "mean quantize?"});
  ExpectError(Octet({"recipe"}), 2, {"command recipe;", "mean recipes?"});
  ExpectError(Octet({"evaluate", "ppl"}), 2,
              {"command ppl", "perplexity, drift, tasks, context", "octet evaluate"});
  ExpectError(Octet({"quantize", kBooks, "--recipie", "absmax"}), 2,
              {"option --recipie", "mean --recipe?", "octet quantize --help"});
  const Outcome promt = Octet({"generate", kBooks, "--promt", "x"});
  ExpectError(promt, 2, {"option --promt;", "mean --prompt?"});
  EXPECT_EQ(promt.err.find("x "), std::string::npos) << promt.err;
  ExpectError(Octet({"-x"}), 2, {"option -x"});
  ExpectError(Octet({"generate", kBooks, "--seed", "-1"}), 2, {"--seed", "negative"});
  // Values may look like flags and commands.
  ExpectError(Octet({"inspect", "quantise"}), 2, {"quantise: there is no such"});
  EXPECT_EQ(Octet({"generate", kBooks, "--prompt", "--promt", "-n1"}).exit_code, 0);
}

TEST_F(CliErrorsTest, QuickstartRefusesUnknownOptionsBeforeItBuilds) {
  for (const char* wrong : {"--bogus", "-x"}) {
    const Outcome o = Execute({"./quickstart", "--no-install", "--threads", "1", wrong});
    EXPECT_EQ(o.exit_code, 2);
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err,
              fmt::format("quickstart: unknown option {}; see: ./quickstart --help\n", wrong));
  }
}

TEST_F(CliErrorsTest, UnknownRecipeAndOption) {
  ExpectQuantizeFails(QuickQuantize(kBooks, "magic", PathOf("q")), 2,
                      {"magic", "absmax", "ssdi8-w8a8"});
  ExpectQuantizeFails(QuickQuantize(kBooks, "two\nlines\033[1m", PathOf("q")), 2,
                      {"two?lines?[1m"});
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
  args.insert(args.end(), {"--option", "colour=blue"});
  ExpectQuantizeFails(args, 2, {"absmax", "colour", "state"});
  args.back() = "state=f8";
  ExpectQuantizeFails(args, 2, {"state", "f8", "f16"});
  args.back() = "state";
  ExpectQuantizeFails(args, 2, {"state", "KEY=VALUE"});
  args.back() = "state=f16";
  args.insert(args.end(), {"--option", "state=f32"});
  ExpectQuantizeFails(args, 2, {"state=f32", "twice"});
}

// Of a model that is not there: nothing of it can have been looked at before.
TEST_F(CliErrorsTest, OptionValuesAreRefusedFirst) {
  const auto refused = [&](const char* recipe, const char* option, const std::string& part) {
    std::vector<std::string> args = QuickQuantize(PathOf("none"), recipe, PathOf("q"));
    args.insert(args.end(), {"--option", option});
    ExpectQuantizeFails(args, 2, {std::string("octet: recipe ") + recipe + ": " + part});
  };
  refused("ssdi8-plus-w8a8", "mean_correction=1.5", "mean_correction is");
  refused("ssdi8-plus-w8a8", "mean_correction=nan", "mean_correction is");
  refused("ssdi8-plus-w4a8", "group=33", "group must be");
}

TEST_F(CliErrorsTest, TextThatIsEmptyShortOrMissing) {
  WriteAll(folder_ / "empty.txt", "\n \n");
  WriteAll(folder_ / "short.txt", "It was a dark night.");
  WriteAll(folder_ / "bad.jsonl", "{\"text\": 5}\n");
  ExpectError(Perplexity(kBooks, PathOf("empty.txt")), 2, {"empty.txt", "no text"});
  ExpectError(Perplexity(kBooks, PathOf("short.txt")), 2, {"short.txt", "shorter", "32"});
  ExpectError(Perplexity(kBooks, PathOf("missing.txt")), 2, {"missing.txt"});
  ExpectError(Perplexity(kBooks, PathOf("bad.jsonl")), 2,
              {"bad.jsonl: line 1: member \"text\" is not"});
  WriteAll(folder_ / "bad.jsonl", "\"fine\"\n{\"n\": 5}\n");
  ExpectError(Perplexity(kBooks, PathOf("bad.jsonl")), 2,
              {"bad.jsonl: line 2: there is no member \"text\""});
  WriteAll(folder_ / "bad.jsonl", "\"fine\"\n{\"text\": \n");
  ExpectError(Perplexity(kBooks, PathOf("bad.jsonl")), 2, {"bad.jsonl: line 2, column "});
  ExpectError(Octet({"compare", kBooks, kBooks, "--text", PathOf("short.txt")}), 2,
              {"short.txt", "shorter", "2048", "--window"});
  ExpectError(Octet({"evaluate", "perplexity", kBooks, "--text", PathOf("short.txt"), "--window",
                     "8", "--stride", "9"}),
              2, {"stride", "8"});
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
  args.insert(args.end(), {"--calibration", PathOf("empty.txt")});
  ExpectQuantizeFails(args, 2, {"empty.txt", "no text"});
  WriteAll(folder_ / "tiny.txt", "");
  args.back() = PathOf("tiny.txt");
  for (const char* contents : {"I", "I I I"}) {  // 1 and 3 tokens
    WriteAll(folder_ / "tiny.txt", contents);
    ExpectQuantizeFails(args, 2, {"tiny.txt", "tokens"});
  }
}

TEST_F(CliErrorsTest, TextThatIsNotUtf8) {
  WriteAll(folder_ / "latin1.txt", "It was caf\xe9.\n");
  WriteAll(folder_ / "cut.jsonl", "\"It was caf\xc3");
  ExpectError(Perplexity(kBooks, PathOf("latin1.txt")), 2, {"latin1.txt: byte 10 is not UTF-8"});
  ExpectError(Perplexity(kBooks, PathOf("cut.jsonl")), 2, {"cut.jsonl: byte 11 is not UTF-8"});
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
  args.insert(args.end(), {"--calibration", PathOf("latin1.txt")});
  ExpectQuantizeFails(args, 2, {"latin1.txt: byte 10"});
  ExpectError(Octet({"generate", kBooks}, "a\xff"), 2, {"standard input: byte 1 "});
  ExpectError(Octet({"generate", kBooks, "--prompt", "\xff"}), 2, {"--prompt: byte 0 "});
}

TEST_F(CliErrorsTest, EmptyPromptAndBadSampling) {
  ExpectError(Octet({"generate", kBooks, "--prompt", ""}), 2, {"prompt"});
  ExpectError(Octet({"generate", kBooks}), 2, {"prompt"});
  ExpectError(Octet({"generate", kBooks}, "\n"), 2, {"prompt"});
  ExpectError(Octet({"generate", kBooks, "--prompt", "x", "--temperature", "-1"}), 2,
              {"temperature"});
  ExpectError(Octet({"generate", kBooks, "--prompt", "x", "--top-p", "2"}), 2, {"top-p"});
}

TEST_F(CliErrorsTest, FoldersThatAreNotModels) {
  const std::string text = WriteText(5);
  const std::string missing = PathOf("missing");
  ExpectError(Perplexity(missing, text), 2, {missing});
  ExpectError(Octet({"generate", missing, "--prompt", "x"}), 2, {missing});
  ExpectError(Octet({"bench", missing}), 2, {missing});
  ExpectError(Octet({"inspect", missing}), 2, {missing});
  ExpectError(Octet({"demo", missing}), 2, {missing});
  ExpectError(Octet({"compare", kBooks, missing, "--text", text}), 2, {missing});
  ExpectQuantizeFails(QuickQuantize(missing, "absmax", PathOf("q")), 2, {missing});
  ExpectQuantizeFails(QuickQuantize("README.md", "absmax", PathOf("q")), 2,
                      {"README.md", "not a folder"});
  ExpectError(Octet({"inspect", "README.md"}), 2, {"README.md", "not a safetensors file"});
  ExpectError(Octet({"bench", kBooks, "--prefill", "0", "--decode", "0"}), 2, {"both 0"});
  std::filesystem::create_directory(folder_ / "empty");
  ExpectError(Perplexity(PathOf("empty"), text), 2, {"empty", "config.json"});
  std::filesystem::copy_file(std::string(kBooks) + "/config.json", folder_ / "empty/config.json");
  ExpectError(Perplexity(PathOf("empty"), text), 2, {"empty", "model.safetensors"});
}

TEST_F(CliErrorsTest, FolderWithoutTokenizer) {
  const std::string model = CopyModel();
  std::filesystem::remove(model + "/tokenizer.json");
  ExpectError(Perplexity(model, WriteText(5)), 2, {model, "tokenizer.json"});
  ExpectError(Octet({"generate", model, "--prompt", "x"}), 2, {model, "tokenizer.json"});
  // Text that the model writes needs no tokenizer.
  const Outcome o = Octet(QuickQuantize(model, "absmax", PathOf("q")));
  EXPECT_EQ(o.exit_code, 0) << o.err;
}

TEST_F(CliErrorsTest, TokenizerThatDoesNotFitTheVocabulary) {
  const std::string model = CopyModel("tests/golden/mamba2_g1");
  std::filesystem::copy_file(std::string(kBooks) + "/tokenizer.json", model + "/tokenizer.json");
  ExpectError(Perplexity(model, WriteText(5)), 2, {model, "tokenizer", "4096"});
  WriteAll(model + "/tokenizer.json", "{\"model\": 3}");
  ExpectError(Perplexity(model, WriteText(5)), 2, {"tokenizer.json"});
}

TEST_F(CliErrorsTest, ComparedModelsNeedTheSameTokenizer) {
  const std::string model = CopyModel();
  Result<Json> tokenizer = Json::ParseFile(model + "/tokenizer.json", 1 << 24);
  ASSERT_TRUE(tokenizer.ok());
  Json rules = *tokenizer->Find("model");
  rules.Set("merges", Json::MakeArray());
  tokenizer->Set("model", rules);
  WriteAll(model + "/tokenizer.json", tokenizer->Dump());
  ExpectError(Octet({"compare", kBooks, model, "--text", WriteText(10), "--window", "32"}), 2,
              {model, "tokenizers"});
}

TEST_F(CliErrorsTest, TruncatedWeights) {
  const std::string model = CopyModel(), file = model + "/model.safetensors";
  const auto size = std::filesystem::file_size(file);
  for (const auto keep : {size - 1, size / 2, uintmax_t{100}, uintmax_t{5}, uintmax_t{0}}) {
    std::filesystem::resize_file(file, keep);
    if (keep > 5) ExpectError(Octet({"inspect", model}), 2, {"truncated"});
    ExpectError(Octet({"inspect", model}), 2, {"model.safetensors"});
    ExpectQuantizeFails(QuickQuantize(model, "absmax", PathOf("q")), 2, {"model.safetensors"});
  }
}

TEST_F(CliErrorsTest, ConfigsOfNonsense) {
  const std::string text = WriteText(5);
  const std::pair<const char*, Json> nonsense[] = {{"hidden_size", "big"},
                                                   {"num_heads", -5},
                                                   {"num_heads", int64_t{1000000000000000000}},
                                                   {"state_size", 1.5},
                                                   {"n_groups", 0},
                                                   {"num_hidden_layers", Json::MakeArray()},
                                                   {"conv_kernel", true},
                                                   {"layer_norm_epsilon", "small"},
                                                   {"time_step_limit", "none"},
                                                   {"tie_word_embeddings", 7},
                                                   {"model_type", "llama"},
                                                   {"model_type", 3}};
  for (const auto& [key, value] : nonsense) {
    const std::string model = ModelWith(key, value);
    ExpectError(Perplexity(model, text), 2, {model, key});
  }
  ExpectError(Perplexity(ModelWith("state_size", 64), text), 2, {"state size 64 and 1 groups"});
  const std::string model = ModelWith("eos_token_id", 99999999);
  std::filesystem::remove(model + "/generation_config.json");  // whose eos_token_id wins
  ExpectError(Perplexity(model, text), 2, {model, "eos_token_id"});
  for (const char* contents : {"", "[]", "{\"model_type\": ", "\xff"}) {
    WriteAll(model + "/config.json", contents);
    ExpectError(Perplexity(model, text), 2, {"config.json"});
  }
}

TEST_F(CliErrorsTest, WeightsThatAreNotFinite) {
  const std::string name = "backbone.layers.3.mixer.out_proj.weight";
  const std::string model = CopyModel();
  EditWeights(model, [&](const std::string& tensor, std::vector<float>* values) {
    if (tensor == name) (*values)[1234] = std::numeric_limits<float>::quiet_NaN();
  });
  ExpectQuantizeFails(QuickQuantize(model, "absmax", PathOf("q")), 2, {model, name});
  ExpectError(Perplexity(model, WriteText(5)), 2, {model, name});
}

TEST_F(CliErrorsTest, DriftOfNothing) {
  const auto drift = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "drift", kBooks});
    return Octet(more);
  };
  ExpectError(drift({"--tokens", "2"}), 2, {kBooks, "f32", "no drift"});
  ExpectError(drift({"--state", "i4"}), 2, {"i4", "f32, f16"});
  ExpectError(drift({"--state", "i8s", "--tokens", "2"}), 2, {"i8s", "static scales"});
  ExpectError(drift({"--state", "i8", "--tokens", "0"}), 2, {"--tokens"});
  const std::string text = WriteText(2);
  ExpectError(drift({"--state", "i8", "--text", text}), 2, {text, "4096"});
  ExpectError(drift({"--state", "i8", "--text", PathOf("none")}), 2, {"none"});
}

TEST_F(CliErrorsTest, ChunkSizeOtherThanTheCalibratedOne) {
  const std::string q = PathOf("q"), text = WriteText(10);
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "ssdi8-w8a8", q)).exit_code, 0);
  const std::vector<std::vector<std::string>> commands = {
      {"evaluate", "perplexity", q, "--text", text, "--window", "32"},
      {"compare", kBooks, q, "--text", text, "--window", "32"},
      {"generate", q, "--prompt", "x", "-n", "2"},
      {"bench", q, "--prefill", "8", "--decode", "2", "--repeats", "1"}};
  for (std::vector<std::string> args : commands) {
    args.insert(args.end(), {"--chunk-size", "64"});
    ExpectError(Octet(args), 2, {q, "256", "64"});
    args.back() = "256";
    EXPECT_EQ(Octet(args).exit_code, 0) << args[0];
  }
  EXPECT_EQ(Octet({"evaluate", "perplexity", kBooks, "--text", text, "--window", "32",
                   "--chunk-size", "64"})
                .exit_code,
            0)
      << "a float model runs with any";
}

TEST_F(CliErrorsTest, QuantizedModelsAreNotQuantizedAgain) {
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "absmax", PathOf("q"))).exit_code, 0);
  ExpectQuantizeFails(QuickQuantize(PathOf("q"), "absmax", PathOf("r")), 2,
                      {PathOf("q"), "already"});
}

// What a file says is printed, but cannot do anything to a terminal, however deep it lies.
TEST_F(CliErrorsTest, InspectShowsUntrustedOptionsOnly) {
  const std::string q = PathOf("q");
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "absmax", q)).exit_code, 0);
  Result<Json> config = Json::ParseFile(q + "/config.json", 1 << 20);
  ASSERT_TRUE(config.ok());
  Json options = "deep";
  for (int i = 0; i < 20; ++i) {
    Json outer = Json::MakeObject();
    outer.Set(fmt::format("level{}", i), std::move(options));
    options = std::move(outer);
  }
  options.Set("na\033[31mme\n", "va\rlue\x7f");
  options.Set("c1",
              "\xc2\x9b"
              "31m \xc2\x80 \xc2\xa0\xc3\xa9 \xe2\x82\xac");
  Json quantization = *config->Find("quantization_config");
  quantization.Set("options", std::move(options));
  quantization.Set("recipe", "\033]0;title\007");
  quantization.Set("version", "\b\b");
  config->Set("quantization_config", std::move(quantization));
  WriteAll(q + "/config.json", config->Dump());

  const Outcome o = Octet({"inspect", q});
  ASSERT_EQ(o.exit_code, 0) << o.err;
  for (const char* part : {"level0", "deep", "level19", "na?[31mme?", "va?lue?", "?]0;title?",
                           "?31m ? \xc2\xa0\xc3\xa9 \xe2\x82\xac"}) {
    EXPECT_NE(o.out.find(part), std::string::npos) << part << " not in\n" << o.out;
  }
  for (const char c : o.out) {
    const auto byte = static_cast<unsigned char>(c);
    EXPECT_TRUE((byte >= 0x20 && byte != 0x7f) || c == '\n') << int{byte};
  }
  // The same for messages, which also replace what is no UTF-8.
  ExpectError(Octet({"inspect", "no\xc2\x9bsuch\x9b\033"}), 2, {"no?such\xef\xbf\xbd?:"});
}

TEST_F(CliErrorsTest, OutputFoldersThatExist) {
  std::filesystem::create_directory(folder_ / "q");
  WriteAll(folder_ / "q/precious", "data");
  ExpectQuantizeFails(QuickQuantize(kBooks, "absmax", PathOf("q")), 2, {PathOf("q"), "not empty"});
  EXPECT_EQ(ReadAll(folder_ / "q/precious"), "data");
  ExpectQuantizeFails(QuickQuantize(kBooks, "absmax", PathOf("q/precious")), 2, {"precious"});
  ExpectError(Octet({"demo", "--output", PathOf("q")}), 2, {PathOf("q")});
  ExpectQuantizeFails(QuickQuantize(kBooks, "absmax", PathOf("no/such/parent")), 2,
                      {PathOf("no/such/parent") + ":", PathOf("no/such") + " does not exist"});
}

TEST_F(CliErrorsTest, InterruptedWorkLeavesNothing) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto kept = folder_ / "kept";
    const Outcome o = Execute({Program(), "demo", "--output", kept}, "", [&](pid_t program) {
      EXPECT_TRUE(WaitUntil(program, [&] { return std::filesystem::exists(kept); }));
      kill(program, signal);
    });
    EXPECT_EQ(o.exit_code, 128 + signal);
    const char* word = signal == SIGINT ? "octet: interrupted\n" : "octet: terminated\n";
    EXPECT_NE(o.err.find(word), o.err.npos) << o.err;
    EXPECT_EQ(Entries(), std::vector<std::string>{});
  }
}

TEST_F(CliErrorsTest, InterruptedQuantizeLeavesNothingUnfinished) {
  // Enough work that it still runs when a busy machine lets the test act.
  const std::vector<std::string> args = {
      Program(),   "quantize",      kBooks,          "--recipe",  "absmax", "--output",
      PathOf("q"), "--calibration", WriteText(2000), "--samples", "32",     "--length",
      "512"};
  const std::vector<std::string> before = Entries();
  const Outcome o = Execute(args, "", [&](pid_t program) {
    const auto started = [&] { return std::filesystem::exists(folder_ / "q.partial"); };
    EXPECT_TRUE(WaitUntil(program, started));
    kill(program, SIGINT);
  });
  EXPECT_EQ(o.exit_code, 128 + SIGINT);
  // On a busy machine a block may be finished before the signal comes; then it counts.
  if (!std::filesystem::exists(folder_ / "q.partial/progress.json")) {
    EXPECT_EQ(Entries(), before);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
}

TEST_F(CliErrorsTest, ABrokenResultIsNotWritten) {
  // One channel after each norm is 10000 times as large, and what reads it compensates: the same
  // function in floats, but a scale for the whole tensor rounds all other channels to zero.
  const std::string model = CopyModel();
  EditWeights(model, [](const std::string& tensor, std::vector<float>* values) {
    if (tensor.find("layers.") == tensor.npos) return;
    if (tensor.ends_with(".mixer.in_proj.weight")) {
      for (size_t i = 3; i < values->size(); i += 256) {
        (*values)[i] /= 10000;
      }
    } else if (tensor.ends_with(".norm.weight") && !tensor.ends_with(".mixer.norm.weight")) {
      (*values)[3] *= 10000;
    }
  });
  const std::vector<std::string> before = Entries();
  std::vector<std::string> args = QuickQuantize(model, "absmax", PathOf("q"));
  const Outcome o = Octet(args);
  EXPECT_EQ(o.exit_code, 4) << o.err;
  EXPECT_NE(o.err.find("broken"), std::string::npos) << o.err;
  EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
  EXPECT_NE(o.err.find("q.partial"), std::string::npos) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
  EXPECT_EQ(Octet(args).exit_code, 4) << "again";
  EXPECT_TRUE(std::filesystem::exists(folder_ / "q.partial"));
  args.emplace_back("--force");
  const Outcome forced = Octet(args);
  EXPECT_EQ(forced.exit_code, 0);
  EXPECT_NE(forced.err.find("going on after block 8 of 8"), std::string::npos) << forced.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "q/model.safetensors"));
  EXPECT_EQ(Entries().size(), before.size() + 1);
  const Outcome marked = Octet({"inspect", PathOf("q")});
  EXPECT_NE(marked.err.find("found this model broken"), std::string::npos) << marked.err;
}

TEST_F(CliErrorsTest, FileSizeLimit) {
  std::string command = "ulimit -f 2000 && exec \"$0\"";  // blocks of 512 bytes
  std::vector<std::string> args = {"/bin/sh", "-c", "", Program()};
  for (const std::string& a : QuickQuantize(kBooks, "absmax", PathOf("q"))) {
    command += fmt::format(" '{}'", a);
  }
  args[2] = command;
  const std::vector<std::string> before = Entries();
  ExpectError(Execute(args), 1, {"large", "the same command goes on from", "q.partial"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
  const Outcome o = Octet(QuickQuantize(kBooks, "absmax", PathOf("q")));
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_NE(o.err.find("going on after block"), std::string::npos) << o.err;
  EXPECT_EQ(Entries().size(), before.size() + 1);
}

TEST_F(CliErrorsTest, FullDisk) {
  std::filesystem::create_directory(folder_ / "disk");
  const std::string disk = PathOf("disk");
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "a small file system needs root: " << std::strerror(errno);
  }
  const Outcome o = Octet(QuickQuantize(kBooks, "absmax", disk + "/q"));
  const bool written = std::filesystem::exists(disk + "/q");
  umount(disk.c_str());
  ExpectError(o, 1, {"space", "the same command goes on from", "q.partial"});
  EXPECT_FALSE(written);
}

TEST_F(CliErrorsTest, ResultsReplaceOrdinaryFilesOnly) {
  const std::string fifo = PathOf("fifo"), link = PathOf("link.json");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::filesystem::create_symlink(PathOf("target.json"), link);
  for (const std::string& there : {fifo, link, folder_.string()}) {
    std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
    args.insert(args.end(), {"--save-recipe", there});
    ExpectError(Octet(args), 2, {there, "no ordinary file"});
  }
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
}

TEST_F(CliErrorsTest, NumbersAreNumbers) {
  for (const char* bad : {"nan", "inf", "-1", "0", "x"}) {
    std::vector<std::string> args = QuickQuantize(kBooks, "auto", PathOf("q"));
    args.insert(args.end(), {"--budget-mb", bad});
    ExpectError(Octet(args), 2, {"--budget-mb", bad});
  }
}

TEST_F(CliErrorsTest, AStandardErrorThatCannotBeWrittenStopsNothing) {
  EXPECT_NE(Octet(QuickQuantize(kBooks, "absmax", PathOf("q"))).err, "") << "nothing to write";
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("r"));
  args.insert(args.begin(), {"/bin/sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full", Program()});
  EXPECT_EQ(Execute(args).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "r/model.safetensors"));
}

TEST_F(CliErrorsTest, AReaderThatWentAwayEndsTheProgramSilently) {
  const Outcome o = Execute(
      {"/bin/bash", "-c", "exec 3> >(exit 0); wait $!; exec \"$0\" recipes >&3", Program()});
  EXPECT_EQ(o.exit_code, 128 + SIGPIPE);
  EXPECT_EQ(o.err, "");
}

TEST_F(CliErrorsTest, InstructionSets) {
  setenv("OCTET_ISA", "sse9", 1);
  const Outcome o = Octet({"recipes"});
  unsetenv("OCTET_ISA");
  ExpectError(o, 2, {"OCTET_ISA", "sse9", "ref"});
}

}  // namespace
}  // namespace octet
