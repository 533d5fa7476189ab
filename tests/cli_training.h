// Images and interruptions for tests of the commands that train.
#ifndef OCTET_TESTS_CLI_TRAINING_H_
#define OCTET_TESTS_CLI_TRAINING_H_

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "io/make_idx.h"
#include "tests/cli_program.h"

namespace octet {

class CliTrainingTest : public CliTest {
 protected:
  // 10 classes of images of 12 by 12 pixels: the bright row.
  void SetUp() override {
    CliTest::SetUp();
    std::filesystem::create_directory(PathOf("mnist"));
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

  // Waits until a training that runs has said that `epochs` epochs are done; false when it ended
  // before.
  bool WaitForEpoch(pid_t child, int epochs) const {
    const std::string line = "epoch " + std::to_string(epochs) + " of";
    return WaitUntil(child, [&] { return ReadAll(folder_ / "io/out").find(line) != line.npos; });
  }

  // Starts the program and kills it some time after `epochs` epochs; whether it was running. It
  // runs on while it is watched: give it many more epochs than these.
  bool KillAfter(const std::vector<std::string>& args, int epochs,
                 std::chrono::milliseconds more) const {
    WriteAll(folder_ / "io/out", "");  // of an earlier run
    const Outcome o = Execute(args, "", [&](pid_t child) {
      if (!WaitForEpoch(child, epochs)) return;
      std::this_thread::sleep_for(more);
      kill(child, SIGKILL);
    });
    return o.exit_code == 128 + SIGKILL;
  }

  void ExpectSame(const std::string& a, const std::string& b) const {
    for (const char* file : {"config.json", "model.safetensors", "last.safetensors"}) {
      EXPECT_EQ(ReadAll(std::filesystem::path(PathOf(a)) / file),
                ReadAll(std::filesystem::path(PathOf(b)) / file))
          << file;
    }
  }
};

}  // namespace octet
#endif  // OCTET_TESTS_CLI_TRAINING_H_
