// Contracts of `octet quantize` that is killed (SIGKILL):
//  1. The same command goes on after the last finished block, says so, and writes the bytes of a
//     run that was not killed; nothing else is left.
//  2. With another recipe it says what differs and starts again.
#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli_program.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;

// Blocks that the work folder counts as finished.
int64_t Finished(const fs::path& work) {
  const Result<Json> progress = Json::Parse(ReadAll(work / "progress.json"));
  const Json* finished = progress.ok() ? progress->Find("finished") : nullptr;
  return finished == nullptr ? 0 : finished->AsInt();
}

class CliStreaming : public CliTest {
 protected:
  std::vector<std::string> Quantize(const std::string& recipe, const std::string& output) {
    return {Program(),  "quantize",     kBooks,          "--recipe",     recipe,
            "--output", PathOf(output), "--calibration", WriteText(600), "--samples",
            "8",        "--length",     "256",           "--threads",    "1"};
  }

  // Starts the program, kills it when `blocks` blocks are finished and some time has passed;
  // whether it was still running.
  bool KillAfter(const std::vector<std::string>& args, const fs::path& work, int64_t blocks,
                 std::chrono::milliseconds more) const {
    const Outcome o = Execute(args, "", [&](pid_t child) {
      if (!WaitUntil(child, [&] { return Finished(work) >= blocks; })) return;
      std::this_thread::sleep_for(more);
      kill(child, SIGKILL);
    });
    return o.exit_code == 128 + SIGKILL;
  }
};

TEST_F(CliStreaming, KilledAtSeveralMomentsGivesTheSameBytes) {
  const Outcome whole = Execute(Quantize("ssdi8-w8a8", "whole"));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const std::vector<std::string> args = Quantize("ssdi8-w8a8", "killed");
  const fs::path work = PathOf("killed.partial");
  int64_t before = 0;
  for (const int64_t blocks : {1, 3, 6}) {
    ASSERT_TRUE(KillAfter(args, work, blocks, 7ms * blocks));
    EXPECT_GE(Finished(work), blocks);
    EXPECT_GE(Finished(work), before);
    EXPECT_FALSE(fs::exists(PathOf("killed")));
    before = Finished(work);
  }
  const Outcome last = Execute(args);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  const std::string notice = "going on after block " + std::to_string(before) + " of 8";
  EXPECT_NE(last.err.find(notice), std::string::npos) << last.err;
  EXPECT_FALSE(fs::exists(work));
  for (const char* file : {"model.safetensors", "config.json"}) {
    EXPECT_EQ(ReadAll(fs::path(PathOf("killed")) / file), ReadAll(fs::path(PathOf("whole")) / file))
        << file;
  }
  EXPECT_EQ(Entries().size(), 3u);  // both folders and the text
}

TEST_F(CliStreaming, AnotherRecipeStartsAgain) {
  const fs::path work = PathOf("model.partial");
  ASSERT_TRUE(KillAfter(Quantize("ssdi8-w8a8", "model"), work, 2, 0ms));
  const Outcome other = Execute(Quantize("w8a16", "model"));
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_NE(other.err.find("of another run (recipe differs); starting again"), std::string::npos)
      << other.err;
  EXPECT_FALSE(fs::exists(work));
}

}  // namespace
}  // namespace octet
