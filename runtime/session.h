// One stream of tokens through a model.
#ifndef OCTET_RUNTIME_SESSION_H_
#define OCTET_RUNTIME_SESSION_H_

#include <memory>
#include <span>
#include <utility>

#include "base/parallel.h"
#include "base/status.h"
#include "exec/program.h"
#include "runtime/model.h"

namespace octet {

// Owns the state and the scratch memory of one stream. Not thread-safe; sessions of one model run
// concurrently. Feeding a text in one call or in several, split anywhere, gives the same logits up
// to float rounding; a model with an int8 SSD has exactly the same state when split at multiples of
// the chunk size.
class Session {
 public:
  // `pool` may be shared by sessions that do not run at the same time.
  Session(std::shared_ptr<const Model> model, std::shared_ptr<ThreadPool> pool);

  // Runs the next tokens (at least one) and gives the logits after the last, [vocab_rows].
  // kInvalidArgument for a token outside the vocabulary; the state is then unchanged.
  Status Feed(std::span<const TokenId> tokens, std::span<float> last_logits);
  // The same, giving the logits of every position through `sink`.
  Status FeedAll(std::span<const TokenId> tokens, const LogitsSink& sink);

  // The next token of each of several sessions of one model at once, which reads its weights once;
  // logits [sessions, vocab_rows]. Each session gets the bits that Feed would give it. It runs in
  // the first one's memory and threads. kInvalidArgument for sessions that are of different models
  // or not distinct, for a wrong number of tokens or logits, or as Feed; nothing has changed then.
  static Status FeedEach(std::span<Session* const> sessions, std::span<const TokenId> tokens,
                         std::span<float> logits);

  // As the first two for a model of frames, [T, width of a frame].
  Status FeedFrames(std::span<const float> frames, std::span<float> last_logits);
  Status FeedAllFrames(std::span<const float> frames, const LogitsSink& sink);

  // Later calls tell `observer` of the program's steps (ProgramWorkspace::Observe).
  void Observe(StepObserver observer) { workspace_.Observe(std::move(observer)); }

  // Everything the stream remembers. A copy is a snapshot; see Restore.
  const State& state() const { return state_; }
  // Continues from a snapshot of the same model: the bits of never having stopped.
  void Restore(const State& saved) { state_ = saved; }
  // Back to before the first token.
  void Reset() { state_ = State(model_->graph()); }

  const Model& model() const { return *model_; }
  const std::shared_ptr<const Model>& shared_model() const { return model_; }

 private:
  std::shared_ptr<const Model> model_;
  std::shared_ptr<ThreadPool> pool_;
  State state_;
  ProgramWorkspace workspace_;
};

}  // namespace octet
#endif  // OCTET_RUNTIME_SESSION_H_
