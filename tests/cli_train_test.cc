// Contracts of `octet s4d train`:
//  1. It writes a model folder that `octet s4d evaluate` reads, with the scale of the pixels that
//  it
//     was trained with; the same arguments give the same bytes for any number of threads.
//  2. Killed (SIGKILL) at any moment, the same command goes on from the checkpoint, says so, and
//     writes the bytes of a run that was not killed; nothing else is left.
//  3. Other arguments, a damaged checkpoint, and a loss that is not finite end it with one
//  sentence;
//     the checkpoint stays as it was.
//  4. A second run of the same output is refused while the first one runs, and does not disturb it.
#include <gmock/gmock.h>

#include "tests/cli_training.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using testing::HasSubstr;

// So many epochs that the program still trains when a busy machine lets the test act.
constexpr const char* kMany = "60";

class CliTrain : public CliTrainingTest {
 protected:
  std::vector<std::string> Train(const std::string& output, const char* epochs = "12") const {
    return {
        Program(),   "s4d",       "train",   "--mnist", PathOf("mnist"), "--output", PathOf(output),
        "--d-model", "6",         "--modes", "5",       "--epochs",      epochs,     "--batch",
        "20",        "--threads", "1"};
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
  ASSERT_EQ(Execute(Train("whole", kMany)).exit_code, 0);
  const std::vector<std::string> args = Train("killed", kMany);
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

TEST_F(CliTrain, OneRunAtATime) {
  const std::vector<std::string> args = Train("model", kMany);
  Outcome second;
  bool was_running = false;
  const Outcome first = Execute(args, "", [&](pid_t child) {
    // The file of the lock is there a moment before it is taken; an epoch ends later.
    ASSERT_TRUE(WaitForEpoch(child, 1));
    kill(child, SIGSTOP);
    was_running = !HasEnded(child);
    std::string command;
    for (const std::string& a : args) {
      command += "'" + a + "' ";
    }
    FILE* pipe = popen((command + "2>&1").c_str(), "r");
    char text[512] = "";
    second.out = fgets(text, sizeof text, pipe) != nullptr ? text : "";
    second.exit_code = WEXITSTATUS(pclose(pipe));
    kill(child, SIGCONT);
  });
  EXPECT_TRUE(was_running);
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.out, HasSubstr("model.lock: another run has it"));
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(Entries().size(), 2u);  // the model and the images
}

TEST_F(CliTrain, RefusesInOneSentence) {
  const auto error = [&](const std::vector<std::string>& args) {
    const Outcome o = Execute(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  };
  ASSERT_TRUE(KillAfter(Train("model", kMany), 2, 0ms));
  const std::string checkpoint = PathOf("model.checkpoint"), before = ReadAll(checkpoint);
  std::vector<std::string> other = Train("model", kMany);
  other.insert(other.end(), {"--lr", "0.02"});
  EXPECT_THAT(error(other),
              testing::AllOf(HasSubstr("model.checkpoint"), HasSubstr("differs (lr)")));
  EXPECT_EQ(ReadAll(checkpoint), before);
  WriteAll(checkpoint, before.substr(0, before.size() / 2));
  EXPECT_THAT(error(Train("model", kMany)), HasSubstr("model.checkpoint"));
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
