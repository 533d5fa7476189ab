// Contracts of `octet s4d allocate`: the recipe file that it writes is loaded verbatim by quantize
// and qat; bytes are those that `octet export c` reports, within the budget; mistakes are one
// sentence, exit code 2 and no file; test images need not be there.
#include <algorithm>

#include <gmock/gmock.h>

#include "io/make_idx.h"
#include "quant/s4d/recipes.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kModel = "tests/golden/s4d_none";

class CliAllocate : public CliTest {
 protected:
  // A folder of 20 training images with various pixels and, unless left out, of test images.
  std::string MakeMnist() const {
    const std::string folder = PathOf("mnist");
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    constexpr uint32_t kCount = 20;
    std::string pixels;
    for (uint32_t i = 0; i < 16 * kCount; ++i) {
      pixels += static_cast<char>(37 * i + i / 5);
    }
    const auto write = [&](const std::string& split, const std::string& content) {
      WriteAll(folder + "/" + split + "-images-idx3-ubyte",
               MakeIdx(kIdxImages, {kCount, 4, 4}, content));
      WriteAll(folder + "/" + split + "-labels-idx1-ubyte",
               MakeIdx(kIdxLabels, {kCount}, std::string(kCount, 1)));
    };
    write("train", pixels);
    if (test_images_) write("t10k", std::string(pixels.size(), '\0'));
    return folder;
  }

  std::vector<std::string> Allocate(const std::vector<std::string>& more) {
    std::vector<std::string> args = {
        "s4d", "allocate", kModel, "--mnist",  MakeMnist(),       "--calibrate",
        "12",  "--sample", "8",    "--output", PathOf("map.json")};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  // What the program says to a mistake, one line.
  std::string Error(const std::vector<std::string>& args) {
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  }

  bool test_images_ = true;
};

TEST_F(CliAllocate, WritesARecipeThatOthersLoad) {
  const Json report =
      OctetJson(Allocate({"--recipe", "w4a6", "--budget-kb", "5.5", "--threads", "2"}));
  EXPECT_EQ(report.Find("schema")->AsString(), "octet.s4d.allocate/1");
  EXPECT_EQ(report.Find("images")->AsInt(), 8);
  EXPECT_EQ(report.Find("other_images")->AsInt(), 4);
  const Json &base = *report.Find("base"), &found = *report.Find("allocation");
  EXPECT_LE(found.Find("bytes")->AsInt(), 5500);
  EXPECT_LT(*found.Find("kl_mean")->AsNumber(), *base.Find("kl_mean")->AsNumber());
  const std::string map = PathOf("map.json"), bytes = ReadAll(map);
  S4dPlan plan = *LoadS4dRecipe("w4a6");
  for (const Json& t : report.Find("tensors")->AsArray()) {
    plan.widths[t.Find("tensor")->AsString()] = static_cast<int>(t.Find("bits")->AsInt());
  }
  EXPECT_EQ(*LoadS4dRecipe(map), plan);
  const std::string mnist = PathOf("mnist"), folder = PathOf("quantized");
  ASSERT_EQ(Octet({"s4d", "quantize", kModel, "--recipe", map, "--output", folder, "--mnist", mnist,
                   "--calibrate", "12"})
                .exit_code,
            0);
  const Json config = *Json::Parse(ReadAll(folder + "/config.json"));
  EXPECT_EQ(*config.Find("quantization_config")->Find("plan"), ToJson(plan));
  const Json exported = OctetJson({"export", "c", folder, "--output", PathOf("c")});
  const Json& sizes = *exported.Find("sizes");
  EXPECT_EQ(sizes.Find("flash, tables: bytes")->AsInt(), found.Find("flash_bytes")->AsInt());
  EXPECT_EQ(sizes.Find("RAM of a stream: bytes")->AsInt(), found.Find("ram_bytes")->AsInt());
  const std::string trained = PathOf("trained");
  const Outcome qat = Octet({"s4d", "qat", kModel, "--recipe", map, "--output", trained, "--mnist",
                             mnist, "--epochs", "1", "--batch", "4"});
  EXPECT_EQ(qat.exit_code, 0) << qat.err;
  EXPECT_EQ(
      *Json::Parse(ReadAll(trained + "/config.json"))->Find("quantization_config")->Find("plan"),
      ToJson(plan));
  std::filesystem::remove(map);
  test_images_ = false;
  OctetJson(Allocate({"--recipe", "w4a6", "--budget-kb", "5.5", "--threads", "1"}));
  EXPECT_EQ(ReadAll(map), bytes) << "no test images, another number of threads";
}

TEST_F(CliAllocate, KeepsALargestKl) {
  const Outcome text = Octet(Allocate({"--accounting", "ideal", "--max-kl", "0.001"}));
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("layers.0.A.phase"), HasSubstr("allocated"),
                              HasSubstr("each value in its own bits")));
  const auto ideal = [&](const char* recipe) {
    const Json json =
        OctetJson(Allocate({"--recipe", recipe, "--accounting", "ideal", "--max-kl", "0.5"}));
    EXPECT_LE(*json.Find("allocation")->Find("kl_mean")->AsNumber(), 0.5);
    int64_t most = 0;
    for (const Json& t : json.Find("tensors")->AsArray()) {
      if (t.Find("tensor")->AsString() != "layers.0.u") continue;
      for (const Json& form : t.Find("alone")->AsArray()) {
        most = std::max(most, form.Find("bits")->AsInt());
      }
    }
    return most;
  };
  EXPECT_EQ(ideal("w4a6"), 8) << "can be exported";
  EXPECT_EQ(ideal("paper-w8a8"), 16) << "cannot be exported";
}

