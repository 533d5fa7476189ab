// Contracts of `octet s4d` as a program, and of S4D models given to commands for text.
#include <gmock/gmock.h>

#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::HasSubstr;

constexpr const char* kModel = "tests/golden/s4d_post/model.pth";

class CliS4dTest : public CliTest {
 protected:
  // A folder with a test split of `count` images, all zero, and their labels.
  std::string MakeMnist(int count, uint8_t label) {
    const std::string folder = PathOf("mnist");
    std::filesystem::create_directory(folder);
    const auto write = [&](const char* name, uint8_t kind, std::vector<uint32_t> sizes,
                           size_t bytes, uint8_t value) {
      std::string file = {0, 0, 8, static_cast<char>(kind)};
      for (const uint32_t s : sizes) {
        for (int shift = 24; shift >= 0; shift -= 8) {
          file += static_cast<char>(s >> shift & 255);
        }
      }
      WriteAll(folder + "/" + name, file + std::string(bytes, static_cast<char>(value)));
    };
    const auto n = static_cast<uint32_t>(count);
    write("t10k-images-idx3-ubyte", 3, {n, 4, 4}, 16 * n, 0);
    write("t10k-labels-idx1-ubyte", 1, {n}, n, label);
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
