#include "quant/reorder.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace octet {
namespace {

using Permutation = std::vector<int64_t>;  // new position i holds old position [i]

// The nodes of a block that the order concerns.
struct Block {
  const Node* ssd = nullptr;
  const Node* norm = nullptr;      // gated
  const Node* softplus = nullptr;  // dt
  const Node* conv = nullptr;      // of x, B and C
  const Node* x = nullptr;         // Split of conv
  const Node* in_proj = nullptr;
  const Node* out_proj = nullptr;
  int64_t z_row = 0, x_row = 0, dt_row = 0;  // in in_proj
};

// The node of kind `op` that computes input `i` of `n`.
Result<const Node*> Producer(const Graph& graph, const Node& n, size_t i, Op op) {
  const Node& from = graph.nodes[static_cast<size_t>(n.in[i])];
  if (from.op == op) return &from;
  return Unsupported(fmt::format(
      "reordering heads: input {} of {} is a {}, not a {}; it must come before rotation", i, n.site,
      OpName(from.op), OpName(op)));
}

Result<Block> FindBlock(const Graph& graph, int layer) {
  Block b;
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    if (n.op == Op::kSsd) b.ssd = &n;
    if (n.op == Op::kGatedRmsNorm) b.norm = &n;
    if (n.op == Op::kLinear) b.out_proj = &n;  // the last one
  }
  if (b.ssd == nullptr || b.norm == nullptr) {
    return Unsupported(fmt::format("reordering heads: block {} is no Mamba-2 block", layer));
  }
  OCTET_ASSIGN(b.x, Producer(graph, *b.ssd, 0, Op::kSplit));
  OCTET_ASSIGN(b.softplus, Producer(graph, *b.ssd, 1, Op::kSoftplus));
  OCTET_ASSIGN(b.conv, Producer(graph, *b.x, 0, Op::kCausalConvSilu));
  OCTET_ASSIGN(const Node* xbc, Producer(graph, *b.conv, 0, Op::kSplit));
  OCTET_ASSIGN(const Node* dt, Producer(graph, *b.softplus, 0, Op::kSplit));
  OCTET_ASSIGN(const Node* z, Producer(graph, *b.norm, 1, Op::kSplit));
  OCTET_ASSIGN(b.in_proj, Producer(graph, *xbc, 0, Op::kLinear));
  OCTET_ASSIGN(const Node* norm, Producer(graph, *b.out_proj, 0, Op::kGatedRmsNorm));
  if (norm != b.norm || xbc->in != z->in || xbc->in != dt->in) {
    return Unsupported(fmt::format("reordering heads: block {} is no Mamba-2 block", layer));
  }
  b.z_row = z->offset;
  b.x_row = xbc->offset + b.x->offset;
  b.dt_row = dt->offset;
  return b;
}

bool IsPermutation(std::span<const int64_t> p, int64_t first) {
  std::vector<int64_t> sorted(p.begin(), p.end());
  std::ranges::sort(sorted);
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != first + static_cast<int64_t>(i)) return false;
  }
  return true;
}

Status CheckOrder(const HeadOrder& order, const SsdAttributes& ssd) {
  const auto H = static_cast<size_t>(ssd.heads), P = static_cast<size_t>(ssd.head_dim);
  const size_t run = H / static_cast<size_t>(ssd.groups);
  bool ok = order.heads.size() == H && order.channels.size() == H * P;
  for (size_t h = 0; ok && h < H; h += run) {
    ok = IsPermutation({order.heads.data() + h, run}, static_cast<int64_t>(h));
  }
  for (size_t h = 0; ok && h < H; ++h) {
    ok = IsPermutation({order.channels.data() + h * P, P}, 0);
  }
  return ok ? Status()
            : InvalidArgument(
                  "the order of heads is no permutation within the groups of the block");
}

// The permutation of all d_inner channels.
Permutation ChannelPermutation(const HeadOrder& order, int64_t head_dim) {
  Permutation p;
  for (size_t i = 0; i < order.channels.size(); ++i) {
    const int64_t head = order.heads[i / static_cast<size_t>(head_dim)];
    p.push_back(head * head_dim + order.channels[i]);
  }
  return p;
}

Status CheckEncodings(const Graph& graph, int layer) {
  const std::string prefix = fmt::format("layers.{}.", layer);
  for (const auto& [site, e] : graph.encodings) {
    if (site.starts_with(prefix) && e.scales.size() > 1) {
      return InvalidArgument("reordering heads: site " + site + " has scales in the old order");
    }
  }
  return {};
}

