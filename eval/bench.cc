#include "eval/bench.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/arena.h"
#include "base/rng.h"
#include "eval/machine_load.h"
#include "kernels/isa.h"
#include "runtime/session.h"

namespace octet {
namespace {

// One row and what its repeats gave.
struct Measured {
  explicit Measured(const std::shared_ptr<const Model>& model) : timer(model) {}
  BenchRow row;
  std::vector<double> speeds;  // tokens per second
  StageTimer timer;
};

// One subject on some threads, with its rows.
struct Runner {
  Runner(const BenchSubject& subject, std::shared_ptr<ThreadPool> threads)
      : isa(subject.isa),
        pool(std::move(threads)),
        session(subject.model, pool),
        logits(static_cast<size_t>(subject.model->vocab_rows())) {}

  // The seconds that the test took.
  Result<double> Time(const BenchRow& row) {
    if (row.streams > 1) return TimeTogether(row);
    session.Reset();
    const std::span<const TokenId> given(tokens.data(), static_cast<size_t>(row.tokens));
    const size_t call = row.test == BenchTest::kPrefill ? given.size() : 1;
    const double start = WallSeconds();
    for (size_t i = 0; i < given.size(); i += call) {
      OCTET_TRY(session.Feed(given.subspan(i, call), logits));
    }
    return WallSeconds() - start;
  }

  Result<double> TimeTogether(const BenchRow& row) {
    std::vector<Session*> sessions;
    for (size_t i = 0; i < static_cast<size_t>(row.streams); ++i) {
      if (i == streams.size()) {
        streams.push_back(std::make_unique<Session>(session.shared_model(), pool));
      }
      streams[i]->Reset();
      sessions.push_back(streams[i].get());
    }
    std::vector<float> all(sessions.size() * logits.size());
    std::vector<TokenId> next(sessions.size());
    const double start = WallSeconds();
    for (size_t t = 0; t < static_cast<size_t>(row.tokens); ++t) {
      for (size_t i = 0; i < next.size(); ++i) {
        next[i] = tokens[(t + i) % tokens.size()];
      }
      OCTET_TRY(Session::FeedEach(sessions, next, all));
    }
    return WallSeconds() - start;
  }

  // `done` after each row.
  Status Run(bool stages, bool counted, const std::function<void()>& done) {
    if (!isa.empty()) OCTET_TRY(ForceIsa(isa));
    for (const auto& m : rows) {
      OCTET_ASSIGN(const double seconds, Time(m->row));
      const auto count = static_cast<double>(m->row.tokens * m->row.streams);
      if (counted) m->speeds.push_back(count / seconds);
      if (stages && m->row.streams == 1) {
        session.Observe(m->timer.Observer());
        OCTET_ASSIGN(const double observed, Time(m->row));
        session.Observe({});
        m->timer.EndRepeat(observed, counted);
      }
      done();
    }
    return {};
  }

  std::string isa;
  std::shared_ptr<ThreadPool> pool;
  Session session;
  std::vector<std::unique_ptr<Session>> streams;  // as many as decoded together so far
  std::vector<float> logits;
  std::vector<TokenId> tokens;
  std::vector<std::unique_ptr<Measured>> rows;
};

class Bencher {
 public:
  Bencher(std::span<const BenchSubject> subjects, const BenchOptions& options)
      : subjects_(subjects), options_(options) {}

  void Prepare() {
    std::map<int, std::shared_ptr<ThreadPool>> pools;
    for (const int threads : options_.threads) {
      auto& pool = pools[threads];
      if (pool == nullptr) pool = std::make_shared<ThreadPool>(threads);
    }
    if (options_.stages) {
      // As weights lie; written, since pages that nobody wrote are all the same one.
      std::byte* memory = arena_.Take(RoofBufferBytes());
      memory_ = {memory, static_cast<size_t>(RoofBufferBytes())};
      std::fill_n(memory, RoofBufferBytes(), std::byte{1});
    }
    for (size_t s = 0; s < subjects_.size(); ++s) {
      for (const int threads : options_.threads) {
        AddRunner(s, pools[threads]);
      }
    }
  }

  Status Run(const Progress& progress) {
    int64_t rows = 0, done = 0;
    for (const auto& r : runners_) {
      rows += std::ssize(r->rows);
    }
    const int64_t total = rows * (options_.repeats + 1);
    const auto show = [&] {
      if (progress) progress("measuring speed", done, total);
    };
    const auto next = [&] {
      ++done;
      show();
    };
    show();
    for (const auto& r : runners_) {
      OCTET_TRY(r->Run(options_.stages, false, next));
    }
    CpuMeter cpu;
    for (int repeat = 0; repeat < options_.repeats; ++repeat) {
      for (const auto& r : runners_) {
        const double start = WallSeconds();
        OCTET_TRY(r->Run(options_.stages, true, next));
        if (options_.stages) Meter(*r).Sample();
        cpu.Had(WallSeconds() - start, r->pool->threads());
      }
    }
    report_.cpu_share = cpu.Share();
    return {};
  }

