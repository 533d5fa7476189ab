// Contracts of the program, on valid input:
// 1. Every command exits 0 and prints its result to standard output; --json is one object with the
//    promised members and "schema".
// 2. quantize writes a folder that loads, that compare finds close to the original, and that is the
//    same to the byte for any number of threads.
// 3. generate continues prompts from arguments and standard input; the same seed, the same text.
// 4. --help and --version succeed; results of a closed or full standard output are errors.
#include <gtest/gtest.h>

#include <cmath>

#include <fmt/format.h>

#include "tests/cli_output.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

TEST_F(CliTest, HelpAndVersion) {
  const Outcome version = Octet({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.substr(0, 6), "octet ");
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"--help"}, {"evaluate", "perplexity", "--help"}, {"quantize", "-h"}}) {
    const Outcome help = Octet(args);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find("Usage: octet"), std::string::npos) << help.out;
    EXPECT_EQ(help.err, "");
  }
  EXPECT_NE(Octet({"--help"}).out.find("Examples:"), std::string::npos);
}

TEST_F(CliTest, RecipesListsOptionsWithDefaults) {
  const Json json = OctetJson({"recipes"});
  EXPECT_EQ(Text(json, "schema"), "octet.recipes/1");
  bool found = false;
  for (const Json& recipe : json.Find("recipes")->AsArray()) {
    if (Text(recipe, "name") != "ssdi8-w4a8") continue;
    found = true;
    EXPECT_FALSE(recipe.Find("options")->AsArray().empty());
    for (const Json& option : recipe.Find("options")->AsArray()) {
      EXPECT_NE(option.Find("default"), nullptr);
      EXPECT_NE(Text(option, "help"), "");
    }
  }
  EXPECT_TRUE(found);
  EXPECT_NE(Octet({"recipes"}).out.find("--option state=f32"), std::string::npos);
}

TEST_F(CliTest, QuantizedFolderIsSmallerAndClose) {
  const std::string output = PathOf("q");
  Json json = OctetJson(QuickQuantize(kBooks, "absmax", output));
  EXPECT_EQ(Text(json, "schema"), "octet.quantize/1");
  EXPECT_EQ(Text(json, "recipe"), "absmax");
  EXPECT_LT(Number(json, "bytes_after"), 0.7 * Number(json, "bytes_before"));
  EXPECT_EQ(Number(*json.Find("self_check"), "simulated_mismatches"), 0);
  EXPECT_EQ(Number(*json.Find("calibration"), "tokens"), 96);
  const Result<Json> config = Json::ParseFile(output + "/config.json", 1 << 20);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(Number(*config, "hidden_size"), 256) << "keys of the original stay";
  EXPECT_EQ(Text(*config->Find("quantization_config"), "quant_method"), "octet");
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_EQ(ReadAll(output + "/" + file), ReadAll(std::string(kBooks) + "/" + file)) << file;
  }

  json = OctetJson({"compare", kBooks, output, "--text", WriteText(30), "--window", "64"});
  EXPECT_EQ(Text(json, "schema"), "octet.compare/1");
  EXPECT_GT(Number(json, "kl_mean"), 0);
  EXPECT_LT(Number(json, "kl_mean"), 0.2);
  EXPECT_GE(Number(json, "kl_p99"), Number(json, "kl_mean"));
  EXPECT_GT(Number(json, "top1_agreement"), 0.7);
  EXPECT_NEAR(Number(json, "perplexity_ratio"), 1, 0.2);
  ASSERT_EQ(json.Find("perplexity_ratio_ci95")->AsArray().size(), 2u);

  json = OctetJson({"inspect", output});
  EXPECT_EQ(Text(json, "schema"), "octet.inspect/1");
  EXPECT_EQ(Text(*json.Find("quantization"), "recipe"), "absmax");
  EXPECT_GT(Number(*json.Find("bytes_by_class"), "scales"), 0);
}

TEST_F(CliTest, QuantizeDoesNotDependOnThreads) {
  for (const char* threads : {"1", "3"}) {
    std::vector<std::string> args = QuickQuantize(kBooks, "ssdi8-w8a8", PathOf(threads));
    args.insert(args.end(), {"--threads", threads});
    const Outcome o = Octet(args);
    ASSERT_EQ(o.exit_code, 0) << o.err;
  }
  for (const char* file : {"model.safetensors", "config.json"}) {
    EXPECT_TRUE(ReadAll(PathOf("1") + "/" + file) == ReadAll(PathOf("3") + "/" + file)) << file;
  }
}

