#include <algorithm>

#include <fmt/format.h>

#include "edge/c_source.h"
#include "edge/c_text.h"
#include "edge/run.h"

namespace octet {
namespace {

enum class Kind : uint8_t { kConstant, kSwing, kImpulse, kRandom, kGiven };  // as in ssm_rt.h

struct Sequence {
  Kind kind;
  int64_t frames;
  int8_t a, b;
  uint32_t seed = 0;
};

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed) {}
  uint32_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 16;
  }

 private:
  uint32_t state_;
};

// FNV-1a over whole numbers.
class CheckSum {
 public:
  template <class Values>
  void Add(const Values& values) {
    for (const auto v : values) {
      hash_ = (hash_ ^ static_cast<uint32_t>(v)) * 16777619u;
    }
  }
  uint32_t value() const { return hash_; }

 private:
  uint32_t hash_ = 2166136261u;
};

std::vector<uint32_t> ChecksOf(const IntegerTrace& trace) {
  std::vector<uint32_t> checks;
  CheckSum encoder;
  encoder.Add(trace.encoder);
  checks.push_back(encoder.value());
  for (const IntegerTrace::Layer& l : trace.layers) {
    CheckSum layer;
    layer.Add(l.x);
    layer.Add(l.g);
    layer.Add(l.r);
    checks.push_back(layer.value());
  }
  return checks;
}

int8_t CodeAt(const Sequence& s, int64_t t, int64_t at, const std::vector<int8_t>& sample,
              Random* random) {
  switch (s.kind) {
    case Kind::kConstant:
      return s.a;
    case Kind::kSwing:
      return t / 16 % 2 == 0 ? s.a : s.b;
    case Kind::kImpulse:
      return t == 0 ? s.a : s.b;
    case Kind::kRandom:
      return static_cast<int8_t>(
          s.a + static_cast<int32_t>(random->Next() % static_cast<uint32_t>(s.b - s.a + 1)));
    case Kind::kGiven:
      return sample[static_cast<size_t>(at)];
  }
  return 0;
}

std::vector<Sequence> SequencesOf(const IntegerS4d& m, int64_t length,
                                  const std::vector<int8_t>& sample) {
  const auto low = static_cast<int8_t>(m.frame.low), high = static_cast<int8_t>(m.frame.high);
  const auto zero = static_cast<int8_t>(std::clamp(m.frame.zero, m.frame.low, m.frame.high));
  const int64_t few = std::max<int64_t>(length / 8, 16);
  std::vector<Sequence> sequences = {{Kind::kConstant, few, zero, zero},
                                     {Kind::kConstant, few, low, low},
                                     {Kind::kConstant, few, high, high},
                                     {Kind::kSwing, few, low, high},
                                     {Kind::kImpulse, few, high, zero},
                                     {Kind::kRandom, few, low, high, 1},
                                     {Kind::kRandom, few, -128, 127, 2},
                                     {Kind::kRandom, few, std::min(zero, high), high, 3},
                                     {Kind::kRandom, 10 * length, low, high, 4}};
  if (!sample.empty()) {
    sequences.push_back({Kind::kGiven, std::ssize(sample) / m.inputs, 0, 0});
  }
  return sequences;
}

// What the vectors say of one sequence.
struct Expected {
  std::string points;
  std::vector<uint32_t> checks;
  std::vector<int32_t> logits;
  size_t count = 0;
};

void RunSequence(const IntegerS4d& m, const Sequence& s, size_t index,
                 const std::vector<int8_t>& sample, Expected* expected) {
  IntegerRun run(m);
  Random random(s.seed);
  std::vector<int8_t> frame(static_cast<size_t>(m.inputs));
  for (int64_t t = 0; t < s.frames; ++t) {
    for (int64_t i = 0; i < m.inputs; ++i) {
      frame[static_cast<size_t>(i)] = CodeAt(s, t, t * m.inputs + i, sample, &random);
    }
    const int64_t seen = t + 1;
    const bool compared = seen == 1 || seen == 2 || seen == s.frames / 2 || seen == s.frames;
    IntegerTrace trace;
    // A frame of the model's own length, and fewer of them than any limit: no error is possible.
    if (!run.Step(frame, compared ? &trace : nullptr).ok() || !compared) continue;
    const std::vector<uint32_t> checks = ChecksOf(trace);
    const std::vector<int32_t> logits = run.Read();
    expected->points += fmt::format("    {{{}, {}}},\n", index, seen);
    expected->checks.insert(expected->checks.end(), checks.begin(), checks.end());
    expected->logits.insert(expected->logits.end(), logits.begin(), logits.end());
    ++expected->count;
  }
}

constexpr const char* kSelfTest = R"c(
int {0}_selftest({0}_context* context, ssm_mismatch* first) {{
  int8_t frame[{1}_IN], g[{1}_HEADS];
  int32_t r[{1}_HEADS], logits[{1}_OUT];
  uint32_t checks[{2}];
  const ssm_golden golden = {{sequences, points, expected_checks, expected_logits, {3}, {4}}};
  const ssm_state state = {0}_view(context);
  ssm_test_memory memory;
  memory.frame = frame;
  memory.r = r;
  memory.g = g;
  memory.checks = checks;
  memory.logits = logits;
  memory.context = context;
  memory.context_bytes = sizeof *context;
  return ssm_selftest(&{0}_model, &golden, &state, &memory, first);
}}
)c";

}  // namespace

std::string CGoldenOf(const IntegerS4d& m, const std::string& name, int64_t length,
                      const std::vector<int8_t>& sample) {
  const std::vector<Sequence> sequences = SequencesOf(m, length, sample);
  Expected expected;
  std::string list;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = sequences[i];
    RunSequence(m, s, i, sample, &expected);
    list +=
        fmt::format("    {{{}, {}, {}, {}, {}, {}}},\n", s.kind == Kind::kGiven ? "given" : "NULL",
                    s.frames, s.seed, static_cast<int>(s.kind), s.a, s.b);
  }
  std::string text = fmt::format(
      "/* Test vectors. Made by octet; do not edit. */\n#include \"model_{}.h\"\n\n", name);
  if (!sample.empty()) text += CArray("int8_t", "given", sample);
  text +=
      fmt::format("static const ssm_sequence sequences[{}] = {{\n{}}};\n", sequences.size(), list);
  text += fmt::format("static const ssm_point points[{}] = {{\n{}}};\n", expected.count,
                      expected.points);
  text += CArray("uint32_t", "expected_checks", expected.checks) +
          CArray("int32_t", "expected_logits", expected.logits);
  return text + fmt::format(kSelfTest, name, CUpper(name), m.layers.size() + 1, sequences.size(),
                            expected.count);
}

}  // namespace octet
