// What lowering any node needs: places of values, the choice of kernels, loops over tokens.
#ifndef OCTET_EXEC_NODE_LOWERING_H_
#define OCTET_EXEC_NODE_LOWERING_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "exec/lowering.h"
#include "kernels/table.h"

namespace octet {

using FloatVector = std::vector<float>;

// Tokens that one task handles in operations that treat tokens alike. Fixed, so that the partition
// never depends on the number of threads.
constexpr int64_t kTokenBlock = 16;
// The same where each token is of another stream and no step leads the others, which goes stream by
// stream.
constexpr int64_t kStreamBlock = 2;
// Streams that one step takes a token of.
constexpr int64_t kMaxStreams = 64;

// The kernels of one step: for one token and for many.
template <class Args>
struct KernelChoice {
  const Kernel<Args>* decode;
  const Kernel<Args>* prefill;
  const Kernel<Args>& For(int64_t T) const { return T == 1 ? *decode : *prefill; }
  const Kernel<Args>& For(const Frame& f) const { return f.decode ? *decode : *prefill; }
};

// The node that is lowered; a base of the classes that push its steps.
class NodeLowering {
 public:
  NodeLowering(ValueId v, LoweringContext* context, std::vector<Step>* steps)
      : v_(v), c_(*context), n_(c_.graph.nodes[static_cast<size_t>(v)]), steps_(steps) {}

 protected:
  const ValuePlace& Place(ValueId v) const { return c_.plan.places[static_cast<size_t>(v)]; }
  const ValuePlace& In(size_t i) const { return Place(n_.in[i]); }
  const Node& InNode(size_t i) const { return c_.graph.nodes[static_cast<size_t>(n_.in[i])]; }
  static float* Floats(const Frame& f, const ValuePlace& p) {
    return reinterpret_cast<float*>(f.values + p.floats);
  }
  std::shared_ptr<const FloatVector> Vector(const std::string& name) const {
    const Weight* w = name.empty() ? nullptr : c_.weights.Find(name);
    return std::make_shared<const FloatVector>(w == nullptr ? FloatVector() : ToF32(*w));
  }

  void Push(std::string decode, std::string prefill, std::function<void(const Frame&)> run) {
    steps_->push_back(
        {n_.site, std::move(decode), std::move(prefill), std::move(run), v_, false, {}, {}});
  }
  // A step that treats each token for itself; only of the value's encoding, or of an operation that
  // does, see TreatsTokensAlone.
  template <class Rows>
  void PushRows(std::string decode, std::string prefill, const Rows& rows) {
    steps_->push_back({n_.site, std::move(decode), std::move(prefill), {}, v_, false, rows, {}});
  }
  // A step of an operation that LeadsTokens; see Step::lead.
  template <class Lead>
  void PushLead(std::string decode, std::string prefill, const Lead& lead) {
    steps_->push_back({n_.site, std::move(decode), std::move(prefill), {}, v_, false, {}, lead});
  }

  // Picks for `args` with 1 and with many tokens in `tokens`, a field of Args; books the kernels'
  // scratch, of that for one token for kMaxStreams of them, and `extra` bytes after it, which start
  // at extra_offset_.
  template <class Args>
  KernelChoice<Args> Pick(Args args, int64_t Args::*tokens, int64_t many, int64_t extra = 0) {
    KernelChoice<Args> choice{};
    extra_offset_ = 0;
    for (const int64_t T : {int64_t{1}, many}) {
      args.*tokens = T;
      const Kernel<Args>& k = Kernels<Args>().Pick(args, c_.options.isas);
      (T == 1 ? choice.decode : choice.prefill) = &k;
      extra_offset_ = std::max(extra_offset_, CeilDiv(k.scratch_bytes(args), 64) * 64);
    }
    args.*tokens = kMaxStreams;
    extra_offset_ = std::max(extra_offset_, CeilDiv(choice.decode->scratch_bytes(args), 64) * 64);
    *c_.scratch_bytes = std::max(*c_.scratch_bytes, extra_offset_ + extra);
    return choice;
  }

  // Runs `body(sequence, part, workspace)` for the parts [0, parts) of each sequence.
  template <class Body>
  static void OverSequences(const Frame& f, int64_t parts, const Body& body) {
    f.pool->For(std::ssize(f.sequences) * parts, [&](int64_t task, int worker) {
      body(f.sequences[static_cast<size_t>(task / parts)], task % parts, Scratch(f, worker));
    });
  }

  static Workspace Scratch(const Frame& f, int worker) {
    return Workspace{(*f.scratch)[static_cast<size_t>(worker)].data()};
  }

  ValueId v_;
  LoweringContext& c_;
  const Node& n_;
  std::vector<Step>* steps_;
  int64_t extra_offset_ = 0;
};

// Whether node `n` takes the codes of its input `i`, else its values. A quantized weight whose
// input has no codes for it is multiplied in float.
bool ReadsCodes(const Graph& graph, const Node& n, size_t i, const WeightMap& weights);

// Appends the step of a Linear; codes that meet codes are copied into panels where a kernel of the
// machine reads them so. kUnsupported when an integer sum could overflow.
Status LowerLinear(ValueId v, LoweringContext* context, std::vector<Step>* steps);

// Appends what encodes the node's value at an encoded site: codes for readers that take them,
// decoded values in place for readers that do not.
void LowerEncoding(ValueId v, LoweringContext* context, std::vector<Step>* steps);

}  // namespace octet
#endif  // OCTET_EXEC_NODE_LOWERING_H_
