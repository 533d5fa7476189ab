// Contracts of eval/bench.h:
// 1. SpreadOf: median, minimum and maximum, of odd and even counts.
// 2. Bench measures what it is asked for, for each model, and says what the process used.
// 3. A slower model has the smaller number: tokens per second, not seconds.
// 4. Stages share out the time of each row, and read all weights and the state; each instruction
// set
//    and number of threads has its roofs, and the instruction set in force stays.
// 5. Nothing to measure is refused.
#include "eval/bench.h"

#include <utility>

#include <gtest/gtest.h>

#include "eval/test_model.h"
#include "kernels/isa.h"
#include "runtime/session.h"

namespace octet {
namespace {

TEST(SpreadOf, GivesMedianAndExtremes) {
  const Spread odd = SpreadOf({3, 9, 1});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 9);
  EXPECT_EQ(SpreadOf({4, 1, 2, 10}).median, 3);
  EXPECT_EQ(SpreadOf({}).median, 0);
}

std::vector<BenchSubject> Subjects(const std::vector<std::shared_ptr<const Model>>& models) {
  std::vector<BenchSubject> subjects;
  for (const auto& m : models) {
    subjects.push_back({m, ""});
  }
  return subjects;
}

BenchOptions Options(std::vector<int64_t> prefill, int64_t decode, int repeats = 1) {
  BenchOptions o;
  o.prefill = std::move(prefill);
  o.decode = decode;
  o.repeats = repeats;
  return o;
}

TEST(Bench, MeasuresEachModel) {
  const auto books = LoadBooks();
  const auto tiny = Model::Load("tests/golden/mamba2_g1", {});
  ASSERT_NE(books, nullptr);
  ASSERT_TRUE(tiny.ok()) << tiny.status().message();
  const std::vector<BenchSubject> subjects = Subjects({books, *tiny});
  int64_t calls = 0;
  const auto report =
      Bench(subjects, Options({64, 16}, 8, 3), [&](std::string_view, int64_t done, int64_t total) {
        EXPECT_EQ(done, calls++);
        EXPECT_EQ(total, 24) << "six rows in four rounds";
      });
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->rows.size(), 6u);
  EXPECT_EQ(calls, 25) << "from none to all";
  const char* names[] = {"pp64", "pp16", "tg8"};
  for (size_t i = 0; i < 6; ++i) {
    const BenchRow& row = report->rows[i];
    EXPECT_EQ(row.subject, i / 3);
    EXPECT_EQ(TestName(row), names[i % 3]);
    const Spread& s = row.tokens_per_s;
    EXPECT_GT(s.min, 0);
    EXPECT_LE(s.min, s.median);
    EXPECT_LE(s.median, s.max);
    EXPECT_LT(s.min, s.max) << "three measurements, to the nanosecond";
    EXPECT_FALSE(row.stages.has_value());
  }
  for (size_t i = 0; i < 2; ++i) {
    const auto pool = std::make_shared<ThreadPool>(1);
    EXPECT_EQ(report->state_bytes[i], Session(subjects[i].model, pool).state().bytes());
  }
  // About 1000 times the multiply-adds per token.
  EXPECT_LT(report->Find(0, BenchTest::kPrefill)->tokens_per_s.median,
            report->Find(1, BenchTest::kPrefill)->tokens_per_s.median);
  EXPECT_EQ(report->Find(1, BenchTest::kDecode), &report->rows[5]);
  EXPECT_EQ(report->Find(2, BenchTest::kDecode), nullptr);
  EXPECT_TRUE(report->roofs.empty());
  EXPECT_GT(report->peak_rss_bytes, int64_t{1} << 20);
  EXPECT_GT(report->cpu_share, 0);
  EXPECT_LT(report->cpu_share, 1.5);
}

