#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>

#include "graph/graph.h"

namespace octet {
namespace {

Status Bad(const Node& n, std::string_view reason) {
  return InvalidArgument(fmt::format("graph site {}: {}", n.site, reason));
}

// Inputs and weights that an Op takes.
struct Arity {
  size_t inputs, weights;
};

Arity ArityOf(Op op) {
  switch (op) {
    case Op::kFrames:
      return {0, 0};
    case Op::kEmbedding:
      return {0, 1};
    case Op::kRmsNorm:
    case Op::kSoftplus:
      return {1, 1};
    case Op::kLinear:
    case Op::kCausalConvSilu:
    case Op::kLayerNorm:
      return {1, 2};
    case Op::kSplit:
    case Op::kHadamard:
    case Op::kGelu:
    case Op::kGlu:
    case Op::kMean:
      return {1, 0};
    case Op::kS4d:
      return {1, 6};
    case Op::kSsd:
    case Op::kSelectiveScan:
      return {4, 2};
    case Op::kGatedRmsNorm:
      return {2, 1};
    case Op::kGate:
    case Op::kAdd:
      return {2, 0};
  }
  return {0, 0};
}

// Of one block; the largest public models have 2^20.
constexpr int64_t kMaxStateElements = int64_t{1} << 26;

// `scales` static ones, or made per chunk where `dynamic` allows that. Codes are int8, or those
// that `any_code` leaves to the caller.
Status VerifyEncoding(const Graph& graph, const Node& n, const std::string& site, int64_t scales,
                      bool dynamic, bool any_code = false) {
  const Encoding* e = graph.FindEncoding(site);
  const bool encoded = e != nullptr && e->dtype == DType::kI8 && e->zeros.empty() &&
                       (e->codec == Codec::kUniform || any_code);
  if (encoded && e->source == ScaleSource::kPerChunk && dynamic) return {};
  if (encoded && e->source == ScaleSource::kStatic &&
      static_cast<int64_t>(e->scales.size()) == scales) {
    return {};
  }
  return Bad(n, fmt::format("the int8 form needs {} static int8 scales at {}", scales, site));
}

// The codes of X_s: any whose sums with those of B are exact.
Status VerifyXScaled(const Graph& graph, const Node& n, bool dynamic) {
  const std::string site = SsdInnerSite(n.layer, "x_scaled");
  OCTET_TRY(VerifyEncoding(graph, n, site, n.width, dynamic, true));
  const Codec codec = graph.FindEncoding(site)->codec;
  if (UnitSumsAreExact(codec, n.ssd.chunk_size)) return {};
  return Bad(n, fmt::format("{} as {} cannot be summed exactly over chunks of {} tokens", site,
                            CodecName(codec), n.ssd.chunk_size));
}

Status VerifySsd(const Graph& graph, const Node& n) {
  const SsdAttributes& s = n.ssd;
  if (s.heads < 1 || s.head_dim < 1 || s.state_size < 1 || s.groups < 1 || s.chunk_size < 1 ||
      s.chunk_size > kMaxChunkSize || s.heads % s.groups != 0) {
    return Bad(n, "inconsistent head, state, group or chunk sizes");
  }
  auto width = [&](int i) {
    return graph.nodes[static_cast<size_t>(n.in[static_cast<size_t>(i)])].width;
  };
  if (n.width != width(0) || width(0) != s.heads * s.head_dim || width(1) != s.heads ||
      width(2) != s.groups * s.state_size || width(3) != width(2)) {
    return Bad(n, "inputs do not have the widths that its sizes ask for");
  }
  if (n.width > kMaxStateElements / s.state_size) {
    return Bad(n, fmt::format("the recurrent state has more than {} elements", kMaxStateElements));
  }
  if (!s.int8) return {};
  constexpr int64_t kLimit = int64_t{1} << 15;  // keeps integer sums exact, see kernels/ssd.h
  if (s.chunk_size > kLimit || s.state_size > kLimit) {
    return Bad(n, "the int8 form needs a chunk size and a state size of at most 32768");
  }
  const bool dynamic = !s.gate_q7;  // the integer gate needs one state scale for all chunks
  for (const size_t input : {2, 3}) {
    const std::string& site = graph.nodes[static_cast<size_t>(n.in[input])].site;
    OCTET_TRY(VerifyEncoding(graph, n, site, s.groups, false));
  }
  const int64_t channels = s.heads * s.head_dim;
  OCTET_TRY(VerifyXScaled(graph, n, dynamic));
  OCTET_TRY(VerifyEncoding(graph, n, SsdInnerSite(n.layer, "score"), s.groups, dynamic));
  return VerifyEncoding(graph, n, SsdInnerSite(n.layer, "state"), channels, dynamic);
}

Status VerifyScan(const Graph& graph, const Node& n) {
  const ScanAttributes& s = n.scan;
  if (s.state_size < 1 || s.period < 1 || s.period > kMaxChunkSize) {
    return Bad(n, "has no state, or a period that is not between 1 and 65536");
  }
  auto width = [&](size_t i) { return graph.nodes[static_cast<size_t>(n.in[i])].width; };
  if (width(0) != n.width || width(1) != n.width || width(2) != s.state_size ||
      width(3) != s.state_size) {
    return Bad(n, "inputs do not have the widths that its sizes ask for");
  }
  return {};
}

Status VerifyS4d(const Graph& graph, const Node& n) {
  const S4dAttributes& s = n.s4d;
  if (s.modes < 1 || s.period < 1 || s.period > kMaxChunkSize) {
    return Bad(
        n, fmt::format("has no modes, or a period that is not between 1 and {}", kMaxChunkSize));
  }
  if (s.modes > kMaxStateElements / 2) {
    return Bad(n, fmt::format("the recurrent state has more than {} elements", kMaxStateElements));
  }
  if (graph.nodes[static_cast<size_t>(n.in[0])].width != n.width) {
    return Bad(n, "has an input of another width");
  }
  const bool discrete = s.discretization == Discretization::kNone;
  const bool named[] = {!discrete, true, !discrete, discrete, true, true};
  for (size_t i = 0; i < std::size(named); ++i) {
    const bool optional = i == 3 && !discrete;  // B
    if (!optional && n.weights[i].empty() == named[i]) {
      return Bad(n, "does not have the weights of its discretization");
    }
  }
  return {};
}

// What an operation asks of its own sizes and of its inputs' widths.
Status VerifySizes(const Graph& graph, const Node& n) {
  auto width = [&](size_t i) { return graph.nodes[static_cast<size_t>(n.in[i])].width; };
  switch (n.op) {
    case Op::kEmbedding:
    case Op::kFrames:
    case Op::kLinear:
      return {};
    case Op::kSplit:
      if (n.offset < 0 || n.width > width(0) || n.offset > width(0) - n.width) {
        return Bad(n, "splits beyond its input");
      }
      return {};
    case Op::kSsd:
      return VerifySsd(graph, n);
    case Op::kSelectiveScan:
      return VerifyScan(graph, n);
    case Op::kS4d:
      return VerifyS4d(graph, n);
    case Op::kGlu:
      if (width(0) != 2 * n.width)
        return Bad(n, "has an input of another width than twice its own");
      return {};
    case Op::kCausalConvSilu:
      if (n.taps < 1) return Bad(n, "has no taps");
      break;
    case Op::kGatedRmsNorm:
      if (n.groups < 1 || n.width % n.groups != 0) {
        return Bad(n, "has groups that do not divide it");
      }
      break;
    case Op::kRmsNorm:
    case Op::kSoftplus:
    case Op::kGate:
    case Op::kHadamard:
    case Op::kAdd:
    case Op::kGelu:
    case Op::kLayerNorm:
    case Op::kMean:
      break;
  }
  for (size_t i = 0; i < n.in.size(); ++i) {
    if (width(i) != n.width) return Bad(n, "has an input of another width");
  }
  return {};
}

Status VerifyNode(const Graph& graph, size_t index) {
  const Node& n = graph.nodes[index];
  const bool is_input = n.op == Op::kEmbedding || n.op == Op::kFrames;
  if (is_input != (index == 0)) return Bad(n, "the embedding or the frames must come first");
  if (n.width < 1) return Bad(n, "has no channels");
  if (n.in.size() != ArityOf(n.op).inputs) return Bad(n, "has the wrong number of inputs");
  if (n.weights.size() != ArityOf(n.op).weights) return Bad(n, "has the wrong number of weights");
  for (const ValueId v : n.in) {
    if (v < 0 || static_cast<size_t>(v) >= index) return Bad(n, "reads a value that comes later");
  }
  return VerifySizes(graph, n);
}

// Blocks 0, 1, ... in order between the embedding and the head; nothing but the residual stream,
// the last value before a block, crosses its borders.
Status VerifyBlocks(const Graph& graph) {
  int layer = -1;     // of the node before
  size_t border = 0;  // the residual stream that the current block, or the head, reads
  bool in_head = false;
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    if (n.layer != layer) {
      const bool first_of_next = n.layer == layer + 1 && n.layer < graph.layers && !in_head;
      const bool head_after_last = n.layer == -1 && layer == graph.layers - 1;
      if (!first_of_next && !head_after_last) return Bad(n, "is outside the order of the blocks");
      const Node& last = graph.nodes[i - 1];
      const bool ends_block = last.op == Op::kAdd || last.op == Op::kLayerNorm;
      if (layer >= 0 && (!ends_block || last.width != StreamWidth(graph))) {
        return Bad(last, "ends its block, but is not the residual stream");
      }
      layer = n.layer;
      border = i - 1;
      in_head = head_after_last;
    }
    for (const ValueId v : n.in) {
      if (static_cast<size_t>(v) < border) return Bad(n, "reads a value of another block");
    }
  }
  if (layer != -1 || (graph.layers > 0 && !in_head)) {
    return InvalidArgument("graph: blocks are missing");
  }
  return {};
}

Status VerifyCodec(const Node& n, const Encoding& e) {
  if (e.codec != Codec::kUniform && e.source != ScaleSource::kStatic) {
    return Bad(n, fmt::format("is encoded as {}, which needs static scales", CodecName(e.codec)));
  }
  if (e.zeros.size() != (HasZero(e.codec) ? e.scales.size() : 0)) {
    return Bad(n, fmt::format("has {} zeros for {} scales of {}", e.zeros.size(), e.scales.size(),
                              CodecName(e.codec)));
  }
  const auto too_large = [&](uint8_t zero) { return zero > MaxZero(e.codec); };
  if (std::ranges::any_of(e.zeros, too_large)) {
    return Bad(n, fmt::format("has a zero above {}, the largest of {}", MaxZero(e.codec),
                              CodecName(e.codec)));
  }
  return {};
}

Status VerifyEncodingAt(const Graph& graph, const Node& n, const Encoding& e) {
  if (!e.quantized()) return {};
  // A Mean is read at its last token alone, so nothing moves its codes.
  const bool in_float = n.op == Op::kEmbedding || n.op == Op::kFrames || n.op == Op::kMean;
  if (in_float || n.site == graph.nodes.back().site) {
    return Bad(n, "is encoded, but stays in float");
  }
  if (e.dtype != DType::kI8 || e.source == ScaleSource::kPerChunk) {
    return Bad(n, "has an encoding that only sites inside an Ssd can have");
  }
  if (e.source == ScaleSource::kStatic &&
      (e.scales.empty() || n.width % static_cast<int64_t>(e.scales.size()) != 0)) {
    return Bad(n, "has a number of scales that does not divide its channels");
  }
  return VerifyCodec(n, e);
}

// At most one Mean, after the blocks of a graph of frames: a stream of frames has one pooled value.
Status VerifyMean(const Graph& graph) {
  bool seen = false;
  for (const Node& n : graph.nodes) {
    if (n.op != Op::kMean) continue;
    const bool after = n.layer == -1 && n.in[0] + 1 == graph.FindSite(n.site) &&
                       n.in[0] + 1 == graph.LayerRange(graph.layers - 1).second;
    if (seen || !after || graph.nodes[0].op != Op::kFrames) {
      return Bad(n, "must be the only mean, of what leaves the last block");
    }
    seen = true;
  }
  return {};
}

// Every encoding belongs to a site that exists and uses it.
Status VerifyEncodings(const Graph& graph) {
  std::set<std::string, std::less<>> inner;  // of the int8 Ssds, which check theirs
  for (const Node& n : graph.nodes) {
    if (n.op != Op::kSsd || !n.ssd.int8) continue;
    for (const char* site : kSsdInnerSites) {
      inner.insert(SsdInnerSite(n.layer, site));
    }
  }
  for (const auto& [site, e] : graph.encodings) {
    const ValueId v = graph.FindSite(site);
    if (v >= 0) {
      OCTET_TRY(VerifyEncodingAt(graph, graph.nodes[static_cast<size_t>(v)], e));
    } else if (e.quantized() && inner.count(site) == 0) {
      return InvalidArgument(
          fmt::format("graph site {}: is encoded, but no operation has such a site", site));
    }
  }
  return {};
}

// The states' format, and the static scales of each if it has them.
Status VerifyStates(const Graph& graph) {
  const std::string format = ToText(graph.state);
  OCTET_TRY(ParseStateFormat(format).status());
  const auto& scales = graph.state_scales;
  if (graph.state.static_scales() != (scales != nullptr)) {
    return InvalidArgument(fmt::format("graph: the state format {} {} static scales", format,
                                       scales == nullptr ? "needs" : "does not use"));
  }
  if (scales == nullptr) return {};
  if (scales->size() != static_cast<size_t>(graph.layers)) {
    return InvalidArgument("graph: there are not static scales for the state of every block");
  }
  for (const Node& n : graph.nodes) {
    if (!HasState(n.op)) continue;
    const StateScales& own = (*scales)[static_cast<size_t>(n.layer)];
    const Status s = CheckStateScales(own, n.width, StateSize(n));
    if (!s.ok()) return s.Annotate(StateSite(n.layer));
  }
  return {};
}

// Bounds what running the graph takes, whatever sizes a small file has.
Status VerifyMemory(const Graph& graph) {
  constexpr int64_t kMaxElements = int64_t{1} << 28;  // 1 GiB in fp32; public models: 2^27
  const int64_t tokens = std::max<int64_t>(256, ChunkSize(graph));
  int64_t states = 0;
  for (const Node& n : graph.nodes) {
    if (&n != &graph.nodes.back() && n.width > kMaxElements / tokens) {
      return Bad(n, fmt::format("{} tokens have more than {} values", tokens, kMaxElements));
    }
    if (!HasState(n.op)) continue;
    if (n.width > kMaxElements / StateSize(n)) {
      return Bad(n, fmt::format("the recurrent state has more than {} elements", kMaxElements));
    }
    states += n.width * StateSize(n);
    if (states > kMaxElements) {
      return Bad(n, fmt::format("the recurrent states up to this block have more than {} elements",
                                kMaxElements));
    }
  }
  return {};
}

}  // namespace

Status Verify(const Graph& graph) {
  if (graph.nodes.empty()) return InvalidArgument("graph: there are no operations");
  std::set<std::string> sites;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!sites.insert(graph.nodes[i].site).second) return Bad(graph.nodes[i], "appears twice");
    OCTET_TRY(VerifyNode(graph, i));
  }
  OCTET_TRY(VerifyBlocks(graph));
  OCTET_TRY(VerifyMean(graph));
  OCTET_TRY(VerifyMemory(graph));
  const Node& last = graph.nodes.back();
  if (graph.logits + 1 != static_cast<ValueId>(graph.nodes.size())) {
    return InvalidArgument("graph: the logits are not the last value");
  }
  if (last.op != Op::kLinear || last.width != graph.vocab_rows) {
    return Bad(last, "is not a Linear with a channel for each row of the embedding");
  }
  OCTET_TRY(VerifyStates(graph));
  return VerifyEncodings(graph);
}

}  // namespace octet
