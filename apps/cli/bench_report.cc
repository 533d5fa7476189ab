#include "apps/cli/bench_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/term.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

std::string Giga(double value) {
  return fmt::format("{:.3g}", 1e-9 * value);
}

// "167 MB" of a number of bytes that need not be whole.
std::string Bytes(double value) {
  return FormatBytes(static_cast<int64_t>(value + 0.5));
}

std::string Percent(double share) {
  return fmt::format("{:.0f} %", 100 * share);
}

const std::string& Isa(const BenchField& field, const BenchRow& row) {
  return field.contestants[row.subject].isa;
}

// Columns that are the same in all rows are said below the table instead.
std::string SpeedTable(const BenchCommand& c, const BenchField& field, const BenchReport& report) {
  const bool isas = c.isas.size() > 1;
  std::vector<std::string> header = {"model", "test", "threads", "tokens/s", "min", "max"};
  if (isas) header.insert(header.begin() + 1, "isa");
  Table table(header);
  for (const BenchRow& row : report.rows) {
    const Spread& s = row.tokens_per_s;
    std::vector<std::string> line = {
        field.contestants[row.subject].name, TestName(row),
        fmt::format("{}", row.threads),      fmt::format("{:.1f}", s.median),
        fmt::format("{:.1f}", s.min),        fmt::format("{:.1f}", s.max)};
    if (isas) line.insert(line.begin() + 1, Isa(field, row));
    table.Add(std::move(line));
  }
  return table.Text();
}

std::vector<Stage> Slowest(std::vector<Stage> stages) {
  std::ranges::stable_sort(stages, std::greater<>(), &Stage::us_per_token);
  return stages;
}

double BandwidthShare(const BenchRow& row, const Roof& roof) {
  return row.stages->read_bytes_per_token * row.tokens_per_s.median / roof.read_bytes_per_s.median;
}

std::string StageTable(const BenchField& field, const BenchRow& row, const Roof& roof) {
  const bool decode = row.test == BenchTest::kDecode;
  Table table({"stage", "time", "us/token", "bytes/token", "Mop/token", "of roof", "roof"});
  for (const Stage& s : Slowest(row.stages->stages)) {
    const StageLimit limit = LimitOf(row, s, roof);
    const bool moves = limit.of > 0;
    table.Add({s.name, Percent(s.share), fmt::format("{:.2f}", s.us_per_token),
               Bytes(s.bytes_per_token), fmt::format("{:.3f}", 1e-6 * s.operations_per_token),
               moves ? Percent(limit.share()) : "",
               !moves      ? ""
               : decode    ? "memory"
               : s.integer ? "int8"
                           : "fp32"});
  }
  std::string text =
      fmt::format("\n{}, {}, {}, {}\n{}", field.contestants[row.subject].name, TestName(row),
                  Isa(field, row), FormatNumber(row.threads, "thread"), table.Text());
  if (!decode) return text;
  const double share = BandwidthShare(row, roof);
  text += fmt::format("decode reads {} a token: {} of the bandwidth measured ({} GB/s){}\n",
                      Bytes(row.stages->read_bytes_per_token), Percent(share),
                      Giga(roof.read_bytes_per_s.median), share > 1 ? ":\ncaches hold it" : "");
  return text;
}

std::string RoofTable(const BenchCommand& c, const BenchReport& report) {
  Table table({"roofs", "threads", "read GB/s", "streams", "int8 Gop/s", "fp32 Gflop/s"});
  for (const Roof& r : report.roofs) {
    table.Add({r.isa, fmt::format("{}", r.threads), Giga(r.read_bytes_per_s.median),
               fmt::format("{}", r.streams), Giga(r.i8_ops_per_s.median),
               Giga(r.f32_ops_per_s.median)});
  }
  return fmt::format(
      "\n{}\nRoofs: medians of the same repeats; memory by that many streams of each\n"
      "thread, dot products of int8 codes, fp32 multiply-adds (two operations each).\n"
      "Bytes: weights, state and values that a stage must move, from its sizes. Of the\n"
      "roof: of the bandwidth for decode, of the peak for a prompt. Caches can be\n"
      "faster than memory. Stages are timed step by step, in runs of their own.\n{}",
      table.Text(), c.bf16 ? "Products in bf16 are set beside fp32 and may be faster.\n" : "");
}

template <class T>
Json ToJson(const std::vector<T>& values) {
  Json array = Json::MakeArray();
  for (const T& v : values) {
    array.Append(v);
  }
  return array;
}

Json ToJson(const Roof& r) {
  Json j = Json::MakeObject();
  j.Set("isa", r.isa);
  j.Set("threads", r.threads);
  j.Set("read_bytes_per_s", SpreadJson(r.read_bytes_per_s));
  j.Set("streams", r.streams);
  j.Set("int8_operations_per_s", SpreadJson(r.i8_ops_per_s));
  j.Set("fp32_operations_per_s", SpreadJson(r.f32_ops_per_s));
  return j;
}

Json ToJson(const BenchRow& row, const Stage& s, const Roof& roof) {
  const StageLimit limit = LimitOf(row, s, roof);
  Json j = Json::MakeObject();
  j.Set("stage", s.name);
  j.Set("share", s.share);
  j.Set("us_per_token", s.us_per_token);
  j.Set("bytes_per_token", s.bytes_per_token);
  j.Set("operations_per_token", s.operations_per_token);
  j.Set("integer", s.integer);
  j.Set("share_of_roof", limit.share());
  return j;
}

