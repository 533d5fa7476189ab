// Contracts of `octet bench`:
// 1. Models are measured in one run; the object has medians beside "models" for scripts, and all in
//    "rows". Names of models are as short as tells them apart.
// 2. Lists of prompts, threads and instruction sets give a row for each combination; what is named
//    twice or unknown is refused.
// 3. --stages shares out the time and names the roofs; the line of decode is about the bytes that a
//    token needs.
// 4. --recipes measures models quantized on the way, and leaves no folder behind.
// 5. --ssd times each stage in both forms, and refuses a model without an SSD and flags that it
//    would not obey.
// 6. --roofline writes a picture with a dot and a label for each stage, no two labels overlapping.
// 7. What cannot be measured is refused before anything is quantized; --explain needs no measuring.
//    A flag that changes nothing is warned of.
#include <algorithm>
#include <filesystem>
#include <regex>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "tests/cli_output.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

TEST_F(CliTest, BenchMeasuresModelsInOneRun) {
  std::vector<std::string> args = {"bench",    kBooks, "--prefill", "32",
                                   "--decode", "4",    "--repeats", "2"};
  const Json one = OctetJson(args);
  EXPECT_EQ(Text(one, "schema"), "octet.bench/1");
  EXPECT_GT(Number(one, "prefill_tokens_per_s"), 0);
  EXPECT_GT(Number(one, "decode_tokens_per_s"), 0);
  EXPECT_GT(Number(one, "peak_rss_bytes"), 4e6);
  args.insert(args.begin() + 1, "tests/golden/mamba2_g1");
  const Json two = OctetJson(args);
  EXPECT_EQ(two.Find("models")->AsArray().size(), 2u);
  args.emplace_back("--explain");
  const Outcome text = Octet(args);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"pp32", "tg4", "layers.0.zxbcdt", "\nmamba2_g1  ", "repeats"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in\n" << text.out;
  }
  const Json explained = OctetJson(args);
  const Json::Array& kernels = explained.Find("kernels")->AsArray();
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(Text(kernels[1], "model"), kBooks);
  EXPECT_EQ(Text(kernels[1].Find("steps")->AsArray()[0], "site"), "layers.0.u_norm");
  EXPECT_NE(Text(kernels[1].Find("steps")->AsArray()[0], "decode"), "");
}

TEST_F(CliTest, BenchTimesTheStagesOfTheSsd) {
  if (CurrentIsa() == "ref") GTEST_SKIP() << "scalar kernels do not time their stages";
  const std::vector<std::string> args = {"bench", kBooks, "--ssd", "64,100", "--repeats", "2"};
  const Json j = OctetJson(args);
  const Json::Array& rows = j.Find("ssd")->AsArray();
  ASSERT_EQ(rows.size(), 12u);
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double us = Number(*rows[i].Find("int8_us"), "min");
    EXPECT_GT(us, 0) << Text(rows[i], "stage");
    EXPECT_GT(Number(*rows[i].Find("ratio"), "median"), 0);
    if (Text(rows[i], "stage") != "SSD") {
      sum += us;
      continue;
    }
    EXPECT_GE(us, 0.999 * sum);  // of one repeat; the least of each stage may be of two
    sum = 0;
  }
  const Outcome text = Octet(args);
  EXPECT_NE(text.out.find("StatePassing"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("Load average"), std::string::npos) << text.out;
  EXPECT_EQ(Number(j, "repeats"), 2);
  EXPECT_GT(Number(j, "cpu_share"), 0);
  EXPECT_EQ(Octet({"bench", "models/books-mamba-5m", "--ssd", "64"}).exit_code, 2);
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--roofline", PathOf("a.svg")}, {"--threads", "1"}, {"--bf16"}, {"--ssd", "64"}}) {
    std::vector<std::string> both = {"bench", kBooks, "--ssd", "64"};
    both.insert(both.end(), more.begin(), more.end());
    EXPECT_EQ(Octet(both).exit_code, 2) << more.front();
  }
  EXPECT_EQ(Octet({"bench", kBooks, "--ssd", "64,64"}).exit_code, 2);
  EXPECT_TRUE(Entries().empty());
  EXPECT_EQ(Octet({"bench", kBooks, kBooks, "--ssd", "64"}).exit_code, 2);
}

TEST_F(CliTest, BenchNamesModelsApart) {
  for (const char* name : {"a", "b"}) {
    std::filesystem::create_directories(folder_ / name / "m");
    std::filesystem::copy("tests/golden/mamba2_g1", folder_ / name / "m");
  }
  const std::string a = PathOf("a/m"), b = PathOf("b/m/");
  const Outcome o = Octet({"bench", a, b, "--prefill", "0", "--decode", "1", "--repeats", "1"});
  for (const char* part : {"\na/m  ", "\nb/m  ", "of 1 repeat."}) {
    EXPECT_NE(o.out.find(part), std::string::npos) << part << " in\n" << o.out << o.err;
  }
  EXPECT_EQ(Octet({"bench", a, a, "--prefill", "0", "--decode", "1"}).exit_code, 0);
}

