// What a row of logits says: probabilities in double, from a log-softmax that cannot overflow.
#ifndef OCTET_BASE_LOGITS_H_
#define OCTET_BASE_LOGITS_H_

#include <cstdint>
#include <span>

namespace octet {

// log(sum(exp(row))), in double, shifted by the largest entry. Not finite when `row` has a NaN or
// +infinity.
double LogSumExp(std::span<const float> row);

// -log p(target) under softmax(row), in nats.
double NegativeLogLikelihood(std::span<const float> row, int64_t target);

// Entropy of softmax(row), nats: log(row.size()) for equal logits. Finite rows.
double Entropy(std::span<const float> row);

// KL(softmax(reference) || softmax(candidate)), nats, >= 0; not finite where either row is not.
// Rows of equal length.
double KlDivergence(std::span<const float> reference, std::span<const float> candidate);

// Two predictions of the same token.
struct RowComparison {
  double reference_nll = 0, candidate_nll = 0;  // of the target, nats
  double kl = 0;          // KL(softmax(reference) || softmax(candidate)), nats, >= 0
  bool same_top = false;  // both have the same most likely token (ties: the smaller id)
};

// Rows of equal length.
RowComparison CompareRows(std::span<const float> reference, std::span<const float> candidate,
                          int64_t target);

}  // namespace octet
#endif  // OCTET_BASE_LOGITS_H_
