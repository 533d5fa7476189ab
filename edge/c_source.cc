#include "edge/c_source.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "edge/c_text.h"

namespace octet {
namespace {

// What sizeof(ssm_head) is on every machine: four int32, four int16 and twelve int8.
constexpr int64_t kHeadBytes = 36;
constexpr int64_t kNormBytes = 9;  // of a head: two int32 and an int8

int64_t CellBytes(const IntegerLayer& l) {
  return l.most_state <= 127 ? 1 : 2;
}

// Parts of states of one byte or two, over all layers.
int64_t Cells(const IntegerS4d& m, int64_t bytes) {
  int64_t count = 0;
  for (const IntegerLayer& l : m.layers) {
    count += CellBytes(l) == bytes ? std::ssize(l.A) : 0;
  }
  return count;
}

// To a multiple of 8, so that no compiler adds any.
int64_t PaddingOf(const IntegerS4d& m) {
  return (8 - (4 + 2 * Cells(m, 2) + Cells(m, 1)) % 8) % 8;
}

int64_t BytesOf(const IntegerLinear& l) {
  return std::ssize(l.w) + 4 * std::ssize(l.bias) + 2 * std::ssize(l.zero) +
         5 * std::ssize(l.scale);
}

// Arrays of a linear under a common prefix; its initializer in *init.
std::string LinearArrays(const IntegerLinear& l, const std::string& prefix, std::string* init) {
  // Both or none have an element for each row in C.
  const bool by_row = l.zero.size() > 1 || l.scale.size() > 1;
  const size_t count = by_row ? static_cast<size_t>(l.rows) : 1;
  std::vector<int32_t> zero, m, shift;
  for (size_t i = 0; i < count; ++i) {
    zero.push_back(l.zero[l.zero.size() == 1 ? 0 : i]);
    m.push_back(l.scale[l.scale.size() == 1 ? 0 : i].m);
    shift.push_back(l.scale[l.scale.size() == 1 ? 0 : i].shift);
  }
  *init = fmt::format("{{{0}_w, {0}_bias, {0}_zero, {0}_m, {0}_shift, {1}, {2}, {3}, {4}}}", prefix,
                      l.rows, l.columns, l.packed ? 1 : 0, by_row ? 1 : 0);
  return CArray("int8_t", prefix + "_w", l.w) + CArray("int32_t", prefix + "_bias", l.bias) +
         CArray("int16_t", prefix + "_zero", zero) + CArray("int32_t", prefix + "_m", m) +
         CArray("int8_t", prefix + "_shift", shift);
}

std::string HeadsArray(const IntegerLayer& l, const std::string& name) {
  std::string text = fmt::format("static const ssm_head {}[{}] = {{\n", name, l.heads.size());
  for (const IntegerHead& h : l.heads) {
    text += fmt::format(
        "    {{{{{}, {}, {}, {}}}, {{{}, {}, {}, {}}},\n     {}, {}, {}, {}, {}, {}, {}, {}, "
        "{}, {}, {}, {}}},\n",
        h.from_stream.m, h.from_sum.m, h.from_s.m, h.from_u.m, h.from_stream.shift,
        h.from_sum.shift, h.from_s.shift, h.from_u.shift, h.u_zero, h.y_ssm_zero, h.y_zero, h.u_low,
        h.u_high, h.y_ssm_low, h.y_ssm_high, h.y_low, h.y_high, h.k, h.b_shift, h.near_one ? 1 : 0);
  }
  return text + "};\n";
}

// The types of its recurrence.
std::string AdvanceName(const IntegerLayer& l) {
  return fmt::format("advance_{}_{}_{}_{}{}", l.packed ? "packed" : "plain", 8 * CellBytes(l),
                     l.wide ? 64 : 32, l.wide || l.y_shift > 0 ? 64 : 32,
                     l.dithered ? "_dithered" : "");
}

std::string AdvanceDefinition(const IntegerLayer& l) {
  return fmt::format("SSM_DEFINE_ADVANCE({}, int{}_t, int{}_t, int{}_t, SSM_{}, {})\n",
                     AdvanceName(l), 8 * CellBytes(l), l.wide ? 64 : 32,
                     l.wide || l.y_shift > 0 ? 64 : 32, l.packed ? "PACKED" : "PLAIN",
                     l.dithered ? 1 : 0);
}

// Arrays and structure of a norm under a common prefix.
std::string NormArrays(const IntegerNorm& n, const std::string& prefix) {
  std::vector<int32_t> m, shift;
  for (const Requant& f : n.scale) {
    m.push_back(f.m);
    shift.push_back(f.shift);
  }
  return CArray("int32_t", prefix + "_bias", n.bias) + CArray("int32_t", prefix + "_m", m) +
         CArray("int8_t", prefix + "_shift", shift) +
         fmt::format(
             "static const ssm_norm {0} = {{{0}_bias, {0}_m, {0}_shift, INT64_C({1}), {2}, {3}, "
             "{4}}};\n",
             prefix, n.eps, n.mean.m, n.mean.shift, n.sum_shift);
}

// Mode by mode {A, B, high half of the shift}, {A, B, low half}.
std::string PackedArray(const IntegerLayer& l, const std::string& name) {
  std::string text = fmt::format("static const ssm_packed {}[{}] = {{\n", name, l.A.size());
  const auto per_head = static_cast<size_t>(2 * l.modes);
  for (size_t i = 0; i < l.A.size(); i += 2) {
    const IntegerHead& head = l.heads[i / per_head];
    int shift = 0;
    while (std::max(std::abs(l.B[i] >> shift), std::abs(l.B[i + 1] >> shift)) > kMostPackedB) {
      ++shift;
    }
    text += fmt::format("    {{{}, {}, {}}}, {{{}, {}, {}}},\n",
                        l.A[i] - (head.near_one ? 1 << head.k : 0), l.B[i] >> shift, shift / 4,
                        l.A[i + 1], l.B[i + 1] >> shift, shift % 4);
  }
  return text + "};\n";
}

std::string CoefficientArrays(const IntegerLayer& l, const std::string& prefix) {
  if (l.packed) return PackedArray(l, prefix + "_packed");
  return CArray("int32_t", prefix + "_A", l.A) + CArray("int32_t", prefix + "_B", l.B);
}

std::string LayerInitializer(const IntegerLayer& l, const std::string& p, int64_t state,
                             const std::string& value, const std::string& gate) {
  std::string text = fmt::format("    {{\n        .advance = {},\n", AdvanceName(l));
  const std::string coefficients =
      l.packed ? fmt::format("        .packed = {}_packed,\n", p)
               : fmt::format("        .A = {0}_A,\n        .B = {0}_B,\n", p);
  text += fmt::format(
      "        .heads = {0}_heads,\n{3}        .C = {0}_C,\n"
      "        .gelu = {0}_gelu,\n        .value = {1},\n        .gate = {2},\n",
      p, value, gate, coefficients);
  if (l.norm) {
    text += fmt::format("        .normalize = ssm_normalize,\n        .norm = &{0}_norm,\n", p);
  }
  text += fmt::format(
      "        .noise_key = UINT64_C({}),\n        .state = {},\n        .modes = {},\n"
      "        .levels = {},\n        .most_state = {},\n        .y_shift = {},\n"
      "        .dithered = {},\n        .y_ssm_coded = {},\n        .own_gelu = {},\n"
      "        .bytes = {},\n    }},\n",
      l.noise_key, state, l.modes, l.levels, l.most_state, l.y_shift, l.dithered ? 1 : 0,
      l.y_ssm_coded ? 1 : 0, std::ssize(l.gelu) == l.levels ? 0 : 1, CellBytes(l));
  return text;
}

// Tables of all layers, and the array of layers.
std::string LayersOf(const IntegerS4d& m) {
  std::string arrays, layers = fmt::format("\nstatic const ssm_layer layers[{}] = {{\n",
                                           std::max<size_t>(m.layers.size(), 1));
  int64_t next[3] = {};
  std::set<std::string> definitions;
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const IntegerLayer& l = m.layers[i];
    const std::string p = fmt::format("layer{}", i);
    std::string value, gate;
    definitions.insert(AdvanceDefinition(l));
    arrays += fmt::format("\n/* Layer {} */\n", i) + HeadsArray(l, p + "_heads") +
              CoefficientArrays(l, p) + CArray("int16_t", p + "_C", l.C) +
              CArray("int8_t", p + "_gelu", l.gelu) + LinearArrays(l.value, p + "_value", &value) +
              LinearArrays(l.gate, p + "_gate", &gate) +
              (l.norm ? NormArrays(*l.norm, p + "_norm") : "");
    layers += LayerInitializer(l, p, next[CellBytes(l)], value, gate);
    next[CellBytes(l)] += std::ssize(l.A);
  }
  if (m.layers.empty()) layers += "    {0},\n";
  std::string forms = "\n";
  for (const std::string& form : definitions) {
    forms += form;
  }
  return forms + arrays + layers + "};\n";
}

constexpr const char* kFunctions = R"c(
static ssm_state view(@_context* context) {
  ssm_state state;
  state.sum = context->sum;
  state.frames = &context->frames;
  state.x16 = #16;
  state.x8 = #8;
  return state;
}

void @_init(@_context* context) {
  memset(context, 0, sizeof *context);
}

void @_reset(@_context* context) {
  @_init(context);
}

int @_step(@_context* context, const int8_t* frame) {
  int32_t r[HEADS];
  int8_t g[HEADS];
  const ssm_state state = view(context);
  return ssm_step(&@_model, &state, frame, r, g, NULL);
}

int @_run(@_context* context, const int8_t* frames, size_t count) {
  size_t t;
  for (t = 0; t < count; ++t) {
    if (@_step(context, frames + t * $_IN) != 0) return 1;
  }
  return 0;
}

void @_read(@_context* context, int32_t* logits) {
  int8_t g[HEADS];
  const ssm_state state = view(context);
  ssm_read(&@_model, &state, g, logits);
}

ssm_state @_view(@_context* context) {
  return view(context);
}
)c";