// The tests and so on of the rows, joined.
std::vector<std::string> Rows(const Json& report) {
  std::vector<std::string> rows;
  for (const Json& row : report.Find("rows")->AsArray()) {
    rows.push_back(fmt::format("{} {} {}", Text(row, "isa"), Text(row, "test"),
                               static_cast<int>(Number(row, "threads"))));
    EXPECT_GT(Number(*row.Find("tokens_per_s"), "median"), 0);
  }
  return rows;
}

TEST_F(CliTest, BenchTakesLists) {
  const std::string best = AvailableIsas().front();
  const bool vectors = best != "ref";
  const Json report =
      OctetJson({"bench", "tests/golden/mamba2_g1", "--prefill", "8,16", "--decode", "2",
                 "--repeats", "1", "--threads", "1,2", "--isa", vectors ? "ref," + best : best});
  std::vector<std::string> want;
  for (const std::string& isa :
       vectors ? std::vector<std::string>{"ref", best} : std::vector<std::string>{best}) {
    for (const char* threads : {"1", "2"}) {
      for (const char* test : {"pp8", "pp16", "tg2"}) {
        want.push_back(fmt::format("{} {} {}", isa, test, threads));
      }
    }
  }
  EXPECT_EQ(Rows(report), want);
  EXPECT_EQ(report.Find("models")->AsArray().size(), vectors ? 2u : 1u);
  EXPECT_EQ(report.Find("prefill")->AsArray().size(), 2u);
  EXPECT_EQ(report.Find("threads")->AsArray().size(), 2u);
  EXPECT_EQ(report.Find("isa")->is_null(), vectors) << "of all of them";
  EXPECT_EQ(report.Find("roofs"), nullptr);
}

TEST_F(CliTest, BenchRefusesListsWithoutSense) {
  const std::string tiny = "tests/golden/mamba2_g1";
  const auto expect = [&](std::vector<std::string> args, const std::string& part) {
    args.insert(args.begin(), {"bench", tiny, "--decode", "1", "--repeats", "1"});
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_NE(o.err.find(part), std::string::npos) << part << " in\n" << o.err;
    EXPECT_EQ(o.out, "");
  };
  expect({"--isa", "mmx"}, "mmx");
  expect({"--isa", "ref,ref"}, "--isa names ref twice");
  expect({"--threads", "2,2"}, "--threads names 2 twice");
  expect({"--threads", "0"}, "--threads");
  expect({"--threads", "257"}, "--threads");
  expect({"--threads", "1,,2"}, "empty item");
  expect({"--isa=ref,"}, "empty item");
  expect({"--isa", ""}, "empty item");
  expect({"--batch", "2,2"}, "--batch names 2 twice");
  expect({"--chunk-size", "4097"}, "between 1 and 4096");
  expect({"--roofline", ""}, "must not be empty");
  expect({"--recipes", "no-such-recipe"}, "no-such-recipe");
  expect({"--recipes", "absmax", tiny}, "one float model");
  expect({"--roofline", PathOf("a.svg"), "--threads", "1,2"}, "--roofline plots one");
  EXPECT_TRUE(Entries().empty());
}

TEST_F(CliTest, BenchSharesOutTheTime) {
  const std::vector<std::string> args = {"bench",     kBooks, "--prefill", "64", "--decode", "4",
                                         "--threads", "1",    "--repeats", "1",  "--stages"};
  const Outcome text = Octet(args);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  ExpectNarrow(text.out);
  for (const char* part : {"\nin_proj ", "\nssd ", "\nhead ", "\nrest ", "of roof",
                           "% of the bandwidth measured", "GB/s", "\ndecode reads "}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " in\n" << text.out;
  }
  const Json report = OctetJson(args);
  ASSERT_EQ(report.Find("roofs")->AsArray().size(), 1u);
  const Json& roof = report.Find("roofs")->AsArray()[0];
  const double bandwidth = Number(*roof.Find("read_bytes_per_s"), "median");
  EXPECT_GT(bandwidth, 0);
  const Json& decode = report.Find("rows")->AsArray()[1];
  double share = 0;
  for (const Json& stage : decode.Find("stages")->AsArray()) {
    share += Number(stage, "share");
    const double per_s = 1e6 / Number(stage, "us_per_token");
    if (Text(stage, "stage") == "rest") continue;
    EXPECT_NEAR(Number(stage, "share_of_roof"),
                Number(stage, "bytes_per_token") * per_s / bandwidth, 1e-6 * per_s);
  }
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_NEAR(
      Number(decode, "share_of_bandwidth") * bandwidth,
      Number(decode, "read_bytes_per_token") * Number(*decode.Find("tokens_per_s"), "median"),
      1e-6 * bandwidth);
}

