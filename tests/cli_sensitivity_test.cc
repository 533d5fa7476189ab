// Contracts of `octet sensitivity` and of `octet quantize --recipe auto`: a table whose lines fit
// 80 columns, one JSON object that --output writes as well, a heat map that needs nothing outside
// the file and names every block; exactly one limit, which is kept; a recipe file that gives the
// same folder again; one sentence for bad input, and nothing written.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "tests/cli_program.h"

namespace octet {
namespace {

class CliSensitivityTest : public CliTest {
 protected:
  std::vector<std::string> Sensitivity(std::vector<std::string> more) const {
    std::vector<std::string> args = {"sensitivity", kBooks, "--text",   WriteText(40),
                                     "--samples",   "2",    "--length", "24"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::vector<std::string> Auto(const std::string& output, std::vector<std::string> more) const {
    std::vector<std::string> args = QuickQuantize(kBooks, "auto", output);
    args.insert(args.end(), {"--calibration", WriteText(40)});
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  void ExpectError(const std::vector<std::string>& args, const std::string& part) const {
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    EXPECT_NE(o.err.find(part), std::string::npos) << part << " not in: " << o.err;
  }
};

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) {
    ++n;
  }
  return n;
}

TEST_F(CliSensitivityTest, WritesTableJsonAndHeatMap) {
  const std::string json = PathOf("s.json"), html = PathOf("s.html");
  const Outcome o = Octet(Sensitivity({"--output", json, "--html", html, "--bits", "4"}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  std::istringstream lines(o.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("Mean KL") != line.npos) break;
    EXPECT_LE(line.size(), 80u) << line;
  }
  for (const char* part : {"in_proj:4", "ssd.state", "embedding:4", "u_norm"}) {
    EXPECT_NE(o.out.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(o.out.find("in_proj:8"), std::string::npos);

  const Result<Json> file = Json::ParseFile(json, 1 << 20);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->Find("schema"), Json("octet.sensitivity/1"));
  EXPECT_EQ(*file->Find("documents"), Json(2));
  const int64_t read = file->Find("text")->Find("samples")->AsInt();
  EXPECT_EQ(file->Find("calibration_documents")->AsInt(), read - 2) << "others calibrate";
  const auto& items = file->Find("items")->AsArray();
  // Two matrices and seven sites to a block, embedding and head.
  EXPECT_EQ(items.size(), 8u * 9 + 2);
  for (const Json& item : items) {
    EXPECT_GE(*item.Find("kl")->AsNumber(), 0) << item.Dump();
  }

  const std::string page = ReadAll(html);
  EXPECT_EQ(Count(page, "<title>"), items.size() + 7 + 1);  // cells, legend, the page's own
  for (int block = 0; block < 8; ++block) {
    EXPECT_NE(page.find(fmt::format(">block {}<", block)), std::string::npos);
    EXPECT_NE(page.find(fmt::format("block {}, out_proj:4: KL", block)), std::string::npos);
  }
  for (const char* outside : {"http", "src=", "href", "url(", "@import", "<script"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(page.find("name=\"viewport\""), std::string::npos);
}

TEST_F(CliSensitivityTest, BitsTakeOneWord) {
  const Outcome o = Octet({"sensitivity", "--text", WriteText(40), "--samples", "2", "--length",
                           "24", "--bits", "4,8", kBooks});
  EXPECT_EQ(o.exit_code, 0) << o.err;
}

TEST_F(CliSensitivityTest, RefusesBadInput) {
  ExpectError(Sensitivity({"--bits", "5"}), "--bits");
  ExpectError(Sensitivity({"--bits", "4,4"}), "--bits names a width twice");
  ExpectError(Sensitivity({"--recipe", "nothing"}), "unknown recipe nothing");
  ExpectError(Sensitivity({"--recipe", "quamba"}), "recipe quamba is for Mamba-1 models");
  ExpectError(Sensitivity({"--samples", "1"}), "--samples");
  ExpectError({"sensitivity", kBooks}, "--text is required");
  ExpectError({"sensitivity", kBooks, "--text", PathOf("text.txt"), "--length", "100000"},
              "--length makes them shorter");
  EXPECT_EQ(Entries(), std::vector<std::string>{"text.txt"});
}

TEST_F(CliSensitivityTest, AutoKeepsTheBudgetAndItsRecipeGivesTheSameFolder) {
  const std::string recipe = PathOf("r.json");
  const Json j = OctetJson(Auto(PathOf("a"), {"--budget-mb", "4", "--save-recipe", recipe}));
  EXPECT_LE(j.Find("bytes_after")->AsInt(), 4'000'000);
  EXPECT_GT(j.Find("bytes_after")->AsInt(), 3'500'000);
  EXPECT_EQ(j.Find("recipe")->AsString(), "auto");
  EXPECT_GE(j.Find("attempts")->AsArray().size(), 2u);

  std::vector<std::string> again = Auto(PathOf("b"), {});
  std::ranges::replace(again, "auto", recipe);
  ASSERT_EQ(Octet(again).exit_code, 0);
  EXPECT_EQ(ReadAll(PathOf("a/model.safetensors")), ReadAll(PathOf("b/model.safetensors")));
  const Result<Json> a = Json::ParseFile(PathOf("a/config.json"), 1 << 20);
  const Result<Json> b = Json::ParseFile(PathOf("b/config.json"), 1 << 20);
  ASSERT_TRUE(a.ok() && b.ok());
  const auto plan = [](const Json& config) {
    return config.Find("quantization_config")->Find("plan")->Dump();
  };
  EXPECT_EQ(plan(*a), plan(*b));
}

TEST_F(CliSensitivityTest, AutoRefusesWhatItCannotDo) {
  const std::string a = PathOf("a");
  ExpectError(Auto(a, {}), "--recipe auto needs --budget-mb or --max-kl");
  ExpectError(Auto(a, {"--budget-mb", "4", "--max-kl", "0.1"}), "excludes");
  ExpectError(Auto(a, {"--budget-mb", "-1"}), "--budget-mb");
  ExpectError(Auto(a, {"--budget-mb", "4", "--option", "base=auto"}), "base=auto");
  ExpectError(Auto(a, {"--budget-mb", "4", "--option", "base=nothing"}), "unknown recipe nothing");
  ExpectError(Auto(a, {"--budget-mb", "4", "--option", "group=64"}), "unknown option group");
  std::vector<std::string> other = QuickQuantize(kBooks, "w8a16", a);
  other.insert(other.end(), {"--max-kl", "0.1"});
  ExpectError(other, "--budget-mb and --max-kl are for --recipe auto");
  EXPECT_EQ(Entries(), std::vector<std::string>{"text.txt"});
}

}  // namespace
}  // namespace octet