TEST_F(CliTest, ConfigSaysWhetherTheHeadIsTied) {
  for (const char* recipe : {"absmax", "ssdi8-w8a8"}) {
    const std::string output = PathOf(recipe);
    ASSERT_EQ(Octet(QuickQuantize(kBooks, recipe, output)).exit_code, 0);
    const Result<Json> config = Json::ParseFile(output + "/config.json", 1 << 20);
    ASSERT_TRUE(config.ok());
    const bool own_head =
        ReadAll(output + "/model.safetensors").find("\"lm_head.weight\"") != std::string::npos;
    EXPECT_EQ(config->Find("tie_word_embeddings")->AsBool(), !own_head) << recipe;
    EXPECT_EQ(own_head, recipe == std::string("ssdi8-w8a8")) << "one of each, or nothing is seen";
  }
}

TEST_F(CliTest, QuantizeTakesCalibrationTextAndOptions) {
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
  args.insert(args.end(), {"--calibration", WriteText(20), "--option", "state=i8"});
  const Json json = OctetJson(args);
  EXPECT_EQ(Text(*json.Find("calibration"), "name"), "text.txt");
  EXPECT_EQ(Text(*json.Find("calibration"), "sha256").size(), 64u);
  EXPECT_EQ(Text(*json.Find("options"), "state"), "i8");
  const Json before = OctetJson({"inspect", kBooks}), after = OctetJson({"inspect", PathOf("q")});
  EXPECT_LT(Number(after, "state_bytes_per_stream"),
            0.5 * Number(before, "state_bytes_per_stream"));
}

