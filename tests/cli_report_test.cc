// Contracts of `octet report`: one page that needs nothing outside of it, with the numbers that the
// JSON object has, names escaped; the reference may be named apart; parts can be left out; for bad
// input one sentence, exit code 2, and nothing written.
#include <gtest/gtest.h>

#include <filesystem>

#include <fmt/format.h>

#include "tests/cli_output.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

class CliReportTest : public CliTest {
 protected:
  // A quantized model in a folder of that name.
  std::string Quantized(const std::string& recipe, const std::string& name) const {
    const std::string path = PathOf(name);
    const Outcome o = Octet(QuickQuantize(kBooks, recipe, path));
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return path;
  }
  std::vector<std::string> Report(const std::vector<std::string>& models,
                                  std::vector<std::string> more) const {
    std::vector<std::string> args = {"report"};
    args.insert(args.end(), models.begin(), models.end());
    args.insert(args.end(), {"--output", PathOf("r.html"), "--text", WriteText(40), "--window",
                             "64", "--samples", "2", "--length", "24", "--calibration",
                             PathOf("text.txt"), "-n", "4", "--repeats", "1"});
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  void ExpectError(const std::vector<std::string>& args, const std::string& part) const {
    const std::vector<std::string> before = Entries();
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    EXPECT_NE(o.err.find(part), std::string::npos) << part << " not in: " << o.err;
    EXPECT_EQ(Entries(), before) << "something was written";
  }
};

void ExpectContains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST_F(CliReportTest, PageAndJsonHaveTheSameNumbers) {
  const std::string a = Quantized("ssdi8-w8a8", "a"), hostile = Quantized("absmax", "<b>&\"x");
  const Outcome o = Octet(Report({kBooks, a, hostile}, {"--json", PathOf("r.json")}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  ExpectContains(o.out, "Closest to float: a");
  ExpectNarrow(o.out);
  const Result<Json> json = Json::ParseFile(PathOf("r.json"), 1 << 24);
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ(Text(*json, "schema"), "octet.report/1");
  const auto& models = json->Find("models")->AsArray();
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(Text(models[1], "recipe"), "ssdi8-w8a8");
  EXPECT_TRUE(models[0].Find("recipe")->is_null());

  const std::string page = ReadAll(PathOf("r.html"));
  for (size_t i = 1; i < 3; ++i) {
    const Json& quality = *models[i].Find("quality");
    const double ratio = *quality.Find("perplexity_ratio")->AsArray()[0].AsNumber();
    ExpectContains(page, fmt::format("{:.4f}", ratio));
    ExpectContains(page, fmt::format("{:.3f}", Number(quality, "perplexity")));
    // Windows of 64 predict 63 tokens: 0, 1, 2 to 3, ..., 32 to 62.
    EXPECT_EQ(quality.Find("by_position")->AsArray().size(), 7u);
    const Json& speed = *models[i].Find("decode_tokens_per_s");
    ExpectContains(page, fmt::format("{:.0f}", Number(speed, "median")));
  }
  ExpectContains(page, "&lt;b&gt;&amp;&quot;x");
  EXPECT_EQ(page.find("<b>&\"x"), std::string::npos);
  for (const char* heading : {"Which model to take", "Perplexity and departure from float",
                              "KL by position", "Size", "Speed", "What costs quality", "Saturation",
                              "Activations and their codes", "The same prompt"}) {
    ExpectContains(page, fmt::format("<h2>{}</h2>", heading));
  }
  for (const char* outside : {"http", "src=", "href", "url(", "@import", "<script", "<link"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  // The recurrent state of block 4, and of no block that was not asked for.
  const Json& sites = *models[1].Find("sites");
  bool found = false;
  for (const Json& h : sites.Find("histograms")->AsArray()) {
    const std::string site = Text(h, "site");
    found |= site == "layers.4.state";
    EXPECT_FALSE(site.starts_with("layers.1.")) << site;
    int64_t sum = 0;
    for (const Json& count : h.Find("bins")->AsArray()) {
      sum += count.AsInt();
    }
    EXPECT_EQ(sum, h.Find("values")->AsInt()) << site;
  }
  EXPECT_TRUE(found);
}

TEST_F(CliReportTest, ReadsTheItemsOfTasks) {
  const std::string a = Quantized("w8a8-dynamic", "a");
  const auto lines = [](const std::string& right) {
    std::string text;
    for (size_t i = 0; i < right.size(); ++i) {
      text +=
          fmt::format(R"({{"task":"lambada_openai","doc":{},"item":"00","loglikelihood":[-1.5],)"
                      R"("is_greedy":[{}],"acc":{}}})"
                      "\n",
                      i, right[i] == '1' ? "true" : "false", right[i]);
    }
    return text;
  };
  WriteAll(PathOf("float.jsonl"), lines("1110"));
  WriteAll(PathOf("a.jsonl"), lines("1001"));
  WriteAll(PathOf("short.jsonl"), lines("10"));
  WriteAll(PathOf("bad.jsonl"), "{}\n");
  WriteText(40);
  const auto with = [&](std::vector<std::string> files) {
    std::vector<std::string> more = {"--skip", "speed,sensitivity,activations,samples"};
    for (const std::string& f : files) {
      more.insert(more.end(), {"--items", PathOf(f)});
    }
    return Report({kBooks, a}, more);
  };
  ExpectError(with({"float.jsonl"}), "--items names 1 file for 2 models");
  ExpectError(with({"float.jsonl", "bad.jsonl"}), "bad.jsonl");
  ExpectError(with({"float.jsonl", "none.jsonl"}), "none.jsonl");
  ExpectError(with({"short.jsonl", "float.jsonl"}), "float.jsonl");
  ExpectError(with({"float.jsonl", "short.jsonl"}), "short.jsonl: has 2 items where");
  const Outcome o = Octet(with({"float.jsonl", "a.jsonl"}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const std::string page = ReadAll(PathOf("r.html"));
  ExpectContains(page, "<h2>Accuracy</h2>");
  ExpectContains(page, "lambada_openai, acc, 4 items");
  ExpectContains(page, "75.00 %");
  ExpectContains(page, "50.00 %");
  ExpectContains(page, "lost 2, won 1");
  // Items stay with their models where the reference is not the first.
  std::vector<std::string> swapped = with({"a.jsonl", "float.jsonl"});
  std::swap(swapped[1], swapped[2]);
  swapped.insert(swapped.end(), {"--reference", kBooks});
  ASSERT_EQ(Octet(swapped).exit_code, 0);
  EXPECT_EQ(ReadAll(PathOf("r.html")), page);
}

TEST_F(CliReportTest, LeavesOutWhatIsNotWanted) {
  const std::string a = Quantized("w8a8-dynamic", "a");
  const Outcome o = Octet(Report({a}, {"--reference", kBooks, "--skip",
                                       "speed,sensitivity,activations,samples", "--json", "-"}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const Result<Json> json = Json::Parse(o.out);
  ASSERT_TRUE(json.ok()) << o.out;
  const auto& models = json->Find("models")->AsArray();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(Text(models[0], "model"), kBooks);
  EXPECT_EQ(models[1].Find("sites"), nullptr);
  EXPECT_EQ(models[1].Find("decode_tokens_per_s"), nullptr);
  EXPECT_EQ(json->Find("sensitivity"), nullptr);
  const std::string page = ReadAll(PathOf("r.html"));
  for (const char* heading : {"Speed", "What costs quality", "Saturation",
                              "Activations and their codes", "The same prompt"}) {
    EXPECT_EQ(page.find(fmt::format("<h2>{}</h2>", heading)), std::string::npos) << heading;
  }
  ExpectContains(page, "Left out: speed.");
}

TEST_F(CliReportTest, RefusesBadInput) {
  const std::string a = Quantized("w8a8-dynamic", "a");
  WriteText(40);
  std::filesystem::create_directory(folder_ / "empty");
  ExpectError(Report({kBooks}, {}), "only one is named");
  ExpectError(Report({kBooks, a, a}, {}), "is named twice");
  ExpectError(Report({a, kBooks}, {}), PathOf("a"));
  ExpectError(Report({kBooks, PathOf("nothing")}, {}), PathOf("nothing"));
  ExpectError(Report({kBooks, PathOf("empty")}, {}), PathOf("empty"));
  ExpectError(Report({kBooks, "tests/golden/mamba2_g1"}, {}), "vocabularies of");
  ExpectError(Report({kBooks, a}, {"--blocks", "8"}), "--blocks: there is no block 8");
  ExpectError(Report({kBooks, a}, {"--json", PathOf("r.html")}), "is named twice");
  ExpectError(Report({kBooks, a}, {"--skip", "all"}), "--skip");
  const std::string page = PathOf("r.html");
  const auto bare = [&](const std::string& output, std::vector<std::string> more) {
    std::vector<std::string> args = {"report", kBooks, a, "--output", output};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  const std::string text = PathOf("text.txt");
  ExpectError(bare(page, {"--text", PathOf("none.txt")}), "none.txt");
  ExpectError(bare(page, {"--text", text, "--window", "100000"}), "shorter than a window");
  ExpectError(bare(page, {"--text", text, "--calibration", text}), "--length makes them shorter");
  ExpectError(bare(PathOf("no/r.html"), {}), "no/r.html");
  ExpectError(bare(PathOf("empty"), {}), "no ordinary file");
  ExpectError(bare(PathOf("a/r.html"), {}), "belongs to the model");
  const std::string dotted = PathOf("./text.txt");
  ExpectError(bare(dotted, {"--text", text}), "text.txt: is read");
  ExpectError(bare(dotted, {"--calibration", text}), "text.txt: is read");
  ExpectError(bare(page, {"--json", dotted, "--items", text}), "text.txt: is read");
}

}  // namespace
}  // namespace octet