Json ToJson(const BenchField& field, const BenchReport& report, const BenchRow& row) {
  const BenchContestant& contestant = field.contestants[row.subject];
  Json j = Json::MakeObject();
  j.Set("model", contestant.folder);
  j.Set("recipe", contestant.recipe.empty() ? Json() : Json(contestant.recipe));
  j.Set("isa", contestant.isa);
  j.Set("threads", row.threads);
  j.Set("test", TestName(row));
  j.Set("kind", row.test == BenchTest::kPrefill ? "prefill" : "decode");
  j.Set("tokens", row.tokens);
  j.Set("streams", row.streams);
  j.Set("tokens_per_s", SpreadJson(row.tokens_per_s));
  const Roof* roof = report.FindRoof(row, contestant.isa);
  if (!row.stages || roof == nullptr) return j;
  Json stages = Json::MakeArray();
  for (const Stage& s : row.stages->stages) {
    stages.Append(ToJson(row, s, *roof));
  }
  j.Set("stages", std::move(stages));
  j.Set("read_bytes_per_token", row.stages->read_bytes_per_token);
  j.Set("share_of_bandwidth", BandwidthShare(row, *roof));
  return j;
}

// Of each contestant with the first prompt and number of threads; null: not measured.
Json ModelsJson(const BenchField& field, const BenchReport& report) {
  Json models = Json::MakeArray();
  for (size_t i = 0; i < field.contestants.size(); ++i) {
    const BenchContestant& contestant = field.contestants[i];
    Json m = Json::MakeObject();
    m.Set("model", contestant.folder);
    m.Set("recipe", contestant.recipe.empty() ? Json() : Json(contestant.recipe));
    m.Set("isa", contestant.isa);
    for (const auto& [name, test] :
         {std::pair("prefill", BenchTest::kPrefill), {"decode", BenchTest::kDecode}}) {
      const BenchRow* row = report.Find(i, test);
      m.Set(fmt::format("{}_tokens_per_s", name),
            row == nullptr ? Json() : Json(row->tokens_per_s.median));
      m.Set(fmt::format("{}_spread", name),
            row == nullptr ? Json() : SpreadJson(row->tokens_per_s));
    }
    m.Set("state_bytes", report.state_bytes[i]);
    models.Append(std::move(m));
  }
  return models;
}

}  // namespace

Json SpreadJson(const Spread& s) {
  Json j = Json::MakeObject();
  j.Set("median", s.median);
  j.Set("min", s.min);
  j.Set("max", s.max);
  return j;
}

StageLimit LimitOf(const BenchRow& row, const Stage& stage, const Roof& roof) {
  if (stage.us_per_token <= 0) return {};
  const double per_s = 1e6 / stage.us_per_token;
  if (row.test == BenchTest::kDecode) {
    return {roof.read_bytes_per_s.median, stage.bytes_per_token * per_s};
  }
  const Spread& peak = stage.integer ? roof.i8_ops_per_s : roof.f32_ops_per_s;
  return {peak.median, stage.operations_per_token * per_s};
}

std::string BenchText(const BenchCommand& c, const BenchField& field, const BenchReport& report) {
  std::string text = SpeedTable(c, field, report);
  text += fmt::format(
      "\nMedian, slowest and fastest of {}.\n"
      "pp: a prompt in one call, tg: one token at a time{}.\n",
      FormatNumber(c.repeats, "repeat"),
      c.batch.empty() ? "" : ", b: of that many streams each,\nin total");
  if (c.isas.size() < 2) {
    text += fmt::format("Instruction set {}, ", field.contestants.front().isa);
  }
  text +=
      fmt::format("{} {}, load average {:.2f},\nCPU share {:.0f} %\n",
                  c.isas.size() < 2 ? "peak memory" : "Peak memory",
                  FormatBytes(report.peak_rss_bytes), report.load_average, 100 * report.cpu_share);
  if (!report.roofs.empty()) {
    text += fmt::format("{} of the memory were for measuring its speed\n",
                        FormatBytes(RoofBufferBytes()));
  }
  if (!c.stages) return text;
  for (const BenchRow& row : report.rows) {
    if (!row.stages) continue;
    text += StageTable(field, row, *report.FindRoof(row, Isa(field, row)));
  }
  return text + RoofTable(c, report);
}

Json BenchJson(const BenchCommand& c, const BenchField& field, const BenchReport& report) {
  Json models = ModelsJson(field, report);
  Json rows = Json::MakeArray(), roofs = Json::MakeArray();
  for (const BenchRow& row : report.rows) {
    rows.Append(ToJson(field, report, row));
  }
  for (const Roof& r : report.roofs) {
    roofs.Append(ToJson(r));
  }
  Json j = Json::MakeObject();
  if (field.contestants.size() == 1) {
    for (const char* key : {"prefill_tokens_per_s", "decode_tokens_per_s"}) {
      j.Set(key, *models.AsArray()[0].Find(key));
    }
  }
  j.Set("peak_rss_bytes", report.peak_rss_bytes);
  j.Set("load_average", report.load_average);
  j.Set("cpu_share", report.cpu_share);
  j.Set("isa", c.isas.size() > 1 ? Json() : Json(field.contestants.front().isa));
  j.Set("threads", ToJson(c.threads));
  j.Set("prefill", ToJson(c.prefill));
  j.Set("decode", c.decode);
  j.Set("batch", ToJson(c.batch));
  j.Set("repeats", c.repeats);
  j.Set("chunk_size", c.chunk_size == 0 ? Json() : Json(c.chunk_size));
  j.Set("bf16", c.bf16);
  if (!report.roofs.empty()) j.Set("roof_buffer_bytes", RoofBufferBytes());
  j.Set("models", std::move(models));
  j.Set("rows", std::move(rows));
  if (!report.roofs.empty()) j.Set("roofs", std::move(roofs));
  return j;
}

}  // namespace octet::cli
