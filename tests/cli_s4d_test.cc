// Contracts of `octet s4d` as a program, and of S4D models given to commands for text.
#include <gmock/gmock.h>

#include "io/make_idx.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::HasSubstr;

constexpr const char* kModel = "tests/golden/s4d_post/model.pth";

class CliS4dTest : public CliTest {
 protected:
  // A folder with both splits of `count` images, pixels counting up, and their labels.
  std::string MakeMnist(int count, uint8_t label) {
    const std::string folder = PathOf("mnist");
    std::filesystem::create_directory(folder);
    const auto n = static_cast<uint32_t>(count);
    std::string pixels(16 * n, '\0');
    for (size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<char>(7 * i);
    }
    for (const std::string split : {"t10k", "train"}) {
      WriteAll(folder + "/" + split + "-images-idx3-ubyte", MakeIdx(kIdxImages, {n, 4, 4}, pixels));
      WriteAll(folder + "/" + split + "-labels-idx1-ubyte",
               MakeIdx(kIdxLabels, {n}, std::string(n, static_cast<char>(label))));
    }
    return folder;
  }
};

TEST_F(CliS4dTest, Evaluate) {
  const std::string mnist = MakeMnist(5, 3);
  const Outcome text = Octet({"s4d", "evaluate", kModel, "--mnist", mnist});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("of 5 images"));
  const Json json = OctetJson({"s4d", "evaluate", kModel, "--mnist", mnist, "--limit", "2"});
  EXPECT_EQ(json.Find("schema")->AsString(), "octet.s4d.evaluate/1");
  EXPECT_EQ(json.Find("images")->AsInt(), 2);
  EXPECT_EQ(*json.Find("accuracy")->AsNumber() * 2,
            static_cast<double>(json.Find("correct")->AsInt()));
}

TEST_F(CliS4dTest, Sensitivity) {
  const std::string mnist = MakeMnist(6, 3);
  const std::vector<std::string> args = {
      "s4d",    "sensitivity", kModel,           "--mnist",  mnist,
      "--bits", "12,3",        "--limit",        "4",        "--calibrate",
      "2",      "--html",      PathOf("s.html"), "--output", PathOf("s.json")};
  const Json json = OctetJson(args);
  EXPECT_EQ(json.Find("schema")->AsString(), "octet.s4d.sensitivity/1");
  EXPECT_EQ(json.Find("images")->AsInt(), 4);
  EXPECT_EQ(json.Find("calibration_images")->AsInt(), 2);
  const auto& cells = json.Find("cells")->AsArray();
  ASSERT_EQ(cells.size() % 2, 0u);
  double fine = 0, coarse = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    EXPECT_EQ(cells[i].Find("bits")->AsInt(), i % 2 == 0 ? 12 : 3);
    (i % 2 == 0 ? fine : coarse) += *cells[i].Find("kl_mean")->AsNumber();
  }
  EXPECT_LT(fine, coarse / 10);
  EXPECT_EQ(ReadAll(PathOf("s.json")), json.Dump(2) + "\n");
  const std::string html = ReadAll(PathOf("s.html"));
  EXPECT_THAT(html, HasSubstr("aria-label=\"x, static: accuracy over bits\""));
  EXPECT_THAT(html, testing::EndsWith("</html>\n"));
  const Outcome text = Octet({"s4d", "sensitivity", kModel, "--mnist", mnist, "--bits", "4"});
  EXPECT_THAT(text.out, HasSubstr("everything, per tensor"));
}

