// Choosing one of several forms for each of many things, so that few bytes cost little accuracy.
#ifndef OCTET_QUANT_ALLOCATE_H_
#define OCTET_QUANT_ALLOCATE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace octet {

// One form that a thing can have.
struct Choice {
  int64_t bytes = 0;  // as stored, >= 0
  double cost = 0;    // what the form costs by itself, >= 0; costs of different things add up
};
using Choices = std::vector<Choice>;  // of one thing: 1 to 255

// For each thing the index of its form, so that the bytes together are at most `budget` and the
// costs together are least; among equal costs the fewest bytes. A multiple-choice knapsack, solved
// by dynamic programming over the bytes beyond the smallest forms, in units of their greatest
// common divisor: exact. Where that gives more than 2^17 units, units are made larger and sizes
// rounded up to them: the budget still holds, and at most things * budget / 2^17 bytes of it stay
// unused. kInvalidArgument when a thing has no form or too many, or a form is not as above, or when
// even the smallest forms exceed the budget, naming their bytes.
Result<std::vector<size_t>> LeastCost(std::span<const Choices> things, int64_t budget);

// The same with the fewest bytes for which the costs together are at most `max_cost`.
// kInvalidArgument when even the forms of least cost exceed it.
Result<std::vector<size_t>> FewestBytes(std::span<const Choices> things, double max_cost);

}  // namespace octet
#endif  // OCTET_QUANT_ALLOCATE_H_