TEST_F(CliAllocate, RefusesInOneSentence) {
  const std::string none = "--budget-kb or --max-kl";
  EXPECT_THAT(Error(Allocate({})), HasSubstr(none));
  EXPECT_THAT(Error(Allocate({"--max-kl", "1", "--budget-kb", "9"})), HasSubstr("--budget-kb"));
  EXPECT_THAT(Error(Allocate({"--budget-kb", "0.5"})),
              AllOf(HasSubstr(kModel), HasSubstr("budget of 500 bytes")));
  EXPECT_THAT(Error(Allocate({"--max-kl", "1e-9"})), HasSubstr("a KL of 1e-09"));
  EXPECT_THAT(Error(Allocate({"--max-kl", "1", "--recipe", "paper-w8a8"})),
              AllOf(HasSubstr("--accounting ideal"), HasSubstr("rounded three times")));
  EXPECT_THAT(Error(Allocate({"--max-kl", "1", "--bits", "1,4"})), HasSubstr("--bits"));
  EXPECT_THAT(Error(Allocate({"--max-kl", "1", "--bits", "8,4,8"})),
              HasSubstr("--bits: 8 is named twice"));
  std::vector<std::string> args = Allocate({"--max-kl", "1"});
  args[10] = PathOf("none/map.json");
  EXPECT_THAT(Error(args), HasSubstr(PathOf("none") + " does not exist"));
  args[10] = PathOf("map.txt");
  EXPECT_THAT(Error(args), HasSubstr("must end with .json"));
  EXPECT_EQ(Entries(), std::vector<std::string>{"mnist"});
}

TEST_F(CliAllocate, UnknownTensorsOfAMapAreRefused) {
  const std::string mnist = MakeMnist(), map = PathOf("map.json"), output = PathOf("q");
  WriteAll(map, R"({"recipe": "w4a6", "widths": {"layers.0.x": 8, "layers.7.x": 8}})");
  for (const char* command : {"quantize", "qat"}) {
    EXPECT_THAT(
        Error({"s4d", command, kModel, "--recipe", map, "--output", output, "--mnist", mnist}),
        AllOf(HasSubstr("map.json"), HasSubstr("no tensor layers.7.x")));
  }
  EXPECT_THAT(Error(Allocate({"--recipe", map, "--max-kl", "1"})), HasSubstr("layers.7.x"));
  EXPECT_FALSE(std::filesystem::exists(output));
}

}  // namespace
}  // namespace octet
