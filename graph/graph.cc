#include "graph/graph.h"

#include <set>

#include <fmt/format.h>

namespace octet {

const char* OpName(Op op) {
  switch (op) {
    case Op::kEmbedding:
      return "Embedding";
    case Op::kRmsNorm:
      return "RmsNorm";
    case Op::kLinear:
      return "Linear";
    case Op::kSplit:
      return "Split";
    case Op::kCausalConvSilu:
      return "CausalConvSilu";
    case Op::kSoftplus:
      return "Softplus";
    case Op::kSsd:
      return "Ssd";
    case Op::kSelectiveScan:
      return "SelectiveScan";
    case Op::kGate:
      return "Gate";
    case Op::kGatedRmsNorm:
      return "GatedRmsNorm";
    case Op::kHadamard:
      return "Hadamard";
    case Op::kAdd:
      return "Add";
    case Op::kFrames:
      return "Frames";
    case Op::kS4d:
      return "S4d";
    case Op::kGelu:
      return "Gelu";
    case Op::kGlu:
      return "Glu";
    case Op::kLayerNorm:
      return "LayerNorm";
    case Op::kMean:
      return "Mean";
  }
  return "?";
}

const Encoding* Graph::FindEncoding(std::string_view site) const {
  const auto it = encodings.find(site);
  return it == encodings.end() ? nullptr : &it->second;
}

ValueId Graph::FindSite(std::string_view site) const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].site == site) return static_cast<ValueId>(i);
  }
  return -1;
}

std::pair<ValueId, ValueId> Graph::LayerRange(int layer) const {
  size_t begin = 0;
  while (begin < nodes.size() && nodes[begin].layer != layer) {
    ++begin;
  }
  size_t end = begin;
  while (end < nodes.size() && nodes[end].layer == layer) {
    ++end;
  }
  return {static_cast<ValueId>(begin), static_cast<ValueId>(end)};
}

std::string SsdInnerSite(int layer, std::string_view inner) {
  return fmt::format("layers.{}.ssd.{}", layer, inner);
}

ValueId StreamInput(const Graph& graph) {
  return graph.layers == 0 ? 0 : graph.LayerRange(0).first - 1;
}

int64_t StreamWidth(const Graph& graph) {
  return graph.nodes[static_cast<size_t>(StreamInput(graph))].width;
}

int64_t ChunkSize(const Graph& graph) {
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kSsd) return n.ssd.chunk_size;
    if (n.op == Op::kSelectiveScan) return n.scan.period;
    if (n.op == Op::kS4d) return n.s4d.period;
  }
  return 1;
}

void SetChunkSize(int64_t chunk_size, Graph* graph) {
  for (Node& n : graph->nodes) {
    if (n.op == Op::kSsd) n.ssd.chunk_size = chunk_size;
    if (n.op == Op::kSelectiveScan) n.scan.period = chunk_size;
    if (n.op == Op::kS4d) n.s4d.period = chunk_size;
  }
}

std::string StateSite(int layer) {
  return fmt::format("layers.{}.state", layer);
}

bool HasState(Op op) {
  return op == Op::kSsd || op == Op::kSelectiveScan || op == Op::kS4d;
}

const Node* FindStateNode(const Graph& graph, int layer) {
  for (const Node& n : graph.nodes) {
    if (n.layer == layer && HasState(n.op)) return &n;
  }
  return nullptr;
}

int64_t StateSize(const Node& n) {
  if (n.op == Op::kS4d) return 2 * n.s4d.modes;
  return n.op == Op::kSsd ? n.ssd.state_size : n.scan.state_size;
}

bool ChunkSizeIsCalibrated(const Graph& graph) {
  for (const Node& n : graph.nodes) {
    if (n.op != Op::kSsd || !n.ssd.int8) continue;
    for (const char* inner : kSsdInnerSites) {
      const Encoding* e = graph.FindEncoding(SsdInnerSite(n.layer, inner));
      if (e != nullptr && e->source == ScaleSource::kStatic) return true;
    }
  }
  return false;
}

