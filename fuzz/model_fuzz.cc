// Bytes as config.json of one of two tiny checkpoints: float, or quantized with all that the format
// knows. A config is refused in one sentence or gives a graph that executors accept and that runs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "arch/architecture.h"
#include "base/json.h"
#include "exec/program.h"
#include "exec/quantized_format.h"
#include "exec/quantized_model_testing.h"

namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

// What a file keeps of the tensors of exec/quantized_model_testing.h.
octet::WeightMap StoredQuantized() {
  const octet::QuantizedParts q = octet::MakeQuantizedParts();
  octet::WeightMap stored;
  for (auto [name, w] : octet::StoredTensors(q.graph, q.weights)) {
    w.row_scale = nullptr;
    w.group_scale = nullptr;
    w.group = 0;
    if (w.dtype == octet::DType::kI4) {
      w.shape[1] = octet::BytesOf(octet::DType::kI4, w.shape[1]);
      w.dtype = octet::DType::kU8;
    }
    stored.Set(name, std::move(w));
  }
  return stored;
}

octet::Result<octet::Architecture> Build(const octet::Json& config, bool quantized) {
  static const octet::WeightMap kFloat = octet::MakeBlockWeights({}, 1);
  static const octet::WeightMap kQuantized = StoredQuantized();
  if (!quantized) return octet::BuildArchitecture(config, kFloat);
  const octet::Json* quantization = config.Find("quantization_config");
  const octet::Json* description = quantization != nullptr ? quantization->Find("graph") : nullptr;
  if (description == nullptr) return octet::Corrupt("there is no description");
  octet::WeightMap encodings;
  OCTET_ASSIGN(const octet::WeightMap weights,
               octet::AttachScales(*description, kQuantized, &encodings));
  OCTET_ASSIGN(octet::Architecture built, octet::BuildArchitecture(config, weights));
  OCTET_TRY(octet::ApplyQuantization(*description, encodings, &built.graph));
  return built;
}

// The tensors bound every size but the chunk's, which has a limit of its own.
void Run(const octet::Architecture& built) {
  Check(octet::Verify(built.graph).ok());
  const auto program = octet::Program::Lower(built.graph, built.weights, {});
  if (!program.ok()) {
    Check(!program.status().message().empty());
    return;
  }
  static octet::ThreadPool pool(1);
  octet::ProgramWorkspace workspace(&pool);
  octet::State state(built.graph);
  std::vector<float> logits(static_cast<size_t>(built.graph.vocab_rows));
  for (const std::vector<octet::TokenId>& tokens : {std::vector{3}, {1, 4, 1, 5, 9, 2, 6}}) {
    Check((*program)->RunForLast(tokens, &state, &workspace, logits).ok());
  }
  Check(state.position() == 8);
}

}  // namespace

// The first byte, a space or a tab in the corpus, says which checkpoint.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const octet::Result<octet::Json> config = octet::Json::Parse(text.substr(1));
  if (!config.ok()) return 0;
  const octet::Result<octet::Architecture> built = Build(*config, text.front() == '\t');
  if (built.ok()) {
    Run(*built);
  } else {
    Check(!built.status().message().empty());
  }
  return 0;
}