constexpr const char* kDeclarations = R"c(
/* A stream: copy it to save it, copy it back to restore it. Align it as int64_t. */
typedef struct {
  int64_t sum[$_HEADS];
  uint32_t frames;
#} @_context;
typedef char @_context_size[sizeof(@_context) == $_STATE_BYTES ? 1 : -1];
typedef char @_abi[(int)$_ABI == (int)SSM_ABI ? 1 : -1];

/* A stream before its first frame. The two are the same. */
void @_init(@_context* context);
void @_reset(@_context* context);

/* Takes in a frame of $_IN codes; any int8_t is allowed. Its time does not depend on how many came
 * before. 0; or 1, having done nothing, after 2^32 - 1 frames. */
int @_step(@_context* context, const int8_t* frame);
/* The same for `count` frames, one after the other. */
int @_run(@_context* context, const int8_t* frames, size_t count);
/* $_OUT logits after the frames so far; the class is that of the largest. The stream may go on. */
void @_read(@_context* context, int32_t* logits);

/* Runs the test vectors of model_@_golden.c on `context`. 0; or 1, and the first mismatch. */
int @_selftest(@_context* context, ssm_mismatch* first);

extern const ssm_model @_model;
ssm_state @_view(@_context* context);
)c";

// @ is the name, $ the name in capitals, # what `members` says.
std::string Fill(std::string_view text, const std::string& name, const std::string& members) {
  std::string filled;
  for (const char c : text) {
    if (c == '@') {
      filled += name;
    } else if (c == '$') {
      filled += CUpper(name);
    } else if (c == '#') {
      filled += members;
    } else {
      filled += c;
    }
  }
  return filled;
}

}  // namespace