// Collects rewritten tensors, so that an error changes nothing.
class Rewriter {
 public:
  explicit Rewriter(const WeightMap& weights) : weights_(weights) {}

  // Moves entries [first, first + p.size()) along the first axis; an absent name is passed over.
  Status Rows(const std::string& name, int64_t first, const Permutation& p) {
    if (name.empty()) return {};
    OCTET_ASSIGN(const Weight w, Get(name, first + static_cast<int64_t>(p.size()), 0));
    const int64_t bytes = BytesOf(w.dtype, w.columns());
    return Set(name, w, [&](std::byte* out) {
      for (size_t i = 0; i < p.size(); ++i) {
        std::memcpy(out + (first + static_cast<int64_t>(i)) * bytes,
                    w.data + (first + p[i]) * bytes, static_cast<size_t>(bytes));
      }
    });
  }

  // Moves the columns of a matrix.
  Status Columns(const std::string& name, const Permutation& p) {
    OCTET_ASSIGN(const Weight w, Get(name, 1, static_cast<int64_t>(p.size())));
    const int64_t bytes = BytesOf(w.dtype, 1), columns = w.columns();
    return Set(name, w, [&](std::byte* out) {
      for (int64_t r = 0; r < w.rows(); ++r) {
        for (size_t i = 0; i < p.size(); ++i) {
          std::memcpy(out + (r * columns + static_cast<int64_t>(i)) * bytes,
                      w.data + (r * columns + p[i]) * bytes, static_cast<size_t>(bytes));
        }
      }
    });
  }

  void Commit(WeightMap* weights) {
    for (auto& [name, w] : changed_) {
      weights->Set(name, std::move(w));
    }
  }

 private:
  // The tensor, with at least `rows` rows and exactly `columns` columns (0: any).
  Result<Weight> Get(const std::string& name, int64_t rows, int64_t columns) const {
    OCTET_ASSIGN(Weight w, weights_.Get(name));
    if (w.quantized()) return InvalidArgument("tensor " + name + " is quantized already");
    if (w.rows() < rows || (columns != 0 && w.columns() != columns)) {
      return InvalidArgument("tensor " + name + " does not have the shape of its block");
    }
    return w;
  }
  template <class Move>
  Status Set(const std::string& name, const Weight& w, const Move& move) {
    std::vector<std::byte> bytes(w.data, w.data + BytesOf(w.dtype, w.count()));
    move(bytes.data());
    changed_.emplace_back(name, MakeWeight(w.dtype, std::move(bytes), w.shape));
    return {};
  }

  const WeightMap& weights_;
  std::vector<std::pair<std::string, Weight>> changed_;
};

}  // namespace

Status ReorderHeads(const Graph& graph, int layer, const HeadOrder& order, WeightMap* weights) {
  OCTET_ASSIGN(const Block b, FindBlock(graph, layer));
  OCTET_TRY(CheckOrder(order, b.ssd->ssd));
  OCTET_TRY(CheckEncodings(graph, layer));
  const Permutation& heads = order.heads;
  const Permutation channels = ChannelPermutation(order, b.ssd->ssd.head_dim);
  Permutation in_rows(static_cast<size_t>(b.in_proj->width));
  std::iota(in_rows.begin(), in_rows.end(), 0);
  const auto place = [&](int64_t first, const Permutation& p) {
    std::ranges::transform(p, in_rows.begin() + first, [&](int64_t from) { return first + from; });
  };
  place(b.z_row, channels);
  place(b.x_row, channels);
  place(b.dt_row, heads);

  OCTET_ASSIGN(const Weight D, weights->Get(b.ssd->weights[1]));
  Rewriter rewriter(*weights);
  OCTET_TRY(rewriter.Rows(b.in_proj->weights[0], 0, in_rows));
  OCTET_TRY(rewriter.Rows(b.in_proj->weights[1], 0, in_rows));
  OCTET_TRY(rewriter.Rows(b.conv->weights[0], b.x->offset, channels));
  OCTET_TRY(rewriter.Rows(b.conv->weights[1], b.x->offset, channels));
  OCTET_TRY(rewriter.Rows(b.softplus->weights[0], 0, heads));
  OCTET_TRY(rewriter.Rows(b.ssd->weights[0], 0, heads));
  OCTET_TRY(rewriter.Rows(b.ssd->weights[1], 0, D.count() == b.norm->width ? channels : heads));
  OCTET_TRY(rewriter.Rows(b.norm->weights[0], 0, channels));
  OCTET_TRY(rewriter.Columns(b.out_proj->weights[0], channels));
  rewriter.Commit(weights);
  return {};
}

}  // namespace octet