std::string ToText(const Graph& graph) {
  std::string text;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    std::string inputs;
    for (const ValueId v : n.in) {
      inputs += fmt::format(" %{}", v);
    }
    std::string weights;
    for (const std::string& w : n.weights) {
      if (!w.empty()) weights += " " + w;
    }
    const Encoding* e = graph.FindEncoding(n.site);
    std::string code;
    if (e != nullptr && e->quantized()) {
      code = e->codec == Codec::kUniform ? " i8" : fmt::format(" {}", CodecName(e->codec));
    }
    text += fmt::format("%{} {} {}[{}]{}{}{}\n", i, n.site, OpName(n.op), n.width, inputs, weights,
                        code);
  }
  return text;
}

namespace {

std::string SiteIn(int layer, std::string_view site) {
  return layer < 0 ? std::string(site) : fmt::format("layers.{}.{}", layer, site);
}

// Puts `node` between input `input` of `reader` and what that input was.
void InsertBefore(Graph* graph, ValueId reader, size_t input, Node node) {
  Node& target = graph->nodes[static_cast<size_t>(reader)];
  node.layer = target.layer;
  node.in = {target.in[input]};
  node.width = graph->nodes[static_cast<size_t>(node.in[0])].width;
  target.in[input] = -1;
  for (Node& n : graph->nodes) {
    for (ValueId& v : n.in) {
      if (v >= reader) ++v;
    }
  }
  target.in[input] = reader;  // the index that the new node takes
  if (graph->logits >= reader) ++graph->logits;
  graph->nodes.insert(graph->nodes.begin() + reader, std::move(node));
}

}  // namespace

void InsertHadamard(Graph* graph, ValueId linear, std::string_view id) {
  const std::string& site = graph->nodes[static_cast<size_t>(linear)].site;
  Node rotation{};
  rotation.op = Op::kHadamard;
  rotation.site = site.substr(0, site.rfind('.') + 1) + "y_rot";
  rotation.hadamard = id;
  InsertBefore(graph, linear, 0, std::move(rotation));
}

ValueId ForkInput(Graph* graph, ValueId reader, size_t input, std::string_view site) {
  Node fork{};
  fork.op = Op::kSplit;
  fork.site = SiteIn(graph->nodes[static_cast<size_t>(reader)].layer, site);
  InsertBefore(graph, reader, input, std::move(fork));
  return reader;
}

bool IsFork(const Graph& graph, const Node& n) {
  return n.op == Op::kSplit && n.offset == 0 &&
         n.width == graph.nodes[static_cast<size_t>(n.in[0])].width;
}

void GraphBuilder::SetLayer(int layer) {
  layer_ = layer;
  if (layer >= graph_.layers) graph_.layers = layer + 1;
}

Node GraphBuilder::MakeNode(Op op, std::string_view site, std::vector<ValueId> in,
                            int64_t width) const {
  Node n{};
  n.op = op;
  n.site = SiteIn(layer_, site);
  n.layer = layer_;
  n.in = std::move(in);
  n.width = width;
  return n;
}

ValueId GraphBuilder::Push(Node node) {
  graph_.nodes.push_back(std::move(node));
  return static_cast<ValueId>(graph_.nodes.size()) - 1;
}

ValueId GraphBuilder::Embedding(std::string_view site, std::string table, int64_t rows,
                                int64_t width) {
  Node n = MakeNode(Op::kEmbedding, site, {}, width);
  n.weights = {std::move(table)};
  graph_.vocab_rows = rows;
  return Push(std::move(n));
}

ValueId GraphBuilder::RmsNorm(std::string_view site, ValueId x, std::string weight, float eps) {
  Node n = MakeNode(Op::kRmsNorm, site, {x}, Width(x));
  n.weights = {std::move(weight)};
  n.eps = eps;
  return Push(std::move(n));
}

ValueId GraphBuilder::Linear(std::string_view site, ValueId x, std::string weight, std::string bias,
                             int64_t width) {
  Node n = MakeNode(Op::kLinear, site, {x}, width);
  n.weights = {std::move(weight), std::move(bias)};
  return Push(std::move(n));
}

