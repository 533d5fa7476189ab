// Contracts of `octet s4d train`:
//  1. It writes a model folder that `octet s4d evaluate` reads, with the scale of the pixels that
//  it
//     was trained with; the same arguments give the same bytes for any number of threads.
//  2. Killed (SIGKILL) at any moment, the same command goes on from the checkpoint, says so, and
//     writes the bytes of a run that was not killed; nothing else is left.
//  3. Other arguments, a damaged checkpoint, and a loss that is not finite end it with one
//  sentence;
//     the checkpoint stays as it was.
#include <chrono>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>

#include "base/rng.h"
#include "io/make_idx.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using testing::HasSubstr;

constexpr const char* kFiles[] = {"config.json", "model.safetensors", "last.safetensors"};

class CliTrain : public CliTest {
 protected:
  // 10 classes of images of 12 by 12 pixels: the bright row.
  void SetUp() override {
    CliTest::SetUp();
    fs::create_directory(PathOf("mnist"));
    Rng rng(1);
    for (const auto& [name, count] : {std::pair("train", 600u), std::pair("t10k", 100u)}) {
      std::string pixels, labels;
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t label = rng.Below(10);
        for (uint64_t p = 0; p < 144; ++p) {
          pixels += static_cast<char>((p / 12 == label ? 150 : 0) + rng.Below(100));
        }
        labels += static_cast<char>(label);
      }
      const std::string stem = PathOf("mnist") + "/" + name;
      WriteAll(stem + "-images-idx3-ubyte", MakeIdx(kIdxImages, {count, 12, 12}, pixels));
      WriteAll(stem + "-labels-idx1-ubyte", MakeIdx(kIdxLabels, {count}, labels));
    }
  }

  std::vector<std::string> Train(const std::string& output) const {
    return {
        Program(),   "s4d",       "train",   "--mnist", PathOf("mnist"), "--output", PathOf(output),
        "--d-model", "6",         "--modes", "5",       "--epochs",      "12",       "--batch",
        "20",        "--threads", "1"};
  }

  // Starts the program and kills it some time after `epochs` epochs; whether it was running.
  bool KillAfter(const std::vector<std::string>& args, int epochs,
                 std::chrono::milliseconds more) const {
    WriteAll(folder_ / "io/out", "");  // of an earlier run
    const std::string line = "epoch " + std::to_string(epochs) + " of";
    const Outcome o = Execute(args, "", [&](pid_t child) {
      siginfo_t info{};
      while (ReadAll(folder_ / "io/out").find(line) == std::string::npos) {
        waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
        if (info.si_pid != 0) return;
        std::this_thread::sleep_for(1ms);
      }
      std::this_thread::sleep_for(more);
      kill(child, SIGKILL);
    });
    return o.exit_code == 128 + SIGKILL;
  }

  void ExpectSame(const std::string& a, const std::string& b) const {
    for (const char* file : kFiles) {
      EXPECT_EQ(ReadAll(fs::path(PathOf(a)) / file), ReadAll(fs::path(PathOf(b)) / file)) << file;
    }
  }
};

TEST_F(CliTrain, WritesAModel) {
  const Outcome one = Execute(Train("one"));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("epoch 12 of 12  loss "));
  std::vector<std::string> args = Train("two");
  args.back() = "2";
  ASSERT_EQ(Execute(args).exit_code, 0);
  ExpectSame("one", "two");
  const std::vector<std::string> evaluate = {"s4d", "evaluate", PathOf("one"), "--mnist",
                                             PathOf("mnist")};
  const Json scaled = OctetJson(evaluate);
  std::vector<std::string> same = evaluate, raw = evaluate;
  same.insert(same.end(), {"--mean", "0.1307", "--std", "0.3081"});
  raw.insert(raw.end(), {"--mean", "0", "--std", "1"});
  EXPECT_EQ(OctetJson(same), scaled);
  EXPECT_NE(OctetJson(raw), scaled);
  EXPECT_EQ(Entries().size(), 3u);  // both folders and the images
}

TEST_F(CliTrain, KilledAtSeveralMomentsGivesTheSameBytes) {
  ASSERT_EQ(Execute(Train("whole")).exit_code, 0);
  const std::vector<std::string> args = Train("killed");
  for (const int epochs : {2, 5, 8}) {
    ASSERT_TRUE(KillAfter(args, epochs, 3ms * epochs));
    EXPECT_TRUE(fs::exists(PathOf("killed.checkpoint")));
    EXPECT_FALSE(fs::exists(PathOf("killed")));
  }
  const Outcome last = Execute(args);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(last.err, HasSubstr("going on after epoch "));
  EXPECT_EQ(last.out.find("epoch 7 of"), std::string::npos);
  ExpectSame("killed", "whole");
  EXPECT_EQ(Entries().size(), 3u);
}

TEST_F(CliTrain, RefusesInOneSentence) {
  const auto error = [&](const std::vector<std::string>& args) {
    const Outcome o = Execute(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  };
  ASSERT_TRUE(KillAfter(Train("model"), 2, 0ms));
  const std::string checkpoint = PathOf("model.checkpoint"), before = ReadAll(checkpoint);
  std::vector<std::string> other = Train("model");
  other.insert(other.end(), {"--lr", "0.02"});
  EXPECT_THAT(error(other),
              testing::AllOf(HasSubstr("model.checkpoint"), HasSubstr("differs (lr)")));
  EXPECT_EQ(ReadAll(checkpoint), before);
  WriteAll(checkpoint, before.substr(0, before.size() / 2));
  EXPECT_THAT(error(Train("model")), HasSubstr("model.checkpoint"));
  std::vector<std::string> wild = Train("wild");
  wild.insert(wild.end(), {"--lr", "1e9"});
  EXPECT_THAT(error(wild),
              testing::AllOf(HasSubstr("training stopped: epoch 1, step "), HasSubstr("finite")));
  fs::create_directory(PathOf("full"));
  WriteAll(PathOf("full") + "/file", "");
  EXPECT_THAT(error(Train("full")), HasSubstr("not empty"));
  std::vector<std::string> few = Train("few");
  few.insert(few.end(), {"--limit", "5"});
  EXPECT_THAT(error(few), HasSubstr("too few"));
}

}  // namespace
}  // namespace octet