int64_t BytesOfA(const IntegerLayer& l) {
  return l.packed ? 5 * std::ssize(l.A) / 2 : 4 * std::ssize(l.A);
}

int64_t BytesOfB(const IntegerLayer& l) {
  return l.packed ? 3 * std::ssize(l.B) / 2 : 4 * std::ssize(l.B);
}

CSizes SizesOf(const IntegerS4d& m) {
  CSizes s;
  s.state = 2 * Cells(m, 2) + Cells(m, 1);
  s.context = 8 * m.heads + 4 + s.state + PaddingOf(m);
  s.scratch = 5 * m.heads;
  s.linears = BytesOf(m.encoder) + BytesOf(m.decoder);
  for (const IntegerLayer& l : m.layers) {
    s.A += BytesOfA(l);
    s.B += BytesOfB(l);
    s.C += 2 * std::ssize(l.C);
    s.heads += kHeadBytes * std::ssize(l.heads);
    s.gelu += std::ssize(l.gelu);
    s.linears += BytesOf(l.value) + BytesOf(l.gate);
    if (l.norm) s.norms += kNormBytes * std::ssize(l.norm->bias);
  }
  return s;
}

Status CheckCName(const std::string& name) {
  constexpr std::array<std::string_view, 37> kWords = {
      "auto",     "break",  "case",   "char",     "const",    "continue", "default",  "do",
      "double",   "else",   "enum",   "extern",   "float",    "for",      "goto",     "if",
      "inline",   "int",    "long",   "register", "restrict", "return",   "short",    "signed",
      "sizeof",   "static", "struct", "switch",   "typedef",  "union",    "unsigned", "void",
      "volatile", "while",  "class",  "new",      "ssm"};
  const bool shaped = !name.empty() && name.size() <= 32 && name[0] >= 'a' && name[0] <= 'z' &&
                      std::ranges::all_of(name, [](char c) {
                        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                      });
  if (shaped && std::ranges::find(kWords, name) == kWords.end()) return {};
  return InvalidArgument(fmt::format(
      "\"{}\" cannot name C code: up to 32 of a to z, 0 to 9 and _, a letter first, no word of C",
      name));
}

