// Contracts of quantizing through a work folder, for every recipe and family:
//  1. The graph, the tensors and the record are those of the run in memory, bit for bit.
//  2. So they are when the run was stopped in any block, or after all, and another went on.
//  3. A folder of another run is started again, and says what differs; one that is locked, foreign
//     or cannot be read is refused and left alone; a damaged block is kCorrupt and names the
//     folder.
//  4. The folder stays when blocks are finished, disappears when none is or when it is removed.
#include <cstring>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include "exec/quantized_format.h"
#include "io/scratch_folder.h"
#include "quant/passes/passes.h"
#include "quant/recipe.h"
#include "quant/work_folder.h"
#include "tests/models.h"

namespace octet {
namespace {

constexpr int kLayers = 3;

RandomModel Model(Family family) {
  if (family == Family::kMamba) {
    Mamba1Config c = SmallMamba1();
    c.layers = kLayers;
    return MakeRandomModel(c, 5);
  }
  Mamba2Config c = SmallConfig(2);
  c.layers = kLayers;
  return MakeRandomModel(c, 5);
}

TokenDataset Text(const RandomModel& m) {
  TokenDataset data;
  for (uint64_t i = 0; i < 4; ++i) {
    data.documents.push_back(RandomTokens(20 + 9 * static_cast<int64_t>(i), m.graph.vocab_rows, i));
  }
  return data;
}

Json RunNamed(const std::string& name) {
  Json run = Json::MakeObject();
  run.Set("recipe", name);
  run.Set("seed", 1);
  return run;
}

QuantizedModel QuantizeIn(const RecipeRun& run, const RandomModel& m, WorkFolder* work) {
  ThreadPool pool(2);
  Result<QuantizedModel> q =
      Quantize(run, m.graph, m.weights, Text(m), Json("text"), &pool, {}, work);
  EXPECT_TRUE(q.ok()) << q.status().message();
  return q.ok() ? *std::move(q) : QuantizedModel{};
}

void ExpectSame(const QuantizedModel& got, const QuantizedModel& want) {
  EXPECT_EQ(got.config, want.config);
  EXPECT_EQ(ToText(got.graph), ToText(want.graph));
  const auto a = StoredTensors(got.graph, got.weights), b = StoredTensors(want.graph, want.weights);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].first, b[i].first);
    ASSERT_EQ(a[i].second.dtype, b[i].second.dtype) << a[i].first;
    ASSERT_EQ(a[i].second.shape, b[i].second.shape) << a[i].first;
    const auto bytes = static_cast<size_t>(a[i].second.data_bytes());
    EXPECT_EQ(std::memcmp(a[i].second.data, b[i].second.data, bytes), 0) << a[i].first;
  }
}

// Runs the passes of `plan` in the folder until all of them but the last have done block `layer`,
// or, for kLayers, until all blocks are done.
void StopIn(int layer, const QuantPlan& plan, bool swept, const RandomModel& m, WorkFolder* work) {
  RandomModel copy = m;
  ThreadPool pool(1);
  const TokenDataset data = Text(m);
  const Progress progress;
  QuantContext context{copy.graph, copy.weights, data, pool, progress};
  context.work = work;
  if (swept) {
    ASSERT_TRUE(work->Remember(ToJson(plan)).ok());
  }
  std::vector<Pass> passes = PassesOf(plan);
  passes.push_back(
      {"stop", nullptr,
       [layer](QuantContext&, int now) { return now == layer ? Internal("stopped") : Status(); },
       [](QuantContext&) { return Internal("stopped"); }});
  const Status s = RunPasses(passes, context);
  ASSERT_EQ(s.message(), "stop: stopped");
  ASSERT_EQ(work->finished(), layer);
}

TEST(Streaming, EveryRecipeGivesTheBytesOfTheRunInMemory) {
  for (const Family family : {Family::kMamba2, Family::kMamba}) {
    const RandomModel m = Model(family);
    for (const Recipe& recipe : Recipes()) {
      if (recipe.only && *recipe.only != family) continue;
      SCOPED_TRACE(recipe.name);
      const RecipeRun run = *PlanRecipe(recipe, Json::MakeObject(), family);
      const QuantizedModel want = QuantizeIn(run, m, nullptr);
      QuantPlan decided;
      ASSERT_TRUE(ApplyJson(*want.config.Find("plan"), &decided).ok());
      for (int stop = 0; stop <= kLayers; ++stop) {
        SCOPED_TRACE(stop);
        const ScratchFolder scratch;
        {
          Result<WorkFolder> first = WorkFolder::Open(scratch.At("work"), RunNamed(run.name));
          ASSERT_TRUE(first.ok()) << first.status().message();
          StopIn(stop, decided, run.plan.sweep_alpha, m, &*first);
        }
        Result<WorkFolder> work = WorkFolder::Open(scratch.At("work"), RunNamed(run.name));
        ASSERT_TRUE(work.ok()) << work.status().message();
        EXPECT_EQ(work->discarded(), "");
        EXPECT_EQ(work->finished(), stop);
        ExpectSame(QuantizeIn(run, m, &*work), want);
        EXPECT_EQ(work->finished(), kLayers);
        ASSERT_TRUE(work->Remove().ok());
        EXPECT_TRUE(scratch.List().empty());
      }
    }
  }
}

