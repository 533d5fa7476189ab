// Contracts:
//  1. The exported C compiles as C99 without a warning, and gives after every frame the states,
//     check sums and logits of IntegerRun, for every form of layer, with sanitizers that stop it.
//  2. Its self-test passes, and finds a table in which one number was changed.
//  3. Objects call nothing for floats, allocate nothing and have no data that can change; they
//     compile for machines of 32 bits, Cortex-M0 and M4 among them, where a compiler is there.
//  4. A context that is copied in the middle of a sequence continues to the same logits; Reset is a
//     new stream; the sizes in the header are those of the compiler.
//  5. Names and options that C cannot take are refused.
#include "edge/export_c.h"

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>

#include "base/file.h"
#include "edge/c_source.h"
#include "edge/run.h"
#include "edge/small_model_testing.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kCompile =
    "cc -std=c99 -O1 -Wall -Wextra -Wconversion -Wpedantic -Wshadow -Werror "
    "-fsanitize=undefined,address -fno-sanitize-recover=all ";

// Exit status; output in *text.
int Shell(const std::string& command, std::string* text) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  size_t count = 0;
  while ((count = fread(buffer, 1, sizeof buffer, pipe)) > 0) {
    text->append(buffer, count);
  }
  return pclose(pipe);
}

// Reads frames from a file, prints after each: states, check sums and logits. Once it saves the
// context, uses and resets it, and goes on with what it saved.
constexpr const char* kDriver = R"c(
#include <stdio.h>
#include <string.h>
#include "model_m.h"
static m_context context, saved, zero;
int main(int count, char** arguments) {
  FILE* file = fopen(arguments[count - 1], "rb");
  int8_t frame[M_IN], g[M_HEADS];
  int32_t r[M_HEADS], logits[M_OUT];
  uint32_t checks[LAYERS + 1];
  int t = 0, i;
  ssm_state state = m_view(&context);
  m_init(&context);
  while (fread(frame, 1, M_IN, file) == M_IN) {
    if (++t == 20) {
      saved = context;
      m_step(&context, frame);
      m_reset(&context);
      if (memcmp(&context, &zero, sizeof zero) != 0) return 2;
      context = saved;
    }
    if (t % 2 == 0) {
      if (m_step(&context, frame) != 0) return 1;
    } else {
      if (ssm_step(&m_model, &state, frame, r, g, checks) != 0) return 1;
      for (i = 0; i <= LAYERS; ++i) printf("%lu ", (unsigned long)checks[i]);
    }
    for (i = 0; i < STATES8; ++i) printf("%d ", state.x8[i]);
    for (i = 0; i < STATES16; ++i) printf("%d ", state.x16[i]);
    m_read(&context, logits);
    for (i = 0; i < M_OUT; ++i) printf("%ld ", (long)logits[i]);
    printf("\n");
  }
  return 0;
}
)c";

template <class Values>
uint32_t Fnv(uint32_t hash, const Values& values) {
  for (const auto v : values) {
    hash = (hash ^ static_cast<uint32_t>(v)) * 16777619u;
  }
  return hash;
}

// What the driver prints, of IntegerRun.
std::string Expected(const IntegerS4d& m, const std::vector<int8_t>& frames) {
  std::ostringstream text;
  IntegerRun run(m);
  for (int64_t t = 1; t <= std::ssize(frames) / m.inputs; ++t) {
    IntegerTrace trace;
    const auto begin = static_cast<size_t>((t - 1) * m.inputs);
    const std::span frame = std::span(frames).subspan(begin, static_cast<size_t>(m.inputs));
    EXPECT_TRUE(run.Step(frame, &trace).ok());
    if (t % 2 == 1) text << Fnv(2166136261u, trace.encoder) << " ";
    for (const IntegerTrace::Layer& l : trace.layers) {
      const uint32_t check = Fnv(Fnv(Fnv(2166136261u, l.x), l.g), l.r);
      if (t % 2 == 1) text << check << " ";
    }
    for (const bool small : {true, false}) {
      for (size_t i = 0; i < trace.layers.size(); ++i) {
        if ((m.layers[i].most_state <= 127) != small) continue;
        for (const int16_t v : trace.layers[i].x) {
          text << v << " ";
        }
      }
    }
    for (const int32_t v : run.Read()) {
      text << v << " ";
    }
    text << "\n";
  }
  return text.str();
}

class ExportTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    if (Shell("cc --version", &text) != 0) GTEST_SKIP() << "there is no C compiler";
  }

  IntegerS4d Lowered(const S4dPlan& plan, size_t sizes) const {
    const SmallModel small = MakeSmallModel(VariousSizes()[sizes], 3, sizes == 1);
    Result<IntegerS4d> model = LowerS4d(small.graph, small.weights, plan, small.ranges);
    EXPECT_TRUE(model.ok()) << model.status().message();
    return *std::move(model);
  }

  // Exports as "m" to `folder` below the scratch folder.
  std::string Export(const IntegerS4d& m, const std::string& folder, CExport options = CExport()) {
    options.name = "m";
    options.length = 40;
    const std::string path = scratch_.At(folder);
    Result<OutputFolder> out = OutputFolder::Create(path);
    EXPECT_TRUE(out.ok());
    const Status written = WriteC(m, options, &*out);
    EXPECT_TRUE(written.ok()) << written.message();
    EXPECT_TRUE(out->Commit().ok());
    return path + "/";
  }

  void ExpectSuccess(const std::string& command) {
    std::string text;
    EXPECT_EQ(Shell(command, &text), 0) << command << "\n" << text;
  }

  // Of the output of nm.
  static void ExpectConstant(const std::string& symbols, const std::string& compiler) {
    std::istringstream lines(symbols);
    std::string line;
    int count = 0;
    while (std::getline(lines, line)) {
      const char kind = line[line.find_last_of(' ') - 1];
      const std::string name = line.substr(line.find_last_of(' ') + 1);
      EXPECT_THAT("BbDdC", Not(HasSubstr(std::string(1, kind)))) << compiler << ": " << line;
      ++count;
      if (kind != 'U') continue;
      // Divisions and shifts of 64 bits are calls on small machines.
      EXPECT_THAT(
          name, testing::MatchesRegex("ssm_.*|memset|__aeabi_(memclr|memset).*|__aeabi_(lmul|llsl|"
                                      "llsr|lasr|ldivmod|uidiv(mod)?)|__(div|mod|divmod)di[34]|"
                                      "_GLOBAL_OFFSET_TABLE_"))
          << compiler;
    }
    EXPECT_GT(count, 20);
  }

  ScratchFolder scratch_;
};

TEST_F(ExportTest, GivesTheCodesOfTheRun) {
  // The runtime is the same in every export.
  const std::string first = Export(Lowered(EightBits(8), 0), "runtime");
  ExpectSuccess(fmt::format("cd {} && {} -c ssm_rt.c -o ../rt.o", first, kCompile));
  std::vector<std::pair<std::string, IntegerS4d>> models;
  for (const auto& [name, plan] : VariousPlans()) {
    models.emplace_back(name, Lowered(plan, models.size() % 3));
  }
  for (const auto& [log_real, bits] : {std::pair{-8.5f, 8}, {-12.0f, 8}, {-12.0f, 16}}) {
    const SmallModel circle = MakeCircleModel(VariousSizes()[1], 3, log_real);
    Result<IntegerS4d> m = LowerS4d(circle.graph, circle.weights, EightBits(bits), circle.ranges);
    ASSERT_TRUE(m.ok()) << m.status().message();
    ASSERT_FALSE(m->layers[1].packed);
    models.emplace_back(fmt::format("poles e^{}, x{}", log_real, bits), *std::move(m));
  }
  int count = 0;
  for (const auto& [name, m] : models) {
    SCOPED_TRACE(name);
    const std::string at = Export(m, fmt::format("model{}", ++count));
    Rng rng(8);
    const std::vector<int8_t> frames = RandomCodes(60 * m.inputs, 2, &rng);
    int64_t small = 0, large = 0;
    for (const IntegerLayer& l : m.layers) {
      (l.most_state <= 127 ? small : large) += std::ssize(l.A);
    }
    scratch_.Write(at + "frames", std::string(frames.begin(), frames.end()));
    scratch_.Write(at + "driver.c", kDriver);
    ExpectSuccess(fmt::format(
        "cd {} && {} -DLAYERS={} -DSTATES8={} -DSTATES16={} -o driver driver.c model_m.c ../rt.o",
        at, kCompile, m.layers.size(), small, large));
    std::string got;
    EXPECT_EQ(Shell(at + "driver " + at + "frames", &got), 0);
    EXPECT_EQ(got, Expected(m, frames));
    ExpectSuccess(fmt::format(
        "cd {} && {} -o selftest main.c model_m.c model_m_golden.c ../rt.o && ./selftest", at,
        kCompile));
  }
}