TEST_F(CliTest, AFolderMadeWithNamesThatAreNotUtf8Loads) {
  const std::string text = PathOf("caf\xe9.txt");
  std::filesystem::rename(WriteText(20), text);
  std::vector<std::string> args = QuickQuantize(kBooks, "absmax", PathOf("q"));
  args.insert(args.end(), {"--calibration", text});
  EXPECT_EQ(Octet(args).exit_code, 0);
  const Outcome o = Octet({"inspect", PathOf("q"), "--json"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
}

TEST_F(CliTest, QuantizeWarnsOfTooLittleText) {
  Outcome o = Octet(QuickQuantize(kBooks, "absmax", PathOf("few")));
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_NE(o.err.find("calibrated on only 96 tokens"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("checked on only 48 tokens"), std::string::npos) << o.err;
  std::vector<std::string> enough = {"quantize",  kBooks,      "--recipe", "absmax",   "--output",
                                     PathOf("q"), "--samples", "8",        "--length", "64"};
  EXPECT_EQ(Octet(enough).err, "");
}

TEST_F(CliTest, QuantizeWarnsOfOptionsWithoutEffect) {
  std::vector<std::string> args = QuickQuantize(kBooks, "quamba-se", PathOf("q"));
  args.insert(args.end(), {"--option", "generation=head", "--option", "codec=uint8"});
  const Outcome o = Octet(args);
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_NE(o.err.find("option generation=head changes nothing"), std::string::npos) << o.err;
  EXPECT_EQ(o.err.find("option codec"), std::string::npos) << o.err;
}

TEST_F(CliTest, QuantizeTellsTheAlphaThatItChose) {
  std::vector<std::string> args = QuickQuantize("models/books-mamba-5m", "quamba", PathOf("q"));
  args.insert(args.end(), {"--calibration", WriteText(20), "--option", "alpha=auto"});
  const double alpha = Number(OctetJson(args), "alpha");
  EXPECT_GE(alpha, 0.999);
  EXPECT_LE(alpha, 1);
}

TEST_F(CliTest, RecipesShowsThePlanOfEitherFamily) {
  const Outcome mamba2 = Octet({"recipes", "quamba-se"});
  const Outcome mamba = Octet({"recipes", "quamba-se", "--family", "mamba"});
  EXPECT_EQ(mamba2.out, Octet({"recipes", "quamba-se", "--family", "mamba2"}).out);
  EXPECT_EQ(mamba.out.find("xBC_in"), std::string::npos);
  EXPECT_NE(mamba2.out.find("xBC_in"), std::string::npos);
  EXPECT_EQ(Octet({"recipes", "ssdi8-w8a8", "--family", "mamba"}).exit_code, 2);
}

TEST_F(CliTest, ARecipeWithoutCalibrationGetsNoText) {
  std::vector<std::string> args = QuickQuantize(kBooks, "w8a8-dynamic", PathOf("q"));
  args[6 + 1] = "1000000";  // would take hours
  const Json json = OctetJson(args);
  EXPECT_TRUE(json.Find("calibration")->is_null());
  EXPECT_EQ(Number(*json.Find("self_check"), "tokens"), 48);
  ASSERT_EQ(json.Find("warnings")->AsArray().size(), 1u) << "of the check alone";
}

TEST_F(CliTest, TokensThatFillNoWindowAreCounted) {
  const std::string text = WriteText(20);
  std::vector<std::string> args = {"evaluate", "perplexity", kBooks, "--text", text, "--window"};
  args.emplace_back("64");
  const Json json = OctetJson(args);
  const double dropped = Number(json, "dropped_tokens");
  EXPECT_GT(dropped, 0);
  EXPECT_LT(dropped, 64);
  args.back() = fmt::format("{}", static_cast<int64_t>(64 * Number(json, "windows") + dropped));
  EXPECT_EQ(Number(OctetJson(args), "dropped_tokens"), 0) << "one window of all tokens";
  EXPECT_EQ(Octet(args).out.find("not scored"), std::string::npos);
  args = {"compare", kBooks, kBooks, "--text", text, "--window", "64"};
  EXPECT_EQ(Number(OctetJson(args), "dropped_tokens"), dropped);
  EXPECT_NE(Octet(args).out.find("at the end fill no window"), std::string::npos);
}

TEST_F(CliTest, TextFitsATerminal) {
  const std::vector<std::string> commands[] = {{},
                                               {"quantize"},
                                               {"evaluate"},
                                               {"evaluate", "perplexity"},
                                               {"evaluate", "drift"},
                                               {"evaluate", "context"},
                                               {"compare"},
                                               {"generate"},
                                               {"inspect"},
                                               {"recipes"},
                                               {"bench"},
                                               {"demo"}};
  for (std::vector<std::string> args : commands) {
    args.emplace_back("--help");
    ExpectNarrow(Octet(args).out);
  }
  ExpectNarrow(Octet({"recipes"}).out);
  ExpectNarrow(Octet({"bench", kBooks, "--prefill", "8", "--decode", "1", "--explain"}).out);
}

TEST_F(CliTest, PerplexityOfEnglishIsPlausible) {
  const Json json =
      OctetJson({"evaluate", "perplexity", kBooks, "--text", WriteText(20), "--window", "64",
                 "--stride", "32", "--max-tokens", "128", "--threads", "2"});
  EXPECT_EQ(Text(json, "schema"), "octet.evaluate.perplexity/1");
  EXPECT_EQ(Number(json, "tokens"), 63 + 32 + 32);
  EXPECT_GT(Number(json, "perplexity"), 1);
  EXPECT_LT(Number(json, "perplexity"), 100) << "the text repeats itself";
  EXPECT_GT(Number(json, "bits_per_byte"), 0);
  EXPECT_NEAR(std::log(Number(json, "perplexity")), Number(json, "nll_per_token"), 1e-9);
}

TEST_F(CliTest, DriftOfANarrowState) {
  const std::string q = PathOf("q");
  std::vector<std::string> quantize = QuickQuantize(kBooks, "ssdi8-plus-w8a8", q);
  quantize.insert(quantize.end(), {"--option", "state=i8s"});
  ASSERT_EQ(Octet(quantize).exit_code, 0);
  EXPECT_EQ(Text(OctetJson({"inspect", q}), "state"), "i8s");
  EXPECT_EQ(Text(OctetJson({"inspect", kBooks}), "state"), "f32");
  const std::string text = WriteText(5);
  const auto drift = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "drift", q, "--tokens", "20"});
    return OctetJson(more);
  };
  const Json json = drift({"--text", text});
  EXPECT_EQ(Text(json, "schema"), "octet.evaluate.drift/1");
  EXPECT_EQ(Text(json, "state"), "i8s");
  EXPECT_LT(Number(json, "state_bytes_per_stream"),
            Number(json, "fp32_state_bytes_per_stream") / 2);
  const Json::Array& buckets = json.Find("buckets")->AsArray();
  ASSERT_EQ(buckets.size(), 6u);
  EXPECT_EQ(Number(buckets.back(), "last"), 20);
  EXPECT_GT(Number(buckets.back(), "kl_mean"), 0);
  EXPECT_LT(Number(buckets.back(), "state_error"), 1) << "96 tokens calibrate badly";
  // Formats named on the command line, of a float model, where nothing else rounds.
  const auto error = [&](const char* state) {
    const Json other = OctetJson(
        {"evaluate", "drift", kBooks, "--state", state, "--text", text, "--tokens", "20"});
    EXPECT_EQ(Text(other, "state"), state);
    return Number(other.Find("buckets")->AsArray().back(), "state_error");
  };
  EXPECT_LT(error("i8+ef"), error("i8") / 8);
  const Outcome table = Octet({"evaluate", "drift", kBooks, "--state", "i16", "--tokens", "3"});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("state i16 against f32"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("2 to 2"), std::string::npos) << table.out;
}