TEST(Bench, TimesStagesBesideTheRoofs) {
  const std::vector<BenchSubject> subjects = Subjects({LoadBooks()});
  ASSERT_NE(subjects[0].model, nullptr);
  BenchOptions options = Options({300}, 3, 2);
  options.threads = {1, 2};
  options.stages = true;
  const auto report = Bench(subjects, options, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->rows.size(), 4u);
  ASSERT_EQ(report->roofs.size(), 2u) << "of each number of threads";
  const Model& model = *subjects[0].model;
  double weights = 0, kept = 0;
  for (const auto& [name, w] : model.weights().all()) {
    weights += static_cast<double>(w.bytes());
    // Two of the three rows [C] of a history stay when a token comes; the taps are [C, 4].
    if (name.ends_with("conv1d.weight"))
      kept += 2.0 * sizeof(float) * static_cast<double>(w.shape[0]);
  }
  const auto state = static_cast<double>(report->state_bytes[0]);
  for (const BenchRow& row : report->rows) {
    const Roof* roof = report->FindRoof(row, CurrentIsa());
    ASSERT_NE(roof, nullptr);
    EXPECT_EQ(roof->threads, row.threads);
    EXPECT_GT(roof->read_bytes_per_s.min, 0);
    EXPECT_GT(roof->i8_ops_per_s.min, 0);
    EXPECT_GT(roof->f32_ops_per_s.min, 0);
    ASSERT_TRUE(row.stages.has_value());
    double share = 0, time = 0;
    for (const Stage& s : row.stages->stages) {
      share += s.share;
      time += s.us_per_token;
      EXPECT_EQ(s.bytes_per_token > 0, s.name != "rest") << s.name;
      EXPECT_FALSE(s.integer) << "a float model";
    }
    EXPECT_NEAR(share, 1, 1e-9);
    EXPECT_EQ(row.stages->stages.back().name, "rest");
    // The head is the embedding, so that all weights are read for a token.
    const bool decode = row.test == BenchTest::kDecode;
    const double pieces = decode ? 3 : 2;  // 300 tokens are two pieces
    const double logits = decode ? 3 : 1;
    const auto head =
        static_cast<double>(model.weights().Find("backbone.embeddings.weight")->bytes());
    const double moved = 2 * state - (decode ? kept : 0);
    const double read = pieces * (weights - head) + logits * head + pieces * moved;
    // The final norm runs with the head.
    EXPECT_NEAR(row.stages->read_bytes_per_token * static_cast<double>(row.tokens), read,
                0.001 * read);
    EXPECT_GT(time, 0);
  }
}

TEST(Bench, RunsEachInstructionSet) {
  std::vector<BenchSubject> subjects;
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    subjects.push_back({LoadBooks(), isa});
  }
  ASSERT_TRUE(ForceIsaFromEnvironment().ok());
  const std::string before = CurrentIsa();
  BenchOptions options = Options({16}, 0);
  options.stages = true;
  const auto report = Bench(subjects, options, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(CurrentIsa(), before);
  EXPECT_EQ(report->roofs.size(), subjects.size());
  for (const BenchRow& row : report->rows) {
    EXPECT_NE(report->FindRoof(row, subjects[row.subject].isa), nullptr);
  }
  subjects[0].isa = "mmx";
  EXPECT_EQ(Bench(subjects, options, {}).status().code(), Code::kInvalidArgument);
}

TEST(Bench, MeasuresStreamsTogether) {
  const std::vector<BenchSubject> subjects = Subjects({*Model::Load("tests/golden/mamba2_g1", {})});
  BenchOptions options = Options({0}, 3, 2);
  options.batch = {2, 70};
  options.stages = true;
  const Result<BenchReport> report = Bench(subjects, options, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->rows.size(), 3u);
  const char* names[] = {"tg3", "tg3 b2", "tg3 b70"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(TestName(report->rows[i]), names[i]);
    EXPECT_GT(report->rows[i].tokens_per_s.min, 0);
    EXPECT_EQ(report->rows[i].stages.has_value(), i == 0);
  }
  EXPECT_EQ(report->Find(0, BenchTest::kDecode), &report->rows[0]);
  options.batch = {1};
  EXPECT_EQ(Bench(subjects, options, {}).status().code(), Code::kInvalidArgument);
  options = Options({5}, 0);
  options.batch = {2};
  EXPECT_EQ(Bench(subjects, options, {}).status().code(), Code::kInvalidArgument);
}

TEST(Bench, SkipsWhatIsNotWanted) {
  const std::vector<BenchSubject> subjects = Subjects({LoadBooks()});
  ASSERT_NE(subjects[0].model, nullptr);
  const auto report = Bench(subjects, Options({0}, 2), {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->Find(0, BenchTest::kPrefill), nullptr);
  EXPECT_GT(report->Find(0, BenchTest::kDecode)->tokens_per_s.median, 0);
}

TEST(Bench, RefusesNothing) {
  const std::vector<BenchSubject> subjects = Subjects({LoadBooks()});
  ASSERT_NE(subjects[0].model, nullptr);
  EXPECT_FALSE(Bench({}, {}, {}).ok());
  std::vector<BenchOptions> nonsense = {Options({0}, 0),  Options({}, 0),     Options({-1}, 5),
                                        Options({5}, -5), Options({5}, 5, 0), Options({5}, 5)};
  nonsense.back().threads = {1, 0};
  for (const BenchOptions& o : nonsense) {
    EXPECT_EQ(Bench(subjects, o, {}).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace octet