TEST_F(CliTest, BenchQuantizesOnTheWay) {
  std::filesystem::create_directory(folder_ / "tmp");
  const Outcome o =
      Execute({"/usr/bin/env", "TMPDIR=" + PathOf("tmp"), Program(), "bench", kBooks, "--recipes",
               "absmax,ssdi8-w4a8", "--prefill", "0", "--decode", "4", "--repeats", "1"});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  for (const char* part : {"\nbooks-mamba2-5m ", "\nabsmax ", "\nssdi8-w4a8 "}) {
    EXPECT_NE(o.out.find(part), std::string::npos) << part << " in\n" << o.out;
  }
  for (const char* part : {"writes text to calibrate on", "Quantizing books-mamba2-5m: absmax"}) {
    EXPECT_NE(o.err.find(part), std::string::npos) << part << " in\n" << o.err;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "tmp"));
}

TEST_F(CliTest, BenchChecksBeforeItQuantizes) {
  for (const std::vector<std::string>& rest : std::vector<std::vector<std::string>>{
           {"--prefill", "0", "--decode", "0"}, {"--decode", "0", "--batch", "4"}}) {
    std::vector<std::string> args = {"bench", kBooks, "--recipes", "absmax"};
    args.insert(args.end(), rest.begin(), rest.end());
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2);
    EXPECT_EQ(o.err.find("..."), std::string::npos) << o.err;
    EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
  }
}

TEST_F(CliTest, BenchExplainsWithoutMeasuring) {
  std::vector<std::string> args = {"bench", kBooks, "--explain", "--prefill", "0", "--decode", "0"};
  const Outcome o = Octet(args);
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_NE(o.out.find("layers.0.u_norm"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("tokens/s"), std::string::npos) << o.out;
  EXPECT_EQ(OctetJson(args).Find("kernels")->AsArray().size(), 1u);
}

TEST_F(CliTest, BenchSaysWhatIsIdleOrNotMeasured) {
  const std::vector<std::string> args = {
      "bench", "models/books-mamba-5m", "--prefill", "0",      "--decode", "2",  "--repeats",
      "1",     "--chunk-size",          "64",        "--bf16", "--isa",    "ref"};
  const Outcome o = Octet(args);
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_NE(o.err.find("--bf16 changes nothing"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("--chunk-size changes nothing"), std::string::npos) << o.err;
  const Json j = OctetJson(args);
  EXPECT_TRUE(j.Find("prefill_tokens_per_s")->is_null());
  EXPECT_GT(Number(j, "decode_tokens_per_s"), 0);
}

struct Label {
  double left, y;  // at 6 px a letter
  std::string text;
};

TEST_F(CliTest, BenchPlotsARoofline) {
  const std::string path = PathOf("roofline.svg");
  const Outcome o = Octet({"bench", kBooks, "--prefill", "64", "--decode", "4", "--threads", "1",
                           "--repeats", "1", "--roofline", path});
  EXPECT_EQ(o.exit_code, 0) << o.err;
  const std::string svg = ReadAll(path);
  EXPECT_EQ(svg.substr(0, 5), "<svg ");
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
  for (const char* foreign : {"href", "<script", "url("}) {
    EXPECT_EQ(svg.find(foreign), std::string::npos) << foreign;
  }
  const std::regex label(
      "class=\"label (\\w+)\" x=\"([0-9.]+)\" y=\"([0-9.]+)\" "
      "text-anchor=\"(start|middle|end)\">([^<]+)<");
  std::vector<Label> labels;
  int decode = 0;
  for (std::sregex_iterator it(svg.begin(), svg.end(), label), end; it != end; ++it) {
    const std::string anchor = (*it)[4], text = (*it)[5];
    const double width = 6.0 * static_cast<double>(text.size());
    const double before = anchor == "start" ? 0 : anchor == "end" ? width : width / 2;
    labels.push_back({std::stod((*it)[2]) - before, std::stod((*it)[3]), text});
    decode += (*it)[1] == "decode";
  }
  // in_proj, conv, dt, ssd, norms, out_proj, residual and head, of both.
  EXPECT_EQ(labels.size(), 16u);
  EXPECT_EQ(decode, 8);
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Label &a = labels[i], &b = labels[j];
      const Label& left = a.left < b.left ? a : b;
      const bool apart = std::abs(a.y - b.y) >= 12 ||
                         std::abs(a.left - b.left) >= 6 * static_cast<double>(left.text.size());
      EXPECT_TRUE(apart) << a.text << " and " << b.text;
    }
  }
}

}  // namespace
}  // namespace octet
