#include "runtime/session.h"

#include <algorithm>
#include <vector>

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

Status Session::FeedEach(std::span<Session* const> sessions, std::span<const TokenId> tokens,
                         std::span<float> logits) {
  if (sessions.empty()) return InvalidArgument("there is no session to feed");
  std::vector<State*> states;
  for (Session* s : sessions) {
    if (s->model_ != sessions[0]->model_) {
      return InvalidArgument("sessions of different models cannot be fed together");
    }
    states.push_back(&s->state_);
  }
  std::vector<State*> sorted = states;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    return InvalidArgument("a session can be fed only once at a time");
  }
  Session& first = *sessions[0];
  return first.model_->program().RunEach(tokens, states, &first.workspace_, logits);
}

Status Session::FeedFrames(std::span<const float> frames, std::span<float> last_logits) {
  return model_->program().RunFramesForLast(frames, &state_, &workspace_, last_logits);
}

Status Session::FeedAllFrames(std::span<const float> frames, const LogitsSink& sink) {
  return model_->program().RunFrames(frames, &state_, &workspace_, sink);
}

}  // namespace octet
