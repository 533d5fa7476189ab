// Writes exports in C for tests/microcontrollers/run: a folder for every form of layer, each model
// named m, and one for each of the sizes that instructions are counted of.
// Usage: write_exports FOLDER
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "edge/export_c.h"
#include "edge/lower.h"
#include "edge/small_model_testing.h"

namespace octet {
namespace {

void StopUnless(const Status& s) {
  if (s.ok()) return;
  fmt::print(stderr, "write_exports: {}\n", s.message());
  std::exit(1);
}

void Write(const std::string& path, const SmallModel& small, const S4dPlan& plan) {
  const Result<IntegerS4d> model = LowerS4d(small.graph, small.weights, plan, small.ranges);
  StopUnless(model.status());
  CExport options;
  options.name = "m";
  options.length = 40;
  Result<OutputFolder> folder = OutputFolder::Create(path);
  StopUnless(folder.status());
  StopUnless(WriteC(*model, options, &*folder));
  StopUnless(folder->Commit());
}

// The name of a plan as that of a file.
std::string FileName(std::string name) {
  std::erase(name, ',');
  std::ranges::replace(name, ' ', '_');
  return name;
}

// Forms of layers that those plans do not reach.
void WriteRest(const std::string& at) {
  // Poles so close to the unit circle that coefficients are plain, and that sums take 64 bits.
  const S4dBlockSizes sizes = VariousSizes()[1];
  Write(at + "/x8_plain", MakeCircleModel(sizes, 3, -8.5f), EightBits(8));
  Write(at + "/x8_plain_wide", MakeCircleModel(sizes, 3, -12), EightBits(8));
  Write(at + "/x16_plain_wide", MakeCircleModel(sizes, 3, -12), EightBits(16));
  // So many modes that the sum over them needs 64 bits.
  Write(at + "/x8_many_modes", MakeSmallModel({1, 1, 2, 1, 2500, false, false, false}, 3),
        EightBits(8));
}

// 32 modes to a head, 4-bit weights: the sizes of arXiv:2506.12480.
void WriteCounted(const std::string& at, int64_t heads) {
  const auto write = [&](const std::string& name, const S4dPlan& plan, bool slow,
                         bool norms = false) {
    Write(fmt::format("{}/count_{}h_{}", at, heads, name),
          MakeSmallModel({1, heads, 10, 1, 32, false, norms, false}, 3, slow), plan);
  };
  S4dPlan x8 = EightBits(8), x16 = EightBits(16);
  x8.linears.bits = x16.linears.bits = 4;
  S4dPlan dithered = x8;
  dithered.x.rounding = StateRounding::kStochastic;
  dithered.x.seed = 7;
  write("w4x8", x8, false);
  write("w4x8_dithered", dithered, false);
  write("w4x16", x16, false);
  write("w4x16_slow", x16, true);
  write("w8x8", EightBits(8), false);
  write("w8x8_norm", EightBits(8), false, true);
}

}  // namespace
}  // namespace octet

int main(int count, char** arguments) {
  using namespace octet;
  if (count != 2) {
    fmt::print(stderr, "Usage: write_exports FOLDER\n");
    return 2;
  }
  const std::string at = arguments[1];
  size_t i = 0;
  for (const NamedPlan& p : VariousPlans()) {
    // Of the three sizes, the second with poles so slow that their layers are wide.
    const size_t sizes = i++ % 3;
    Write(at + "/" + FileName(p.name), MakeSmallModel(VariousSizes()[sizes], 3, sizes == 1),
          p.plan);
  }
  WriteRest(at);
  WriteCounted(at, 16);
  WriteCounted(at, 64);
  return 0;
}