ValueId GraphBuilder::SplitOne(std::string_view site, ValueId u, int64_t offset, int64_t width) {
  Node n = MakeNode(Op::kSplit, site, {u}, width);
  n.offset = offset;
  return Push(std::move(n));
}

ValueId GraphBuilder::CausalConvSilu(std::string_view site, ValueId x, std::string weight,
                                     std::string bias, int64_t taps) {
  Node n = MakeNode(Op::kCausalConvSilu, site, {x}, Width(x));
  n.weights = {std::move(weight), std::move(bias)};
  n.taps = taps;
  return Push(std::move(n));
}

ValueId GraphBuilder::Softplus(std::string_view site, ValueId dt_in, std::string bias, float lo,
                               float hi) {
  Node n = MakeNode(Op::kSoftplus, site, {dt_in}, Width(dt_in));
  n.weights = {std::move(bias)};
  n.lo = lo;
  n.hi = hi;
  return Push(std::move(n));
}

ValueId GraphBuilder::Ssd(std::string_view site, ValueId x, ValueId dt, ValueId B, ValueId C,
                          std::string A_log, std::string D, const SsdAttributes& attributes) {
  Node n = MakeNode(Op::kSsd, site, {x, dt, B, C}, Width(x));
  n.weights = {std::move(A_log), std::move(D)};
  n.ssd = attributes;
  return Push(std::move(n));
}

ValueId GraphBuilder::SelectiveScan(std::string_view site, ValueId x, ValueId dt, ValueId B,
                                    ValueId C, std::string A_log, std::string D,
                                    const ScanAttributes& attributes) {
  Node n = MakeNode(Op::kSelectiveScan, site, {x, dt, B, C}, Width(x));
  n.weights = {std::move(A_log), std::move(D)};
  n.scan = attributes;
  return Push(std::move(n));
}

ValueId GraphBuilder::Gate(std::string_view site, ValueId y, ValueId z) {
  return Push(MakeNode(Op::kGate, site, {y, z}, Width(y)));
}

ValueId GraphBuilder::GatedRmsNorm(std::string_view site, ValueId y, ValueId z, std::string weight,
                                   float eps, int64_t groups) {
  Node n = MakeNode(Op::kGatedRmsNorm, site, {y, z}, Width(y));
  n.weights = {std::move(weight)};
  n.eps = eps;
  n.groups = groups;
  return Push(std::move(n));
}

ValueId GraphBuilder::Add(std::string_view site, ValueId a, ValueId b) {
  return Push(MakeNode(Op::kAdd, site, {a, b}, Width(a)));
}

ValueId GraphBuilder::Frames(std::string_view site, int64_t width) {
  return Push(MakeNode(Op::kFrames, site, {}, width));
}

ValueId GraphBuilder::S4d(std::string_view site, ValueId u, std::array<std::string, 6> weights,
                          const S4dAttributes& attributes) {
  Node n = MakeNode(Op::kS4d, site, {u}, Width(u));
  n.weights.assign(weights.begin(), weights.end());
  n.s4d = attributes;
  return Push(std::move(n));
}

ValueId GraphBuilder::Gelu(std::string_view site, ValueId x, GeluForm form) {
  Node n = MakeNode(Op::kGelu, site, {x}, Width(x));
  n.gelu = form;
  return Push(std::move(n));
}

ValueId GraphBuilder::Glu(std::string_view site, ValueId x) {
  return Push(MakeNode(Op::kGlu, site, {x}, Width(x) / 2));
}

ValueId GraphBuilder::LayerNorm(std::string_view site, ValueId x, std::string weight,
                                std::string bias, float eps) {
  Node n = MakeNode(Op::kLayerNorm, site, {x}, Width(x));
  n.weights = {std::move(weight), std::move(bias)};
  n.eps = eps;
  return Push(std::move(n));
}

ValueId GraphBuilder::Mean(std::string_view site, ValueId x) {
  return Push(MakeNode(Op::kMean, site, {x}, Width(x)));
}

Graph GraphBuilder::Finish(ValueId logits) {
  graph_.logits = logits;
  if (graph_.nodes[0].op == Op::kFrames) graph_.vocab_rows = Width(logits);
  return std::move(graph_);
}

}  // namespace octet