TEST_F(ExportTest, SelfTestFindsAChangedTable) {
  const IntegerS4d m = Lowered(EightBits(8), 1);
  IntegerS4d bad[4] = {m, m, m, m};
  bad[0].layers[1].A[7] += 4000;
  bad[1].encoder.bias[2] += 1;
  bad[2].layers[0].gelu[bad[2].layers[0].gelu.size() / 2] ^= 1;
  bad[3].decoder.w[3] ^= 1;
  const std::string at = Export(m, "good");
  ExpectSuccess(fmt::format("cd {} && make selftest CC=cc && ./selftest", at));
  for (const IntegerS4d& changed : bad) {
    scratch_.Write(at + "model_m.c", CSourceOf(changed, "m", {}));
    ExpectSuccess(fmt::format("cd {} && make -B selftest CC=cc", at));
    std::string text;
    EXPECT_NE(Shell(at + "selftest", &text), 0);
    EXPECT_THAT(text, HasSubstr("m: sequence"));
  }
}

TEST_F(ExportTest, ObjectsNeedNothing) {
  S4dPlan plan = EightBits(16);
  plan.x.rounding = StateRounding::kStochastic;
  CExport options;
  options.pixels.resize(256, 3);
  options.sample.resize(2 * 25, 9);
  options.accuracy = {{"float", 0.9875}};
  const std::string at = Export(Lowered(plan, 1), "objects", options);
  // Compilers for other machines find no C library; of it only memset is used.
  const std::string stub = scratch_.At("stub");
  std::filesystem::create_directory(stub);
  scratch_.Write("stub/string.h", "#include <stddef.h>\nvoid* memset(void*, int, size_t);\n");
  for (const char* compiler :
       {"cc", "cc -m32", "clang-14 --target=thumbv7em-none-eabi -mcpu=cortex-m4",
        "clang-14 --target=thumbv6m-none-eabi -mcpu=cortex-m0"}) {
    const std::string command = fmt::format(
        "{} -ffreestanding -fno-pic -I{} -std=c99 -Os -Wall -Wextra -Wconversion -Wpedantic "
        "-Werror ",
        compiler, stub);
    std::string symbols;
    if (Shell("echo 'int x;' | " + command + "-c -x c - -o " + stub + "/x.o", &symbols) != 0) {
      std::cout << compiler << " does not work here: skipped\n";
      continue;
    }
    symbols.clear();
    for (const char* file : {"model_m", "ssm_rt"}) {
      ExpectSuccess(fmt::format("cd {0} && {1} -c {2}.c -o {2}.o", at, command, file));
      EXPECT_EQ(Shell(fmt::format("nm {}{}.o", at, file), &symbols), 0);
    }
    ExpectConstant(symbols, compiler);
  }
  const Result<std::string> readme = ReadWholeFile(at + "README.md", 1 << 20);
  ASSERT_TRUE(readme.ok());
  EXPECT_THAT(*readme, testing::AllOf(HasSubstr("98.75 %"), HasSubstr("m_pixel"),
                                      Not(HasSubstr("{{")), HasSubstr("10 sequences")));
  ExpectSuccess(fmt::format("cd {} && make selftest CC=cc && ./selftest", at));
}

TEST_F(ExportTest, RefusesWhatCDoesNotTake) {
  for (const char* name :
       {"", "2a", "a-b", "A", "int", "ssm", "a b", "a23456789012345678901234567890123"}) {
    EXPECT_EQ(CheckCName(name).code(), Code::kInvalidArgument) << name;
  }
  EXPECT_TRUE(CheckCName("digits_64h").ok());
  const IntegerS4d m = Lowered(EightBits(8), 1);
  Result<OutputFolder> out = OutputFolder::Create(scratch_.At("refused"));
  ASSERT_TRUE(out.ok());
  CExport length, pixels, sample;
  length.length = 0;
  pixels.pixels.resize(3);
  sample.sample.resize(3);
  for (const CExport& o : {length, pixels, sample}) {
    EXPECT_EQ(WriteC(m, o, &*out).code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace octet
