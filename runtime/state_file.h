// Saved states: what a stream remembers, as bytes that outlive the process.
#ifndef OCTET_RUNTIME_STATE_FILE_H_
#define OCTET_RUNTIME_STATE_FILE_H_

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "exec/state.h"
#include "runtime/model.h"

namespace octet {

// `state` of a stream of `model`, in the form of docs/format.md ("Saved states"): a few MB, the
// same for every length of text. A stream that continues from it gives the bits of never having
// stopped.
std::string SaveState(const Model& model, const State& state);
// The state again. kCorrupt for bytes that are not a saved state, are cut off or damaged;
// kInvalidArgument for a state of another model, told by encodings and by its tensors' names,
// types, shapes, scales and ends. Errors start with `name`, where the bytes are from.
Result<State> LoadState(const Model& model, std::span<const std::byte> bytes,
                        const std::string& name);

// The same with a file, which appears whole or not at all. Errors start with the path.
Status WriteState(const Model& model, const State& state, const std::string& path);
Result<State> ReadState(const Model& model, const std::string& path);

}  // namespace octet
#endif  // OCTET_RUNTIME_STATE_FILE_H_
