// Contracts of io/mnist.h:
//  - both splits are found under each spelling, in the stated order;
//  - files that are missing, disagree or hold another label are refused with their path;
//  - MNIST itself reads as its authors describe it.
#include "io/mnist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>

#include "io/make_gzip.h"
#include "io/make_idx.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string TwoImages() {
  return MakeIdx(kIdxImages, {2, 1, 3}, "abcdef");
}
std::string Labels(const std::string& labels) {
  return MakeIdx(kIdxLabels, {static_cast<uint32_t>(labels.size())}, labels);
}

TEST(Mnist, FindsEverySpelling) {
  for (const MnistSplit split : {MnistSplit::kTrain, MnistSplit::kTest}) {
    const std::string name = split == MnistSplit::kTrain ? "train" : "t10k";
    for (const std::string separator : {"-", "."}) {
      for (const bool gzip : {false, true}) {
        const ScratchFolder folder;
        const std::string ending = gzip ? ".gz" : "";
        folder.Write(name + "-images" + separator + "idx3-ubyte" + ending,
                     gzip ? MakeGzip(TwoImages()) : TwoImages());
        folder.Write(name + "-labels" + separator + "idx1-ubyte" + ending,
                     gzip ? MakeGzip(Labels("\x09\x03")) : Labels("\x09\x03"));
        const auto set = ReadMnist(folder.path(), split);
        ASSERT_TRUE(set.ok()) << set.status().message();
        EXPECT_THAT((std::vector{set->count, set->rows, set->cols, set->channels}),
                    ElementsAre(2, 1, 3, 1));
        EXPECT_THAT(set->pixels, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
        EXPECT_THAT(set->labels, ElementsAre(9, 3));
        const bool train = split == MnistSplit::kTrain;
        EXPECT_EQ(ReadMnist(folder.path(), train ? MnistSplit::kTest : MnistSplit::kTrain)
                      .status()
                      .code(),
                  Code::kNotFound);
      }
    }
  }
}

TEST(Mnist, TakesTheFirstSpellingThatIsAFile) {
  const ScratchFolder folder;
  folder.Write("t10k-images.idx3-ubyte", TwoImages());
  const auto first_label = [&](const char* name, const std::string& labels) {
    folder.Write(name, Labels(labels));
    const auto set = ReadMnist(folder.path(), MnistSplit::kTest);
    return set.ok() ? set->labels[0] : -1;
  };
  EXPECT_EQ(first_label("t10k-labels.idx1-ubyte.gz", "\x04\x04"), 4);
  EXPECT_EQ(first_label("t10k-labels.idx1-ubyte", "\x03\x03"), 3);
  EXPECT_EQ(first_label("t10k-labels-idx1-ubyte.gz", "\x02\x02"), 2);
  EXPECT_EQ(first_label("t10k-labels-idx1-ubyte", "\x01\x01"), 1);
  std::filesystem::remove(folder.At("t10k-labels-idx1-ubyte"));
  std::filesystem::create_directory(folder.At("t10k-labels-idx1-ubyte"));
  EXPECT_EQ(first_label("other", ""), 2);
  // A file of that name that is damaged is an error, though others would do.
  EXPECT_EQ(first_label("t10k-labels-idx1-ubyte.gz", ""), -1);
}

TEST(Mnist, RefusesWhatIsMissing) {
  const ScratchFolder folder;
  const auto error = [](const std::string& path) {
    return ReadMnist(path, MnistSplit::kTrain).status();
  };
  EXPECT_EQ(error(folder.At("none")).code(), Code::kNotFound);
  EXPECT_EQ(error(folder.At("none")).message(), folder.At("none") + ": there is no such folder");
  folder.Write("train-images-idx3-ubyte", TwoImages());
  EXPECT_EQ(error(folder.path()).code(), Code::kNotFound);
  EXPECT_EQ(error(folder.path()).message(),
            folder.path() +
                ": holds neither train-labels-idx1-ubyte nor train-labels.idx1-ubyte, "
                "plain or .gz");
  std::filesystem::remove(folder.At("train-images-idx3-ubyte"));
  folder.Write("train-labels-idx1-ubyte", Labels("\1\2"));
  EXPECT_THAT(error(folder.path()).message(), HasSubstr("train-images.idx3-ubyte"));
}

TEST(Mnist, RefusesWhatDisagrees) {
  const ScratchFolder folder;
  const std::string images = folder.Write("t10k-images-idx3-ubyte", TwoImages());
  const auto error = [&](const std::string& labels) {
    folder.Write("t10k-labels-idx1-ubyte", labels);
    const Status status = ReadMnist(folder.path(), MnistSplit::kTest).status();
    EXPECT_EQ(status.code(), Code::kCorrupt);
    return status.message();
  };
  const std::string path = folder.At("t10k-labels-idx1-ubyte");
  EXPECT_EQ(error(Labels("\1\2\3")), path + ": 3 labels for the 2 images of " + images);
  EXPECT_EQ(error(Labels("\1")), path + ": 1 labels for the 2 images of " + images);
  EXPECT_EQ(error(Labels("\x09\x0a")), path + ": the label of image 1 is 10, not 0 to 9");
  EXPECT_EQ(error(Labels("\xff\x0a")), path + ": the label of image 0 is 255, not 0 to 9");
  EXPECT_THAT(error(TwoImages()), HasSubstr(path + ": starts with"));
  folder.Write("t10k-images-idx3-ubyte", TwoImages() + "x");
  EXPECT_THAT(error(Labels("\1\2")), HasSubstr(images + ": its sizes"));
}

// Not in the repository. Sums of pixels and of an image's pixels as Python's gzip module reads
// them.
TEST(Mnist, ReadsMnist) {
  const char* data = std::getenv("OCTET_DATA");
  const std::filesystem::path folder =
      std::filesystem::path(data ? data : "../shared/data") / "mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << "; set OCTET_DATA";
  const auto sum = [](std::span<const uint8_t> bytes) {
    return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
  };
  const auto train = ReadMnist(folder.string(), MnistSplit::kTrain);
  ASSERT_TRUE(train.ok()) << train.status().message();
  EXPECT_THAT((std::vector{train->count, train->rows, train->cols, train->channels}),
              ElementsAre(60000, 28, 28, 1));
  EXPECT_THAT(std::span(train->labels).first(5), ElementsAre(5, 0, 4, 1, 9));
  EXPECT_EQ(train->labels.size(), 60000u);
  EXPECT_EQ(sum(train->pixels), 1567298545);
  EXPECT_EQ(sum(std::span(train->pixels).first(784)), 27525);
  EXPECT_THAT(std::span(train->pixels).subspan(5 * 28 + 12, 4), ElementsAre(3, 18, 18, 18));
  const auto test = ReadMnist(folder.string(), MnistSplit::kTest);
  ASSERT_TRUE(test.ok()) << test.status().message();
  EXPECT_THAT((std::vector{test->count, test->rows, test->cols, test->channels}),
              ElementsAre(10000, 28, 28, 1));
  EXPECT_THAT(std::span(test->labels).first(5), ElementsAre(7, 2, 1, 0, 4));
  EXPECT_EQ(sum(test->pixels), 264923200);
}

}  // namespace
}  // namespace octet
