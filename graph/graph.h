// A model as a flat list of named operations: written once, run by every executor.
#ifndef OCTET_GRAPH_GRAPH_H_
#define OCTET_GRAPH_GRAPH_H_

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "tensor/encoding.h"
#include "tensor/gelu_form.h"
#include "tensor/state_format.h"

namespace octet {

// Closed on purpose: these are the operators of the S4D, Mamba and Mamba-2 papers, plus the
// Hadamard transform that the quantization methods insert.
enum class Op : uint8_t {
  kEmbedding,       // weights: table [V, width]; input: token ids
  kFrames,          // input: frames of `width` floats, in place of tokens
  kRmsNorm,         // in: x; weights: weight [width] or "" for ones
  kLinear,          // in: x; weights: W [width, in], bias [width] or ""
  kSplit,           // in: u; channels [offset, offset + width) of it
  kCausalConvSilu,  // in: x; weights: weight [width, 1, K], bias [width] or ""
  kSoftplus,        // in: dt_in; weights: dt_bias [width]; clamped to [lo, hi]
  kSelectiveScan,   // in: x, dt, B, C; weights: A_log [width, N], D [width]
  kGate,            // in: y, z; y * silu(z)
  kSsd,             // in: x, dt, B, C; weights: A_log [H], D [H] or [H * P]
  kGatedRmsNorm,    // in: y, z; weights: weight [width] or "" for ones; norm(y * silu(z)) per group
  kHadamard,        // in: x; orthonormal transform named by `hadamard`
  kAdd,             // in: a, b
  kS4d,             // in: u; weights: log_dt, A_re, A_im, B, C, D (S4dAttributes)
  kGelu,            // in: x; `gelu`
  kGlu,             // in: x [2 width]; x[0, width) * sigmoid(x[width, 2 width))
  kLayerNorm,       // in: x; weights: weight [width], bias [width]
  kMean,            // in: x; mean over the tokens of the stream so far; outside the blocks
};
const char* OpName(Op op);

using ValueId = int32_t;  // index of the node that produces the value

// Sites inside an Ssd node, see kernels/ssd.h; full names are "layers.3.ssd.x_scaled" and so on.
inline constexpr std::array<const char*, 3> kSsdInnerSites = {"x_scaled", "score", "state"};

// Bounds the memory of a piece of tokens, whatever a file asks for.
inline constexpr int64_t kMaxChunkSize = 4096;

// How an Ssd node computes.
struct SsdAttributes {
  int64_t heads = 0, head_dim = 0, state_size = 0, groups = 0;
  int64_t chunk_size = 0;  // tokens; static scales of inner sites are valid for this length only
  bool int8 = false;     // stages 2, 4 and 5a on codes; needs encodings of B, C and the inner sites
  bool gate_q7 = false;  // int8 only: the paper's integer state passing, else fp32
};

// How a SelectiveScan node computes (kernels/scan.h).
struct ScanAttributes {
  int64_t state_size = 0;
  int64_t period = 64;  // tokens of a prefill between roundings of the state to its format
};

// How the poles of an S4d node become those of its recurrence (Gu et al. 2022, S4D, section 3).
enum class Discretization : uint8_t {
  kZoh,       // A = exp(dt a), B = b (A - 1) / a
  kBilinear,  // A = (1 + dt a / 2) / (1 - dt a / 2), B = dt b / (1 - dt a / 2)
  kNone,      // the weights hold A and B as they are
};
// What of A_re makes the real part of a pole: Re a = -f(A_re).
enum class RealPart : uint8_t { kExp, kRelu, kSoftplus, kSigmoid, kIdentity };

// How an S4d node computes (kernels/s4d.h), H = width heads with N = modes. Its weights:
//   log_dt [H], A_re [H, N], A_im [H, N], B [H, N, 2] or "" for ones, C [H, N, 2], D [H]
// or, discrete: "", A [H, N, 2], "", B [H, N, 2], C [H, N, 2], D [H]; the last index is re, im.
struct S4dAttributes {
  int64_t modes = 0;  // half the d_state of the papers: conjugates are not stored
  Discretization discretization = Discretization::kZoh;
  RealPart real_part = RealPart::kExp;
  int64_t period = 1;  // tokens between roundings of the state to its format
};

struct Node {
  Op op;
  std::string site;  // unique: "layers.3.x"; the paper's letters
  int layer = -1;    // block number, -1 outside the blocks
  std::vector<ValueId> in;
  std::vector<std::string> weights;  // names in the WeightMap, by role as listed at Op
  int64_t width = 0;                 // channels of the result
  int64_t offset = 0;                // kSplit
  int64_t groups = 1;                // kGatedRmsNorm
  int64_t taps = 0;                  // kCausalConvSilu: K
  float eps = 0;                     // norms
  float lo = 0, hi = std::numeric_limits<float>::infinity();  // kSoftplus
  SsdAttributes ssd;                                          // kSsd
  ScanAttributes scan;                                        // kSelectiveScan
  S4dAttributes s4d;                                          // kS4d
  GeluForm gelu = GeluForm::kExact;                           // kGelu
  std::string hadamard;  // kHadamard: construction id (kernels/hadamard_shape.h)
};

// Nodes in topological order, a node's index being its value's id, and how sites are encoded.
struct Graph {
  std::vector<Node> nodes;
  int layers = 0;
  int64_t vocab_rows = 0;  // rows of the embedding, padding included; with kFrames: classes
  ValueId logits = -1;     // the last node, a Linear of width vocab_rows
  StateFormat state;       // storage of the recurrent state of every block
  // By layer, if and only if the format has static scales; shared with every State.
  std::shared_ptr<const std::vector<StateScales>> state_scales;
  std::map<std::string, Encoding, std::less<>> encodings;  // by site; absent: fp32