TEST(Streaming, StaticStateScalesAndFourBitsSurvive) {
  const RandomModel m = Model(Family::kMamba2);
  Json options = Json::MakeObject();
  options.Set("state", "i8s");
  const RecipeRun run = *PlanRecipe(**FindRecipe("ssdi8-w4a8"), options, Family::kMamba2);
  const QuantizedModel want = QuantizeIn(run, m, nullptr);
  const ScratchFolder scratch;
  {
    WorkFolder first = *WorkFolder::Open(scratch.At("work"), RunNamed("a"));
    StopIn(2, run.plan, false, m, &first);
  }
  WorkFolder work = *WorkFolder::Open(scratch.At("work"), RunNamed("a"));
  ExpectSame(QuantizeIn(run, m, &work), want);
}

class StoppedRun : public testing::Test {
 protected:
  void SetUp() override {
    run_ = *PlanRecipe(**FindRecipe("ssdi8-w8a8"), Json::MakeObject(), Family::kMamba2);
    WorkFolder first = *WorkFolder::Open(path_, RunNamed("a"));
    StopIn(2, run_.plan, false, model_, &first);
  }
  const ScratchFolder scratch_;
  const std::string path_ = scratch_.At("work");
  const RandomModel model_ = Model(Family::kMamba2);
  RecipeRun run_;
};

TEST_F(StoppedRun, OfAnotherRunIsStartedAgain) {
  const Result<WorkFolder> other = WorkFolder::Open(path_, RunNamed("b"));
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->finished(), 0);
  EXPECT_EQ(other->discarded(), "recipe differs");
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(StoppedRun, DamagedProgressIsStartedAgain) {
  scratch_.Write("work/progress.json", "{\"run\":");
  const Result<WorkFolder> work = WorkFolder::Open(path_, RunNamed("a"));
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(work->finished(), 0);
  EXPECT_EQ(work->discarded(), "progress.json is damaged");
}

TEST_F(StoppedRun, ThatCannotBeReadIsKept) {
  const std::string progress = scratch_.At("work/progress.json"), away = scratch_.At("away");
  std::filesystem::rename(progress, away);
  std::filesystem::create_directory(progress);
  EXPECT_FALSE(WorkFolder::Open(path_, RunNamed("a")).ok());
  ASSERT_TRUE(std::filesystem::remove(progress));
  std::filesystem::rename(away, progress);
  const Result<WorkFolder> work = WorkFolder::Open(path_, RunNamed("a"));
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(work->finished(), 2);
}

TEST_F(StoppedRun, IsLockedWhileInUse) {
  const WorkFolder first = *WorkFolder::Open(path_, RunNamed("a"));
  const Status second = WorkFolder::Open(path_, RunNamed("b")).status();
  EXPECT_EQ(second.code(), Code::kInvalidArgument);
  EXPECT_NE(second.message().find("another process"), std::string::npos) << second.message();
  EXPECT_TRUE(std::filesystem::exists(first.PathOf("progress.json")));
}

TEST_F(StoppedRun, ForeignFilesAreLeftAlone) {
  scratch_.Write("work/thesis.txt", "mine");
  const Status s = WorkFolder::Open(path_, RunNamed("b")).status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_NE(s.message().find("thesis.txt"), std::string::npos) << s.message();
  EXPECT_TRUE(std::filesystem::exists(scratch_.At("work/thesis.txt")));
  EXPECT_TRUE(std::filesystem::exists(scratch_.At("work/progress.json")));
}

TEST_F(StoppedRun, DamagedBlocksAndStreamsAreNamed) {
  ThreadPool pool(1);
  for (const char* file : {"work/block.1.safetensors", "work/float.2"}) {
    WorkFolder work = *WorkFolder::Open(path_, RunNamed("a"));
    ASSERT_EQ(work.finished(), 2);
    const std::string bytes = ReadBytes(scratch_.At(file));
    scratch_.Write(file, bytes.substr(0, bytes.size() / 2));
    const Status s =
        Quantize(run_, model_.graph, model_.weights, Text(model_), Json("text"), &pool, {}, &work)
            .status();
    EXPECT_EQ(s.code(), Code::kCorrupt) << s.message();
    EXPECT_NE(s.message().find(path_), std::string::npos) << s.message();
    scratch_.Write(file, bytes);
  }
  WorkFolder work = *WorkFolder::Open(path_, RunNamed("a"));
  ExpectSame(QuantizeIn(run_, model_, &work), QuantizeIn(run_, model_, nullptr));
}

TEST(WorkFolder, DisappearsWhenNothingIsFinished) {
  const ScratchFolder scratch;
  {
    const WorkFolder work = *WorkFolder::Open(scratch.At("work"), RunNamed("a"));
    EXPECT_TRUE(std::filesystem::is_directory(work.path()));
  }
  EXPECT_TRUE(scratch.List().empty());
}

}  // namespace
}  // namespace octet