  BenchReport Report() {
    for (const auto& r : runners_) {
      for (const auto& m : r->rows) {
        m->row.tokens_per_s = SpreadOf(m->speeds);
        if (options_.stages && m->row.streams == 1) {
          m->row.stages = m->timer.Get(m->row.tokens);
        }
        report_.rows.push_back(std::move(m->row));
      }
    }
    for (const auto& [key, meter] : meters_) {
      report_.roofs.push_back(meter->Get());
    }
    report_.peak_rss_bytes = PeakRssBytes();
    report_.load_average = LoadAverage();
    return std::move(report_);
  }

 private:
  void AddRunner(size_t s, const std::shared_ptr<ThreadPool>& pool) {
    const BenchSubject& subject = subjects_[s];
    auto& r = *runners_.emplace_back(std::make_unique<Runner>(subject, pool));
    const auto add = [&](BenchTest test, int64_t tokens, int64_t streams = 1) {
      if (tokens == 0) return;
      auto& m = *r.rows.emplace_back(std::make_unique<Measured>(subject.model));
      m.row.subject = s;
      m.row.threads = pool->threads();
      m.row.test = test;
      m.row.tokens = tokens;
      m.row.streams = streams;
    };
    int64_t most = options_.decode;
    for (const int64_t prompt : options_.prefill) {
      add(BenchTest::kPrefill, prompt);
      most = std::max(most, prompt);
    }
    add(BenchTest::kDecode, options_.decode);
    for (const int64_t streams : options_.batch) {
      add(BenchTest::kDecode, options_.decode, streams);
    }
    Rng rng(options_.seed);
    const auto vocabulary = static_cast<uint64_t>(subject.model->vocab_rows());
    for (int64_t i = 0; i < most; ++i) {
      r.tokens.push_back(static_cast<TokenId>(rng.Below(vocabulary)));
    }
    if (report_.state_bytes.size() == s) {
      report_.state_bytes.push_back(r.session.state().bytes());
    }
  }

  // Of the instruction set in force and the runner's threads.
  RoofMeter& Meter(const Runner& r) {
    auto& meter = meters_[{CurrentIsa(), r.pool->threads()}];
    if (meter == nullptr) meter = std::make_unique<RoofMeter>(memory_, r.pool);
    return *meter;
  }

  std::span<const BenchSubject> subjects_;
  const BenchOptions& options_;
  std::vector<std::unique_ptr<Runner>> runners_;
  Arena arena_;
  std::span<const std::byte> memory_;
  std::map<std::pair<std::string, int>, std::unique_ptr<RoofMeter>> meters_;
  BenchReport report_;
};

}  // namespace

std::string TestName(const BenchRow& row) {
  const std::string batch = row.streams == 1 ? "" : fmt::format(" b{}", row.streams);
  return fmt::format("{}{}{}", row.test == BenchTest::kPrefill ? "pp" : "tg", row.tokens, batch);
}

const BenchRow* BenchReport::Find(size_t subject, BenchTest test) const {
  const auto row = std::ranges::find_if(rows, [&](const BenchRow& r) {
    return r.subject == subject && r.test == test && r.streams == 1;
  });
  return row == rows.end() ? nullptr : &*row;
}

const Roof* BenchReport::FindRoof(const BenchRow& row, const std::string& isa) const {
  const auto roof = std::ranges::find_if(
      roofs, [&](const Roof& r) { return r.isa == isa && r.threads == row.threads; });
  return roof == roofs.end() ? nullptr : &*roof;
}

bool BenchOptions::measures() const {
  return decode > 0 || std::ranges::any_of(prefill, [](int64_t n) { return n > 0; });
}

Status Check(const BenchOptions& options) {
  const auto negative = [](int64_t n) { return n < 0; };
  const bool no_threads =
      options.threads.empty() || std::ranges::any_of(options.threads, [](int n) { return n < 1; });
  if (std::ranges::any_of(options.prefill, negative) || options.decode < 0 || options.repeats < 1 ||
      no_threads) {
    return InvalidArgument("tokens must not be negative, repeats and threads must be > 0");
  }
  if (std::ranges::any_of(options.batch, [](int64_t n) { return n < 2; })) {
    return InvalidArgument("one stream alone is no batch: at least 2");
  }
  if (!options.batch.empty() && options.decode == 0) {
    return InvalidArgument("streams cannot decode 0 tokens together");
  }
  if (!options.measures()) {
    return InvalidArgument("there is nothing to measure: prefill and decode are both 0");
  }
  return {};
}

Result<BenchReport> Bench(std::span<const BenchSubject> subjects, const BenchOptions& options,
                          const Progress& progress) {
  OCTET_TRY(Check(options));
  if (subjects.empty()) return InvalidArgument("there is no model to measure");
  Bencher bencher(subjects, options);
  bencher.Prepare();
  const Status status = bencher.Run(progress);
  const auto chooses = [](const BenchSubject& s) { return !s.isa.empty(); };
  if (std::ranges::any_of(subjects, chooses)) OCTET_TRY(ForceIsaFromEnvironment());
  OCTET_TRY(status);
  return bencher.Report();
}

}  // namespace octet