  const Encoding* FindEncoding(std::string_view site) const;
  // Index of the node of that site, or -1.
  ValueId FindSite(std::string_view site) const;
  // First node of block `layer`, and one past its last. Blocks are contiguous; a block's first node
  // reads the residual stream, its last node (an Add, or a LayerNorm after it) is the new one.
  std::pair<ValueId, ValueId> LayerRange(int layer) const;
};

// The residual stream that enters block 0: the embedding, or what frames are encoded to.
ValueId StreamInput(const Graph& graph);
// Channels of the residual stream, d_model.
int64_t StreamWidth(const Graph& graph);

// "layers.<layer>.ssd.<inner>", the name of an inner site.
std::string SsdInnerSite(int layer, std::string_view inner);

// "layers.<layer>.state", the recurrent state [rows, state size] of a block: the site that an
// Interpreter shows and the name of its static scales.
std::string StateSite(int layer);
// Whether the node has such a state: an Ssd, a SelectiveScan or an S4d.
bool HasState(Op op);
// The node of the block that has the state, or nullptr.
const Node* FindStateNode(const Graph& graph, int layer);
// Columns of the state of such a node; its rows are the node's width. Of an S4d: the real parts of
// its modes, then the imaginary ones.
int64_t StateSize(const Node& n);

// Tokens of a prefill between roundings of the recurrent state: chunk_size of the Ssds, or period
// of the SelectiveScans and S4ds; 1 without any. Cutting a text at its multiples changes no result.
int64_t ChunkSize(const Graph& graph);
// Gives every node with a state that length; 1 <= chunk_size <= kMaxChunkSize.
void SetChunkSize(int64_t chunk_size, Graph* graph);

// Whether some static scale was calibrated for the graph's chunk_size, which must then not change.
bool ChunkSizeIsCalibrated(const Graph& graph);

// Checks what executors rely on: the embedding or the frames are first, the logits last, inputs
// precede their node and cross no block's border but as the residual stream, widths and numbers of
// weights agree, sites are unique, the attributes of an Ssd, a SelectiveScan and an S4d are
// consistent, an S4d has the weights of its discretization, a Mean is the only one, reads the last
// block and stands in a graph of frames, an int8 Ssd has all its encodings with the right number of
// scales and exact sums, codes other than int8 lie at node sites and x_scaled and have their zeros,
// no encoding lies where nothing would use it, the state's format exists and has its static scales,
// or none. kInvalidArgument naming the site otherwise.
Status Verify(const Graph& graph);

// One line per node, for `octet inspect --graph` and tests.
std::string ToText(const Graph& graph);

// Puts a Hadamard node between the producer of `linear`'s input and that Linear; its site is
// "<prefix>.y_rot" for a Linear "<prefix>.out". Later ids shift by one.
void InsertHadamard(Graph* graph, ValueId linear, std::string_view id);

// Gives one reader of a value a site of its own: a Split over the full width (offset 0) between
// input `input` of node `reader` and what that input was, so that it can be encoded apart from the
// value, whose other readers see no change. Returns the id of the new node, which takes the place
// of `reader`; later ids shift by one. Its site is that of a GraphBuilder in the reader's block:
// "layers.<layer>.<site>"; it must be new, and the input no fork already.
ValueId ForkInput(Graph* graph, ValueId reader, size_t input, std::string_view site);
// Whether the node is such a fork.
bool IsFork(const Graph& graph, const Node& n);

// Records operations in the order the paper writes them. Sites get the current prefix.
class GraphBuilder {
 public:
  // Later sites are "layers.<layer>.<site>"; -1: just "<site>".
  void SetLayer(int layer);
  ValueId Embedding(std::string_view site, std::string table, int64_t rows, int64_t width);
  ValueId RmsNorm(std::string_view site, ValueId x, std::string weight, float eps);
  ValueId Linear(std::string_view site, ValueId x, std::string weight, std::string bias,
                 int64_t width);
  template <size_t n>
  std::array<ValueId, n> Split(ValueId u, const std::array<const char*, n>& sites,
                               const std::array<int64_t, n>& widths) {
    std::array<ValueId, n> parts{};
    int64_t offset = 0;
    for (size_t i = 0; i < n; offset += widths[i], ++i) {
      parts[i] = SplitOne(sites[i], u, offset, widths[i]);
    }
    return parts;
  }
  ValueId CausalConvSilu(std::string_view site, ValueId x, std::string weight, std::string bias,
                         int64_t taps);
  ValueId Softplus(std::string_view site, ValueId dt_in, std::string bias, float lo, float hi);
  ValueId Ssd(std::string_view site, ValueId x, ValueId dt, ValueId B, ValueId C, std::string A_log,
              std::string D, const SsdAttributes& attributes);
  ValueId SelectiveScan(std::string_view site, ValueId x, ValueId dt, ValueId B, ValueId C,
                        std::string A_log, std::string D, const ScanAttributes& attributes);
  ValueId Gate(std::string_view site, ValueId y, ValueId z);
  ValueId GatedRmsNorm(std::string_view site, ValueId y, ValueId z, std::string weight, float eps,
                       int64_t groups);
  ValueId Add(std::string_view site, ValueId a, ValueId b);
  ValueId Frames(std::string_view site, int64_t width);
  // `weights` by role, as S4dAttributes lists them.
  ValueId S4d(std::string_view site, ValueId u, std::array<std::string, 6> weights,
              const S4dAttributes& attributes);
  ValueId Gelu(std::string_view site, ValueId x, GeluForm form);
  ValueId Glu(std::string_view site, ValueId x);
  ValueId LayerNorm(std::string_view site, ValueId x, std::string weight, std::string bias,
                    float eps);
  ValueId Mean(std::string_view site, ValueId x);
  // With Frames, `logits` has a channel per class.
  Graph Finish(ValueId logits);

 private:
  ValueId SplitOne(std::string_view site, ValueId u, int64_t offset, int64_t width);
  Node MakeNode(Op op, std::string_view site, std::vector<ValueId> in, int64_t width) const;
  ValueId Push(Node node);
  int64_t Width(ValueId v) const { return graph_.nodes[static_cast<size_t>(v)].width; }
  Graph graph_;
  int layer_ = -1;
};

}  // namespace octet
#endif  // OCTET_GRAPH_GRAPH_H_
