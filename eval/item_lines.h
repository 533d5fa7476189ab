// Results by item as a file of JSON lines, to be compared with those of another model.
#ifndef OCTET_EVAL_ITEM_LINES_H_
#define OCTET_EVAL_ITEM_LINES_H_

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/task_results.h"

namespace octet {

// A line for each item: task, doc, item (the digest), loglikelihood and is_greedy by choice, acc;
// with choices also prediction and gold, and where it is defined acc_norm and prediction_norm.
std::string ItemLines(std::span<const ItemResult> items);
// Reads such a file. Errors start with the path and the line: kCorrupt for what Judge could not
// have made, an unknown task, or an item that is there twice.
Result<std::vector<ItemResult>> ReadItemLines(const std::string& path);

}  // namespace octet
#endif  // OCTET_EVAL_ITEM_LINES_H_