std::string CHeaderOf(const IntegerS4d& m, const std::string& name, bool pixels) {
  const std::string upper = CUpper(name);
  const CSizes sizes = SizesOf(m);
  std::string text = fmt::format(
      "/* An S4D classifier in integers. Made by octet; do not edit. One unit of a logit is "
      "{:.9g}; a\n"
      " * frame's value v has the code round(v / {:.9g}) + {}, cut off at {} and {}. */\n"
      "#ifndef MODEL_{}_H\n#define MODEL_{}_H\n\n#include \"ssm_rt.h\"\n\n"
      "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\nenum {{\n",
      m.logit_scale, m.frame.scale, m.frame.zero, m.frame.low, m.frame.high, upper, upper);
  text += fmt::format("  {}_ABI = 3,\n", upper);
  text += fmt::format("  {}_IN = {}, /* codes of a frame */\n", upper, m.inputs);
  text += fmt::format("  {}_OUT = {}, /* classes */\n", upper, m.classes);
  text += fmt::format("  {}_HEADS = {},\n", upper, m.heads);
  text += fmt::format("  {}_STATE_BYTES = {}, /* of a context */\n", upper, sizes.context);
  text += fmt::format("  {}_SCRATCH_BYTES = {}, /* arrays on the stack of a step */\n", upper,
                      sizes.scratch);
  text += fmt::format("  {}_FLASH_BYTES = {} /* tables, without code */\n}};\n", upper,
                      sizes.tables() + (pixels ? 256 : 0));
  std::string members;
  const auto member = [&](const char* type, const char* what, int64_t count) {
    if (count > 0) members += fmt::format("  {} {}[{}];\n", type, what, count);
  };
  member("int16_t", "x16", Cells(m, 2));
  member("int8_t", "x8", Cells(m, 1));
  member("uint8_t", "padding", PaddingOf(m));
  text += Fill(kDeclarations, name, members);
  if (pixels) {
    text += fmt::format(
        "\n/* The code of each byte of an image. */\n"
        "extern const int8_t {}_pixel[256];\n",
        name);
  }
  return text + "\n#ifdef __cplusplus\n}\n#endif\n#endif\n";
}

std::string CSourceOf(const IntegerS4d& m, const std::string& name,
                      const std::vector<int8_t>& pixels) {
  std::string encoder, decoder;
  std::string text = fmt::format(
      "/* Made by octet; do not edit. */\n#include \"model_{}.h\"\n\n#include <string.h>\n\n"
      "enum {{ HEADS = {} }};\n\n",
      name, m.heads);
  text +=
      LinearArrays(m.encoder, "encoder", &encoder) + LinearArrays(m.decoder, "decoder", &decoder);
  text += LayersOf(m);
  text += fmt::format(
      "\nconst ssm_model {}_model = {{\n    .encoder = {},\n    .decoder = {},\n    .layers = "
      "layers,\n"
      "    .layer_count = {},\n    .inputs = {},\n    .heads = {},\n    .classes = {},\n"
      "    .mean_m = {},\n    .mean_zero = {},\n    .mean_shift = {},\n    .mean_low = {},\n"
      "    .mean_high = {},\n}};\n",
      name, encoder, decoder, m.layers.size(), m.inputs, m.heads, m.classes, m.mean.m, m.mean_zero,
      m.mean.shift, m.mean_low, m.mean_high);
  if (!pixels.empty()) {
    std::string table = CArray("int8_t", name + "_pixel", pixels);
    text += "\n";
    text += table.substr(std::string_view("static ").size());
  }
  std::string functions = kFunctions;
  const auto replace = [&](std::string_view what, const char* by) {
    functions.replace(functions.find(what), what.size(), by);
  };
  replace("#16", Cells(m, 2) > 0 ? "context->x16" : "NULL");
  replace("#8", Cells(m, 1) > 0 ? "context->x8" : "NULL");
  return text + Fill(functions, name, "");
}

}  // namespace octet
