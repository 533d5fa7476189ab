#include <set>

#include <fmt/format.h>

#include "graph/graph.h"

namespace octet {
namespace {

Status Bad(const Node& n, std::string_view reason) {
  return InvalidArgument(fmt::format("graph site {}: {}", n.site, reason));
}

// Inputs that an Op takes.
size_t Arity(Op op) {
  switch (op) {
    case Op::kEmbedding:
      return 0;
    case Op::kSsd:
      return 4;
    case Op::kGatedRmsNorm:
    case Op::kAdd:
      return 2;
    default:
      return 1;
  }
}

// `scales` static ones, or made per chunk where `dynamic` allows that.
Status VerifyEncoding(const Graph& graph, const Node& n, const std::string& site, int64_t scales,
                      bool dynamic) {
  const Encoding* e = graph.FindEncoding(site);
  const bool encoded = e != nullptr && e->dtype == DType::kI8;
  if (encoded && e->source == ScaleSource::kPerChunk && dynamic) return {};
  if (encoded && e->source == ScaleSource::kStatic &&
      static_cast<int64_t>(e->scales.size()) == scales) {
    return {};
  }
  return Bad(n, fmt::format("the int8 form needs {} static int8 scales at {}", scales, site));
}

Status VerifySsd(const Graph& graph, const Node& n) {
  const SsdAttributes& s = n.ssd;
  if (s.heads < 1 || s.head_dim < 1 || s.state_size < 1 || s.groups < 1 || s.chunk_size < 1 ||
      s.heads % s.groups != 0) {
    return Bad(n, "inconsistent head, state, group or chunk sizes");
  }
  auto width = [&](int i) {
    return graph.nodes[static_cast<size_t>(n.in[static_cast<size_t>(i)])].width;
  };
  if (width(0) != s.heads * s.head_dim || width(1) != s.heads ||
      width(2) != s.groups * s.state_size || width(3) != width(2)) {
    return Bad(n, "inputs do not have the widths that its sizes ask for");
  }
  if (!s.int8) return {};
  const bool dynamic = !s.gate_q7;  // the integer gate needs one state scale for all chunks
  for (const size_t input : {2, 3}) {
    const std::string& site = graph.nodes[static_cast<size_t>(n.in[input])].site;
    OCTET_TRY(VerifyEncoding(graph, n, site, s.groups, false));
  }
  const int64_t channels = s.heads * s.head_dim;
  OCTET_TRY(VerifyEncoding(graph, n, SsdInnerSite(n.layer, "x_scaled"), channels, dynamic));
  OCTET_TRY(VerifyEncoding(graph, n, SsdInnerSite(n.layer, "score"), s.groups, dynamic));
  return VerifyEncoding(graph, n, SsdInnerSite(n.layer, "state"), channels, dynamic);
}

Status VerifyNode(const Graph& graph, size_t index) {
  const Node& n = graph.nodes[index];
  if (n.width < 1) return Bad(n, "has no channels");
  if (n.in.size() != Arity(n.op)) return Bad(n, "has the wrong number of inputs");
  for (const ValueId v : n.in) {
    if (v < 0 || static_cast<size_t>(v) >= index) return Bad(n, "reads a value that comes later");
  }
  auto width = [&](size_t i) { return graph.nodes[static_cast<size_t>(n.in[i])].width; };
  switch (n.op) {
    case Op::kSplit:
      if (n.offset < 0 || n.offset + n.width > width(0)) return Bad(n, "splits beyond its input");
      break;
    case Op::kAdd:
    case Op::kGatedRmsNorm:
      if (width(0) != n.width || width(1) != n.width) return Bad(n, "has inputs of other widths");
      if (n.groups < 1 || n.width % n.groups != 0)
        return Bad(n, "has groups that do not divide it");
      break;
    case Op::kCausalConvSilu:
      if (n.taps < 1) return Bad(n, "has no taps");
      break;
    case Op::kSsd:
      return VerifySsd(graph, n);
    default:
      break;
  }
  const Encoding* e = graph.FindEncoding(n.site);
  if (e != nullptr && e->quantized() && e->source == ScaleSource::kStatic &&
      (e->scales.empty() || n.width % static_cast<int64_t>(e->scales.size()) != 0)) {
    return Bad(n, "has a number of scales that does not divide its channels");
  }
  return {};
}

}  // namespace

Status Verify(const Graph& graph) {
  std::set<std::string> sites;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!sites.insert(graph.nodes[i].site).second) return Bad(graph.nodes[i], "appears twice");
    OCTET_TRY(VerifyNode(graph, i));
  }
  if (graph.logits + 1 != static_cast<ValueId>(graph.nodes.size())) {
    return InvalidArgument("graph: the logits are not the last value");
  }
  return {};
}

}  // namespace octet