TEST_F(CliS4dTest, SensitivityOnPhotographs) {
  std::string records;
  for (int i = 0; i < 5; ++i) {
    records += static_cast<char>(i) + std::string(3072, static_cast<char>(40 * i));
  }
  WriteAll(PathOf("photographs.bin"), records);
  const std::string model = "tests/golden/s4d_pre";
  std::vector<std::string> args = {
      "s4d",    "sensitivity", model,         "--cifar10", PathOf("photographs.bin"),
      "--bits", "8",           "--calibrate", "2"};
  EXPECT_EQ(OctetJson(args).Find("images")->AsInt(), 3);
  args.back() = "5";
  const Outcome few = Octet(args);
  EXPECT_EQ(few.exit_code, 2);
  EXPECT_THAT(few.err, HasSubstr("5 images, not more than the 5"));
  args.back() = "2";
  args.insert(args.end(), {"--mean", "0.5"});
  const Outcome one = Octet(args);
  EXPECT_EQ(one.exit_code, 2) << one.err;
  EXPECT_THAT(one.err, HasSubstr("3 channels"));
}

TEST_F(CliS4dTest, Errors) {
  const std::string mnist = MakeMnist(5, 10);
  const auto error = [&](std::vector<std::string> args) {
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  };
  EXPECT_THAT(error({"s4d", "evaluate", kModel, "--mnist", mnist}),
              testing::AllOf(HasSubstr("t10k-labels"), HasSubstr("10")));
  EXPECT_THAT(error({"s4d", "evaluate", kModel}), HasSubstr("--mnist or --cifar10"));
  EXPECT_THAT(error({"s4d", "evaluate", kModel, "--mnist", "a", "--cifar10", "b"}),
              HasSubstr("--cifar10"));
  EXPECT_THAT(error({"s4d", "evaluate", kModel, "--mnist", PathOf("none")}), HasSubstr("none"));
  EXPECT_THAT(error({"s4d", "evaluate", kBooks, "--mnist", mnist}), HasSubstr("reads text"));
  EXPECT_THAT(error({"s4d"}), HasSubstr("octet s4d --help"));
  EXPECT_THAT(error({"s4d", "sensitivity", kModel, "--mnist", mnist, "--bits", "8,4,8"}),
              HasSubstr("--bits: 8 is named twice"));
  const std::string orphan = PathOf("none/r"), no_parent = PathOf("none") + " does not exist";
  EXPECT_THAT(error({"s4d", "evaluate", kModel, "--mnist", mnist, "--items", orphan}),
              HasSubstr(no_parent));
  EXPECT_THAT(error({"s4d", "sensitivity", kModel, "--mnist", mnist, "--html", orphan}),
              HasSubstr(no_parent));
  EXPECT_THAT(error({"sensitivity", kBooks, "--text", "LICENSE", "--html", orphan}),
              HasSubstr(no_parent));
  const std::string own = PathOf("own"), report = PathOf("r");
  std::filesystem::copy("tests/golden/s4d_none", own);
  const auto reports = [&](const std::string& json, const std::string& html) {
    return error({"s4d", "sensitivity", own, "--mnist", mnist, "--output", json, "--html", html});
  };
  EXPECT_THAT(reports(own + "/config.json", report), HasSubstr("belongs to the model"));
  EXPECT_THAT(reports(report, report), HasSubstr("named twice"));
  std::filesystem::remove_all(mnist);
  EXPECT_THAT(error({"s4d", "evaluate", "tests/golden/s4d_pre", "--mnist", MakeMnist(1, 0)}),
              testing::AllOf(HasSubstr("s4d_pre"), HasSubstr("frames of 3 values")));
  for (const char* command : {"quantize", "generate", "bench", "demo"}) {
    std::vector<std::string> args = {command, kModel};
    if (args[0] == "quantize") {
      args.insert(args.end(), {"--recipe", "absmax", "--output", PathOf("q")});
    }
    EXPECT_THAT(error(args), HasSubstr("see octet s4d")) << command;
  }
}

TEST_F(CliS4dTest, Inspect) {
  const Json json = OctetJson({"inspect", kModel});
  EXPECT_EQ(json.Find("model_type")->AsString(), "s4d") << json.Dump(2);
}

}  // namespace
}  // namespace octet
