// Any bytes are refused or give a state with which a model can go on.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "exec/quantized_model_testing.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace {

// An int8 model of any of the formats of the state.
std::shared_ptr<const octet::Model> MakeModel(const std::string& format) {
  octet::QuantizedParts q = octet::MakeQuantizedParts();
  octet::SetState(format, &q.graph);
  return *octet::Model::Create(q.graph, q.weights, octet::Json(), std::nullopt, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const models = [] {
    auto* made = new std::vector<std::shared_ptr<const octet::Model>>;
    for (const std::string& format : octet::StateFormatNames()) {
      made->push_back(MakeModel(format));
    }
    return made;
  }();
  static const auto pool = std::make_shared<octet::ThreadPool>(1);
  if (size == 0) return 0;
  const auto& model = (*models)[data[0] % models->size()];
  // The fuzzer finds no check sums: it gives what they protect, repeated to the length.
  octet::State state(model->graph());
  std::vector<std::byte> body(state.ToBytes().size());
  for (size_t i = 0; i < body.size() && size > 1; ++i) {
    body[i] = static_cast<std::byte>(data[1 + i % (size - 1)]);
  }
  if (!state.FromBytes(body).ok()) return 0;
  octet::Session session(model, pool);
  session.Restore(state);
  std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
  const std::vector<octet::TokenId> ids = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7};
  if (!session.Feed(ids, logits).ok() || !session.Feed(std::span(ids).first(1), logits).ok()) {
    __builtin_trap();
  }
  return 0;
}
