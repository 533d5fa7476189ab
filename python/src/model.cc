#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "eval/perplexity.h"
#include "python/src/bind.h"
#include "python/src/errors.h"
#include "python/src/score.h"

namespace octet::python {
namespace {

using ModelPtr = std::shared_ptr<Model>;

ModelPtr Load(const nb::bytes& path, int64_t chunk_size) {
  const std::string folder = ToString(path);
  ModelOptions options;
  options.chunk_size = chunk_size;
  const nb::gil_scoped_release no_gil;
  // nanobind has no holders of const; nothing here changes a model.
  return std::const_pointer_cast<Model>(Value(Model::Load(folder, options)));
}

// Floats of one frame; 0: the model reads tokens.
int64_t FrameWidth(const Model& model) {
  const Node& input = model.graph().nodes[0];
  return input.op == Op::kFrames ? input.width : 0;
}

// Tokens of both, and how many of them are the continuation's. An empty context needs `prefix`.
std::pair<TokenArray, int64_t> EncodePair(const Model& model, const nb::bytes& context,
                                          const nb::bytes& continuation,
                                          std::optional<TokenId> prefix) {
  constexpr int64_t kNoLimit = int64_t{1} << 40;
  const Prompt prompt = {ToString(context), ToString(continuation)};
  Request r = Value(EncodeRequest(Value(model.tokenizer()), prefix, prompt, kNoLimit));
  return {ToArray(std::move(r.tokens)), r.scored};
}

std::vector<std::pair<double, bool>> ScoreRequests(
    const ModelPtr& model, const std::vector<std::pair<Tokens, int64_t>>& arguments, int threads,
    const nb::object& callback) {
  std::vector<Request> requests;
  for (const auto& [tokens, scored] : arguments) {
    requests.push_back({{tokens.data(), tokens.data() + tokens.size()}, scored});
  }
  std::vector<std::pair<double, bool>> results;
  const nb::gil_scoped_release no_gil;
  for (const Score& s : Value(ScoreAll(model, requests, threads, ReportTo(callback)))) {
    results.emplace_back(s.log_likelihood, s.is_greedy);
  }
  return results;
}

PerplexityReport MeasurePerplexity(const ModelPtr& model, const Tokens& tokens, int64_t window,
                                   int64_t stride, int64_t max_tokens, int threads,
                                   const nb::object& callback) {
  const nb::gil_scoped_release no_gil;
  return Value(
      Perplexity(model, Span(tokens), "the text",
                 {.window = window, .stride = stride, .max_tokens = max_tokens, .threads = threads},
                 ReportTo(callback)));
}

}  // namespace

void BindModel(nb::module_& m) {
  nb::class_<PerplexityReport>(m, "PerplexityReport")
      .def_ro("perplexity", &PerplexityReport::perplexity)
      .def_ro("nll_per_token", &PerplexityReport::nll_per_token)
      .def_ro("bits_per_byte", &PerplexityReport::bits_per_byte)
      .def_ro("tokens", &PerplexityReport::tokens)
      .def_ro("windows", &PerplexityReport::windows);
  nb::class_<Model>(m, "Model")
      .def_static("load", &Load, nb::arg("path"), nb::arg("chunk_size"))
      .def("config_json", [](const Model& model) { return model.config().Dump(-1); })
      .def("warnings", &Model::warnings)
      .def("eos", &Model::eos)
      .def("vocab_rows", &Model::vocab_rows)
      .def("frame_width", &FrameWidth)
      .def("state_bytes", [](const Model& model) { return State(model.graph()).bytes(); })
      .def("tokenizer", [](const Model& model) { return Value(model.tokenizer()); })
      .def("prefix_token", [](const Model& model) { return Value(PrefixToken(model)); })
      .def("encode_pair", &EncodePair, nb::arg("context"), nb::arg("continuation"),
           nb::arg("prefix").none())
      .def("score", &ScoreRequests, nb::arg("requests"), nb::arg("threads"),
           nb::arg("progress").none())
      .def("perplexity", &MeasurePerplexity, nb::arg("tokens"), nb::arg("window"),
           nb::arg("stride"), nb::arg("max_tokens"), nb::arg("threads"),
           nb::arg("progress").none());
}

}  // namespace octet::python
