#include "runtime/session.h"

namespace octet {

Session::Session(std::shared_ptr<const Model> model, std::shared_ptr<ThreadPool> pool)
    : model_(std::move(model)),
      pool_(std::move(pool)),
      state_(model_->graph()),
      workspace_(pool_.get()) {}

Status Session::Feed(std::span<const TokenId> tokens, std::span<float> last_logits) {
  return model_->program().RunForLast(tokens, &state_, &workspace_, last_logits);
}

Status Session::FeedAll(std::span<const TokenId> tokens, const LogitsSink& sink) {
  return model_->program().Run(tokens, &state_, &workspace_, sink);
}

Status Session::FeedFrames(std::span<const float> frames, std::span<float> last_logits) {
  return model_->program().RunFramesForLast(frames, &state_, &workspace_, last_logits);
}

Status Session::FeedAllFrames(std::span<const float> frames, const LogitsSink& sink) {
  return model_->program().RunFrames(frames, &state_, &workspace_, sink);
}

}  // namespace octet