TEST_F(CliTest, GenerateContinuesThePrompt) {
  const std::string prompt = "It was a dark night, and";
  const std::vector<std::string> args = {"generate", kBooks, "-n", "12", "--seed", "5"};
  std::vector<std::string> with_prompt = args;
  with_prompt.insert(with_prompt.end(), {"--prompt", prompt});
  const Outcome plain = Octet(with_prompt);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_EQ(plain.out.substr(0, prompt.size()), prompt);
  EXPECT_EQ(Octet(args, prompt).out, plain.out) << "prompt from standard input";
  EXPECT_EQ(Octet(args, prompt + "\n").out, plain.out) << "what echo adds";
  EXPECT_NE(Octet(args, prompt + "\n\n").out, plain.out) << "one newline only";
  const Json json = OctetJson(with_prompt);
  EXPECT_EQ(prompt + Text(json, "text") + "\n", plain.out);
  EXPECT_LE(json.Find("tokens")->AsArray().size(), 12u);
  EXPECT_FALSE(json.Find("tokens")->AsArray().empty());
  with_prompt[5] = "6";
  EXPECT_NE(Octet(with_prompt).out, plain.out) << "another seed";
}

TEST_F(CliTest, GreedyGenerationOfOneTokenIsTheMostLikelyOne) {
  std::vector<std::string> greedy = {"generate",      kBooks, "-n",       "8",
                                     "--temperature", "0",    "--prompt", "He said that"};
  const std::string want = Octet(greedy).out;
  greedy[5] = "1";
  greedy.insert(greedy.end(), {"--top-k", "1"});
  EXPECT_EQ(Octet(greedy).out, want);
}

TEST_F(CliTest, InspectReadsFoldersAndFiles) {
  const Json folder = OctetJson({"inspect", kBooks});
  const Json file = OctetJson({"inspect", std::string(kBooks) + "/model.safetensors"});
  for (const char* key : {"parameters", "bytes"}) {
    EXPECT_EQ(Number(folder, key), Number(file, key)) << key;
  }
  EXPECT_EQ(Number(folder, "parameters"), 4772288);
  EXPECT_EQ(Number(*folder.Find("config"), "layers"), 8);
  EXPECT_TRUE(folder.Find("quantization")->is_null());
  // Convolution history 8 x 3 x 768 and state 8 x 8 x 64 x 128, fp32.
  EXPECT_EQ(Number(folder, "state_bytes_per_stream"), 8 * (3 * 768 + 8 * 64 * 128) * 4);
  // Norms in bf16: 8 of 256 and 8 of 512 channels, and the last of 256.
  EXPECT_EQ(Number(*folder.Find("bytes_by_class"), "norms"), 2 * (8 * 256 + 8 * 512 + 256));
  double sum = 0;
  for (const auto& [name, bytes] : folder.Find("bytes_by_class")->AsObject()) {
    sum += *bytes.AsNumber();
  }
  EXPECT_EQ(sum, Number(folder, "bytes"));
  EXPECT_NE(Octet({"inspect", kBooks, "--graph"}).out.find("layers.7.y"), std::string::npos);
  const Json with_graph = OctetJson({"inspect", kBooks, "--graph"});
  const Json::Array& graph = with_graph.Find("graph")->AsArray();
  EXPECT_EQ(Text(graph.back(), "site"), "logits");
  EXPECT_EQ(Text(graph[1], "op"), "RmsNorm");
  EXPECT_EQ(Number(graph[1], "width"), 256);
  EXPECT_EQ(graph[1].Find("inputs")->AsArray(), Json::Array{Json(0)});
  EXPECT_EQ(graph[1].Find("weights")->AsArray(),
            Json::Array{Json("backbone.layers.0.norm.weight")});
  EXPECT_TRUE(graph[1].Find("codec")->is_null());
  const Json state_spaces = OctetJson({"inspect", "tests/golden/state_spaces_mamba2"});
  EXPECT_GT(Number(state_spaces, "parameters"), 0);
}

