// Contracts of `octet export c`: what it writes builds and passes its own test, its report has the
// accuracy of integers, and what cannot be exported is one sentence and leaves nothing.
#include <gmock/gmock.h>

#include "io/make_idx.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CliExportTest : public CliTest {
 protected:
  // A model that tests have, quantized.
  std::string Quantize(const std::string& recipe, const std::string& mnist) {
    std::string folder = PathOf("quantized");
    std::filesystem::remove_all(folder);
    const Outcome o = Octet({"s4d", "quantize", "tests/golden/s4d_none", "--recipe", recipe,
                             "--output", folder, "--mnist", mnist, "--calibrate", "3"});
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return folder;
  }

  std::string MakeMnist() {
    const std::string folder = PathOf("mnist");
    std::filesystem::create_directory(folder);
    std::string pixels(16 * 5, '\0');
    for (size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<char>(7 * i);
    }
    for (const std::string split : {"t10k", "train"}) {
      WriteAll(folder + "/" + split + "-images-idx3-ubyte", MakeIdx(kIdxImages, {5, 4, 4}, pixels));
      WriteAll(folder + "/" + split + "-labels-idx1-ubyte",
               MakeIdx(kIdxLabels, {5}, std::string(5, 1)));
    }
    return folder;
  }
};

TEST_F(CliExportTest, BuildsAndPassesItsOwnTest) {
  const std::string out = PathOf("c"), mnist = MakeMnist();
  const Json report = OctetJson({"export", "c", Quantize("w4a6", mnist), "--output", out, "--name",
                                 "tiny", "--length", "16", "--mnist", mnist, "--sample"});
  EXPECT_EQ(report.Find("schema")->AsString(), "octet.export.c/1");
  EXPECT_EQ(report.Find("accuracy")->AsObject().size(), 3u);
  EXPECT_EQ(report.Find("sites_of")->AsString(), "5 test images");
  const Json& frames = report.Find("sites")->AsArray()[0];
  EXPECT_EQ(frames.Find("site")->AsString(), "frames");
  EXPECT_EQ(frames.Find("values")->AsInt(), 5 * 16);
  EXPECT_GT(*frames.Find("sqnr_db")->AsNumber(), 20);
  EXPECT_EQ(report.Find("recipe_sha256")->AsString().size(), 64u);
  EXPECT_EQ(report.Find("note"), nullptr);
  EXPECT_GT(report.Find("sizes")->Find("RAM of a stream: bytes")->AsInt(), 0);
  EXPECT_THAT(ReadAll(out + "/README.md"),
              AllOf(HasSubstr("integers, 5 test images"), HasSubstr("| layers.0.x | "),
                    HasSubstr("the float model, 5 test images")));
  EXPECT_THAT(ReadAll(out + "/model_tiny.h"), HasSubstr("tiny_pixel[256]"));
  EXPECT_THAT(ReadAll(out + "/model_tiny_golden.c"), HasSubstr("given[16]"));
  if (Execute({"/usr/bin/env", "cc", "--version"}).exit_code != 0) {
    GTEST_SKIP() << "there is no C compiler";
  }
  ASSERT_EQ(Execute({"/usr/bin/env", "make", "-C", out, "selftest", "CC=cc"}).exit_code, 0);
  const Outcome test = Execute({out + "/selftest"});
  EXPECT_EQ(test.exit_code, 0);
  EXPECT_EQ(test.out, "tiny: the self-test passed\n");
}

TEST_F(CliExportTest, TheExampleIsWhatTheProgramWrites) {
  const std::string out = PathOf("c");
  OctetJson({"export", "c", "models/digits-s4d-16h-w4a6", "--output", out, "--name", "digits"});
  EXPECT_THAT(ReadAll(out + "/README.md"), HasSubstr("no images were given"));
  EXPECT_THAT(ReadAll(out + "/report.json"), HasSubstr("no images were given"));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("examples/digits")) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(ReadAll(entry.path()), ReadAll(out + "/" + name))
        << name << ": make it again with octet export c models/digits-s4d-16h-w4a6 --output "
        << "examples/digits --name digits";
    ++files;
  }
  EXPECT_EQ(files, 11);
}

TEST_F(CliExportTest, Refusals) {
  const std::string out = PathOf("c");
  const auto error = [&](const std::string& model, const std::string& name) {
    const Outcome o = Octet({"export", "c", model, "--output", out, "--name", name});
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_FALSE(std::filesystem::exists(out));
    return o.err;
  };
  const std::string mnist = MakeMnist();
  EXPECT_THAT(error("tests/golden/s4d_none", "m"), HasSubstr("not quantized"));
  EXPECT_THAT(error(kBooks, "m"), HasSubstr(kBooks));
  EXPECT_THAT(error(Quantize("paper-w8a8", mnist), "m"), HasSubstr("rounded three times"));
  EXPECT_THAT(error(Quantize("w8a8", mnist), "no-name"), HasSubstr("no-name"));
}

}  // namespace
}  // namespace octet
