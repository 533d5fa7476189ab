#include "runtime/session.h"

#include <mutex>

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "python/src/bind.h"
#include "python/src/errors.h"
#include "runtime/sampler.h"
#include "runtime/state_file.h"

namespace octet::python {
namespace {

using ModelPtr = std::shared_ptr<Model>;

// A state and the model that it belongs to; immutable.
struct Snapshot {
  ModelPtr model;
  State state;
};

// A session for Python's threads, which may call it at the same time: they wait for each other, and
// never while they hold the GIL.
class LockedSession {
 public:
  LockedSession(ModelPtr model, int threads)
      : model_(std::move(model)), session_(model_, std::make_shared<ThreadPool>(threads)) {}

  template <class Body>
  auto Run(const Body& body) {
    const nb::gil_scoped_release no_gil;
    const std::lock_guard lock(mutex_);
    return body(session_);
  }
  const ModelPtr& model() const { return model_; }

 private:
  const ModelPtr model_;
  std::mutex mutex_;
  Session session_;
};

// Copies rows of logits to where they belong in `out`, [T, vocab].
LogitsSink CopyTo(const Matrix& out) {
  return [to = out.data(), vocab = out.shape(1)](int64_t first, int64_t rows, const float* logits) {
    std::copy_n(logits, static_cast<size_t>(rows) * vocab, to + static_cast<size_t>(first) * vocab);
  };
}

// `out`, which Python made, for logits of `rows` positions of the model.
void CheckRows(const Model& model, const Matrix& out, size_t rows) {
  if (out.shape(0) != rows || static_cast<int64_t>(out.shape(1)) != model.vocab_rows()) {
    throw StatusError(Internal("the array for the logits has the wrong shape"));
  }
}

void Feed(LockedSession& s, const Tokens& tokens, const Vector& out) {
  Check(s.Run([&](Session& session) { return session.Feed(Span(tokens), Span(out)); }));
}

void FeedAll(LockedSession& s, const Tokens& tokens, const Matrix& out) {
  CheckRows(*s.model(), out, tokens.size());
  Check(s.Run([&](Session& session) { return session.FeedAll(Span(tokens), CopyTo(out)); }));
}

void FeedFrames(LockedSession& s, const ConstMatrix& frames, const Vector& out) {
  Check(s.Run([&](Session& session) { return session.FeedFrames(Span(frames), Span(out)); }));
}

void FeedAllFrames(LockedSession& s, const ConstMatrix& frames, const Matrix& out) {
  CheckRows(*s.model(), out, frames.shape(0));
  Check(s.Run([&](Session& session) { return session.FeedAllFrames(Span(frames), CopyTo(out)); }));
}

Snapshot TakeSnapshot(LockedSession& s) {
  return {s.model(), s.Run([](Session& session) { return session.state(); })};
}

void Restore(LockedSession& s, const Snapshot& snapshot) {
  if (snapshot.model != s.model()) {
    throw StatusError(InvalidArgument("the state belongs to another model"));
  }
  s.Run([&](Session& session) { session.Restore(snapshot.state); });
}

nb::bytes ToBytes(const Snapshot& s) {
  std::string bytes;
  {
    const nb::gil_scoped_release no_gil;
    bytes = SaveState(*s.model, s.state);
  }
  return nb::bytes(bytes.data(), bytes.size());
}

Snapshot FromBytes(const ModelPtr& model, const nb::bytes& bytes) {
  const std::span data(reinterpret_cast<const std::byte*>(bytes.c_str()), bytes.size());
  const nb::gil_scoped_release no_gil;
  return {model, Value(LoadState(*model, data, "the bytes"))};
}

void Write(const Snapshot& s, const nb::bytes& path) {
  const std::string name = ToString(path);
  const nb::gil_scoped_release no_gil;
  Check(WriteState(*s.model, s.state, name));
}

Snapshot Read(const ModelPtr& model, const nb::bytes& path) {
  const std::string name = ToString(path);
  const nb::gil_scoped_release no_gil;
  return {model, Value(ReadState(*model, name))};
}

Sampler MakeSampler(double temperature, int64_t top_k, double top_p, uint64_t seed) {
  return Value(Sampler::Create({temperature, top_k, top_p, seed}));
}

TokenId Sample(Sampler& sampler, const ConstVector& logits, int64_t vocab) {
  return Value(sampler.Sample(Span(logits), vocab));
}

}  // namespace

void BindSession(nb::module_& m) {
  nb::class_<Snapshot>(m, "State")
      .def("position", [](const Snapshot& s) { return s.state.position(); })
      .def("memory", [](const Snapshot& s) { return s.state.bytes(); })
      .def("to_bytes", &ToBytes)
      .def("write", &Write, nb::arg("path"))
      .def_static("from_bytes", &FromBytes, nb::arg("model"), nb::arg("bytes"))
      .def_static("read", &Read, nb::arg("model"), nb::arg("path"))
      .def(
          "equals",
          [](const Snapshot& a, const Snapshot& b) {
            return a.model == b.model && a.state == b.state;
          },
          nb::arg("other"));
  nb::class_<LockedSession>(m, "Session")
      .def(nb::init<ModelPtr, int>(), nb::arg("model"), nb::arg("threads"))
      .def("feed", &Feed, nb::arg("tokens"), nb::arg("out"))
      .def("feed_all", &FeedAll, nb::arg("tokens"), nb::arg("out"))
      .def("feed_frames", &FeedFrames, nb::arg("frames"), nb::arg("out"))
      .def("feed_all_frames", &FeedAllFrames, nb::arg("frames"), nb::arg("out"))
      .def("state", &TakeSnapshot)
      .def("restore", &Restore, nb::arg("state"))
      .def("reset", [](LockedSession& s) { s.Run([](Session& session) { session.Reset(); }); })
      .def("position", [](LockedSession& s) {
        return s.Run([](Session& session) { return session.state().position(); });
      });
  nb::class_<Sampler>(m, "Sampler")
      .def_static("create", &MakeSampler, nb::arg("temperature"), nb::arg("top_k"),
                  nb::arg("top_p"), nb::arg("seed"))
      .def("sample", &Sample, nb::arg("logits"), nb::arg("vocab"));
}

}  // namespace octet::python