TEST_F(CliTest, InspectCountsSitesByTheSourceOfTheirScales) {
  for (const char* recipe : {"ssdi8-plus-w8a8", "w8a8-dynamic"}) {
    ASSERT_EQ(Octet(QuickQuantize(kBooks, recipe, PathOf(recipe))).exit_code, 0);
  }
  const Json plus = OctetJson({"inspect", PathOf("ssdi8-plus-w8a8")});
  const Json& encodings = *plus.Find("quantization")->Find("encodings");
  EXPECT_EQ(Number(encodings, "static_int8_sites"), 8 * 4) << "in each block u, B, C, y";
  EXPECT_EQ(Number(encodings, "static_sites_in_other_codes"), 0);
  EXPECT_EQ(Number(encodings, "per_token_int8_sites"), 0);
  EXPECT_EQ(Number(encodings, "per_chunk_int8_sites"), 8 * 3) << "x_scaled, score, state";
  const Json dynamic = OctetJson({"inspect", PathOf("w8a8-dynamic")});
  const Json& per_token = *dynamic.Find("quantization")->Find("encodings");
  EXPECT_EQ(Number(per_token, "static_int8_sites"), 0);
  EXPECT_EQ(Number(per_token, "per_token_int8_sites"), 8 * 2) << "in each block u and y";
  EXPECT_EQ(Number(per_token, "per_chunk_int8_sites"), 0);
}

TEST_F(CliTest, AFullStandardOutputIsAnError) {
  const Outcome o = Execute({"/bin/sh", "-c", "exec \"$0\" recipes >/dev/full", Program()});
  EXPECT_EQ(o.exit_code, 1);
  EXPECT_EQ(o.err, "octet: standard output could not be written\n");
}

TEST_F(CliTest, DemoShowsATableAndLeavesNothing) {
  setenv("TMPDIR", folder_.c_str(), 1);
  const Outcome o = Octet({"demo", "tests/golden/mamba2_g1", "--json"});
  unsetenv("TMPDIR");
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const Result<Json> json = Json::Parse(o.out);
  ASSERT_TRUE(json.ok()) << o.out;
  const Json::Array& rows = json->Find("rows")->AsArray();
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(Number(rows[0], "kl_mean"), 0);
  EXPECT_EQ(Text(rows[2], "name"), "SSDi8 W8A8");
  for (const Json& row : rows) {
    const bool four_bits = Text(row, "name") == "SSDi8 W4A8";
    EXPECT_NEAR(Number(row, "perplexity_ratio"), 1, four_bits ? 0.3 : 0.03);
    EXPECT_GT(Number(row, "top1_agreement"), four_bits ? 0.7 : 0.9);
    EXPECT_GT(Number(row, "decode_tokens_per_s"), 0);
  }
  EXPECT_EQ(Entries(), std::vector<std::string>{}) << "temporary folders";
  const Outcome mamba1 = Octet({"demo", "tests/golden/mamba1"});
  EXPECT_EQ(mamba1.exit_code, 0) << mamba1.err;
  EXPECT_NE(mamba1.out.find("  Quamba W8A8\n"), std::string::npos) << mamba1.out;
  const Outcome kept =
      Octet({"demo", "tests/golden/mamba2_g1", "--output", PathOf("kept"), "--threads", "1"});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  for (const char* part :
       {"SSDi8 W4A8", "perplexity ratio  perplexity over", "Next:", "--window"}) {
    EXPECT_NE(kept.out.find(part), std::string::npos) << part << " in\n" << kept.out;
  }
  ExpectNarrow(kept.out.substr(0, kept.out.find("Next:")));  // the commands hold paths
  EXPECT_EQ(OctetJson({"inspect", PathOf("kept/ssdi8-w4a8")}).Find("kind")->AsString(), "model");
}

}  // namespace
}  // namespace octet
