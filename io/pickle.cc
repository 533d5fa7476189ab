#include "io/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/utf8.h"

namespace octet {
namespace {

constexpr size_t kMaxPickle = 4 << 20;  // a value takes up to some 100 bytes per byte of pickle
constexpr size_t kMaxRank = 8;
constexpr int kMaxEntries = 131072;
constexpr int kMaxLevels = 8;
constexpr size_t kMaxName = 1024;
constexpr int kMaxProtocol = 5;

enum class Kind : uint8_t {
  kOpaque,  // a value that cannot matter: None, a number with a fraction, bytes, a list
  kBool,
  kInt,
  kString,
  kTuple,
  kDict,
  kFunction,
  kStorageType,
  kStorage,
  kTensor,
};

struct Value {
  Kind kind = Kind::kOpaque;
  int64_t number = 0;     // kInt: the value; kTuple to kTensor: index into the machine's tables
  std::string_view text;  // kString; kFunction, kStorageType: the name
};

using Values = std::vector<Value>;
using Items = std::vector<std::pair<Value, Value>>;

struct Storage {
  std::string_view key, type;
  int64_t count = 0;
};

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kStorageTypes[] = {
    "FloatStorage",  "HalfStorage",         "BFloat16Storage",     "DoubleStorage",
    "LongStorage",   "IntStorage",          "ShortStorage",        "CharStorage",
    "ByteStorage",   "BoolStorage",         "QInt8Storage",        "QUInt8Storage",
    "QInt32Storage", "ComplexFloatStorage", "ComplexDoubleStorage"};

// Text from the file, safe to print.
std::string Printable(std::string_view text) {
  std::string out(text.substr(0, 100));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

Status Malformed(std::string_view what) {
  return Corrupt(fmt::format("malformed pickle: {}", what));
}

// Pickle's stack machine, without the ability to call anything but the constructors above.
// Opcodes: CPython's Lib/pickletools.py.
class Machine {
 public:
  explicit Machine(std::string_view code) : code_(code) {}

  // Runs to STOP and returns the value on the stack.
  Result<Value> Run();

  const Items& dict(const Value& v) const { return dicts_[static_cast<size_t>(v.number)]; }
  const PickledTensor& tensor(const Value& v) const {
    return tensors_[static_cast<size_t>(v.number)];
  }

 private:
  // Each handles some opcodes; false means that `op` is none of them.
  Result<bool> Constant(uint8_t op);
  Result<bool> Text(uint8_t op);
  Result<bool> Container(uint8_t op);
  Result<bool> Memo(uint8_t op);
  Result<bool> Call(uint8_t op);

  Result<std::string_view> Take(uint64_t n);
  Result<std::string_view> TakeLine();
  Result<uint64_t> TakeUnsigned(size_t bytes);
  Result<bool> PushSized(size_t length_bytes, Kind kind);
  Result<bool> PushLong(size_t length_bytes);
  Result<Value> Pop();
  Result<Values> PopToMark();
  Result<bool> PushTuple(Values items);
  Result<bool> PushGlobal(std::string_view module, std::string_view name);
  Result<bool> SetItems(const Values& items);
  Result<bool> DropOntoList(size_t n);
  Result<bool> MakeStorage();
  Result<bool> Reduce();
  Result<bool> Build();
  Result<Value> RebuildTensor(const Values& args);
  Result<std::vector<int64_t>> Sizes(const Value& v) const;
  const Values& tuple(const Value& v) const { return tuples_[static_cast<size_t>(v.number)]; }

  bool Push(Kind kind, int64_t number = 0, std::string_view text = {}) {
    stack_.push_back({kind, number, text});
    return true;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  std::string_view code_;  // what is left
  Values stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, Value> memo_;
  std::vector<Values> tuples_;
  std::vector<Items> dicts_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
};

Result<std::string_view> Machine::Take(uint64_t n) {
  if (n > code_.size()) return Malformed("it ends early");
  const std::string_view out = code_.substr(0, n);
  code_.remove_prefix(n);
  return out;
}

Result<std::string_view> Machine::TakeLine() {
  const size_t end = code_.find('\n');
  if (end == code_.npos) return Malformed("it ends early");
  const std::string_view line = code_.substr(0, end);
  code_.remove_prefix(end + 1);
  return line;
}

Result<uint64_t> Machine::TakeUnsigned(size_t bytes) {
  OCTET_ASSIGN(const std::string_view raw, Take(bytes));
  uint64_t v = 0;
  std::memcpy(&v, raw.data(), bytes);
  return v;
}

Result<bool> Machine::PushSized(size_t length_bytes, Kind kind) {
  OCTET_ASSIGN(const uint64_t length, TakeUnsigned(length_bytes));
  OCTET_ASSIGN(const std::string_view text, Take(length));
  return Push(kind, 0, text);
}

Result<bool> Machine::PushLong(size_t length_bytes) {
  OCTET_ASSIGN(const uint64_t length, TakeUnsigned(length_bytes));
  OCTET_ASSIGN(const std::string_view raw, Take(length));
  if (length > 8) return Push(Kind::kOpaque);
  const bool negative = length > 0 && (static_cast<uint8_t>(raw.back()) & 0x80) != 0;
  uint64_t v = negative ? ~uint64_t{0} : 0;
  std::memcpy(&v, raw.data(), length);
  return Push(Kind::kInt, static_cast<int64_t>(v));
}

Result<Value> Machine::Pop() {
  if (stack_.size() <= floor()) return Malformed("it takes more values than it made");
  const Value v = stack_.back();
  stack_.pop_back();
  return v;
}

Result<Values> Machine::PopToMark() {
  if (marks_.empty()) return Malformed("a mark is missing");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  Values items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

Result<bool> Machine::PushTuple(Values items) {
  tuples_.push_back(std::move(items));
  return Push(Kind::kTuple, static_cast<int64_t>(tuples_.size()) - 1);
}

Result<bool> Machine::Constant(uint8_t op) {
  switch (op) {
    case 'N':   // NONE
    case 0x8f:  // EMPTY_SET
    case ']':   // EMPTY_LIST
      return Push(Kind::kOpaque);
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      return Push(Kind::kBool);
    case 'J': {  // BININT
      OCTET_ASSIGN(const uint64_t v, TakeUnsigned(4));
      return Push(Kind::kInt, static_cast<int32_t>(v));
    }
    case 'K':    // BININT1
    case 'M': {  // BININT2
      OCTET_ASSIGN(const uint64_t v, TakeUnsigned(op == 'K' ? 1 : 2));
      return Push(Kind::kInt, static_cast<int64_t>(v));
    }
    case 0x8a:  // LONG1
      return PushLong(1);
    case 0x8b:  // LONG4
      return PushLong(4);
    case 'G': {  // BINFLOAT
      OCTET_ASSIGN(const std::string_view ignored, Take(8));
      return Push(Kind::kOpaque, 0, ignored);
    }
    default:
      return false;
  }
}

Result<bool> Machine::Text(uint8_t op) {
  switch (op) {
    case 0x8c:  // SHORT_BINUNICODE
      return PushSized(1, Kind::kString);
    case 'X':  // BINUNICODE
      return PushSized(4, Kind::kString);
    case 0x8d:  // BINUNICODE8
      return PushSized(8, Kind::kString);
    case 'C':  // SHORT_BINBYTES
    case 'U':  // SHORT_BINSTRING
      return PushSized(1, Kind::kOpaque);
    case 'B':  // BINBYTES
    case 'T':  // BINSTRING
      return PushSized(4, Kind::kOpaque);
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return PushSized(8, Kind::kOpaque);
    default:
      return false;
  }
}

// APPEND and APPENDS: lists are ignored, and so is what goes into them.
Result<bool> Machine::DropOntoList(size_t n) {
  for (size_t i = 0; i < n; ++i)
    OCTET_TRY(Pop().status());
  if (stack_.size() <= floor() || stack_.back().kind != Kind::kOpaque) {
    return Malformed("it appends to something that is no list");
  }
  return true;
}

Result<bool> Machine::SetItems(const Values& items) {
  if (stack_.size() <= floor() || stack_.back().kind != Kind::kDict || items.size() % 2 != 0) {
    return Malformed("it sets items of something that is no dictionary");
  }
  Items& dict = dicts_[static_cast<size_t>(stack_.back().number)];
  for (size_t i = 0; i < items.size(); i += 2)
    dict.emplace_back(items[i], items[i + 1]);
  return true;
}

Result<bool> Machine::Container(uint8_t op) {
  switch (op) {
    case ')':  // EMPTY_TUPLE
      return PushTuple({});
    case 0x85:    // TUPLE1
    case 0x86:    // TUPLE2
    case 0x87: {  // TUPLE3
      Values items(op - size_t{0x84});
      for (size_t i = items.size(); i-- > 0;) {
        OCTET_ASSIGN(items[i], Pop());
      }
      return PushTuple(std::move(items));
    }
    case 't': {  // TUPLE
      OCTET_ASSIGN(Values items, PopToMark());
      return PushTuple(std::move(items));
    }
    case '}':  // EMPTY_DICT
      dicts_.emplace_back();
      return Push(Kind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
    case 's': {  // SETITEM
      Values item(2);
      OCTET_ASSIGN(item[1], Pop());
      OCTET_ASSIGN(item[0], Pop());
      return SetItems(item);
    }
    case 'u': {  // SETITEMS
      OCTET_ASSIGN(const Values items, PopToMark());
      return SetItems(items);
    }
    case 'a':  // APPEND
      return DropOntoList(1);
    case 'e':     // APPENDS
    case 0x90: {  // ADDITEMS
      OCTET_TRY(PopToMark().status());
      return DropOntoList(0);
    }
    case 'l':     // LIST
    case 0x91: {  // FROZENSET
      OCTET_TRY(PopToMark().status());
      return Push(Kind::kOpaque);
    }
    default:
      return false;
  }
}

Result<bool> Machine::Memo(uint8_t op) {
  switch (op) {
    case 'q':     // BINPUT
    case 'r':     // LONG_BINPUT
    case 0x94: {  // MEMOIZE
      uint64_t key = memo_.size();
      if (op != 0x94) {
        OCTET_ASSIGN(key, TakeUnsigned(op == 'q' ? 1 : 4));
      }
      if (stack_.size() <= floor()) return Malformed("there is nothing to remember");
      memo_[key] = stack_.back();
      return true;
    }
    case 'h':    // BINGET
    case 'j': {  // LONG_BINGET
      OCTET_ASSIGN(const uint64_t key, TakeUnsigned(op == 'h' ? 1 : 4));
      const auto found = memo_.find(key);
      if (found == memo_.end()) return Malformed("it recalls what it did not remember");
      stack_.push_back(found->second);
      return true;
    }
    case '(':  // MARK
      marks_.push_back(stack_.size());
      return true;
    case '1':  // POP_MARK
      OCTET_TRY(PopToMark().status());
      return true;
    case '0':  // POP
      OCTET_TRY(Pop().status());
      return true;
    case '2':  // DUP
      if (stack_.size() <= floor()) return Malformed("there is nothing to repeat");
      stack_.push_back(Value(stack_.back()));
      return true;
    case 0x95: {  // FRAME: a hint for buffering
      OCTET_ASSIGN(const uint64_t bytes, TakeUnsigned(8));
      if (bytes > code_.size()) return Malformed("it ends early");
      return true;
    }
    default:
      return false;
  }
}

Result<bool> Machine::PushGlobal(std::string_view module, std::string_view name) {
  for (const std::string_view known : {kOrderedDict, kRebuildTensor, kRebuildParameter}) {
    const size_t dot = known.rfind('.');
    if (known.substr(0, dot) == module && known.substr(dot + 1) == name) {
      return Push(Kind::kFunction, 0, known);
    }
  }
  const bool storage = std::find(std::begin(kStorageTypes), std::end(kStorageTypes), name) !=
                       std::end(kStorageTypes);
  if (module == "torch" && storage) return Push(Kind::kStorageType, 0, name);
  return Unsupported(
      fmt::format("calls {}.{}; refusing to execute code", Printable(module), Printable(name)));
}

// BINPERSID: ("storage", type, key, device, count[, None]) becomes a storage.
Result<bool> Machine::MakeStorage() {
  OCTET_ASSIGN(const Value id, Pop());
  if (id.kind != Kind::kTuple) return Malformed("a storage is not described by a tuple");
  const Values& v = tuple(id);
  const bool valid = (v.size() == 5 || (v.size() == 6 && v[5].kind == Kind::kOpaque)) &&
                     v[0].kind == Kind::kString && v[0].text == "storage" &&
                     v[1].kind == Kind::kStorageType && v[2].kind == Kind::kString &&
                     v[4].kind == Kind::kInt && v[4].number >= 0;
  if (!valid) return Malformed("a storage is not described as torch does");
  storages_.push_back({v[2].text, v[1].text, v[4].number});
  return Push(Kind::kStorage, static_cast<int64_t>(storages_.size()) - 1);
}

Result<std::vector<int64_t>> Machine::Sizes(const Value& v) const {
  if (v.kind != Kind::kTuple) return Malformed("a tensor's sizes are not a tuple");
  std::vector<int64_t> sizes;
  for (const Value& item : tuple(v)) {
    if (item.kind != Kind::kInt || item.number < 0) {
      return Malformed("a tensor's size is not an integer >= 0");
    }
    sizes.push_back(item.number);
  }
  if (sizes.size() > kMaxRank) {
    return Unsupported(fmt::format("a tensor has {} dimensions", sizes.size()));
  }
  return sizes;
}

// _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata]).
Result<Value> Machine::RebuildTensor(const Values& args) {
  if ((args.size() != 6 && args.size() != 7) || args[0].kind != Kind::kStorage ||
      args[1].kind != Kind::kInt || args[1].number < 0) {
    return Malformed("a tensor is not described as torch does");
  }
  const Storage& storage = storages_[static_cast<size_t>(args[0].number)];
  PickledTensor t;
  t.storage = storage.key;
  t.storage_type = storage.type;
  t.storage_count = storage.count;
  t.offset = args[1].number;
  OCTET_ASSIGN(t.shape, Sizes(args[2]));
  OCTET_ASSIGN(t.strides, Sizes(args[3]));
  if (t.shape.size() != t.strides.size()) return Malformed("a tensor's sizes and strides differ");
  const std::optional<int64_t> count = CheckedCount(t.shape);
  if (!count) return Corrupt("a tensor's size overflows");
  if (*count == 0) t.offset = 0;
  std::optional<int64_t> last = t.offset;
  for (size_t d = 0; d < t.shape.size() && last; ++d) {
    // The stride of a dimension that has one index, or none, is arbitrary.
    if (*count == 0 || t.shape[d] == 1) t.strides[d] = 0;
    const auto span = CheckedMul(std::max<int64_t>(t.shape[d] - 1, 0), t.strides[d]);
    last = span ? CheckedAdd(*last, *span) : std::nullopt;
  }
  if (*count > 0 && (!last || *last >= t.storage_count)) {
    return Corrupt(fmt::format("a tensor reaches beyond its storage {} of {} elements",
                               Printable(t.storage), t.storage_count));
  }
  tensors_.push_back(std::move(t));
  return Value{Kind::kTensor, static_cast<int64_t>(tensors_.size()) - 1, {}};
}

Result<bool> Machine::Reduce() {
  OCTET_ASSIGN(const Value packed, Pop());
  OCTET_ASSIGN(const Value callee, Pop());
  if (packed.kind != Kind::kTuple || callee.kind != Kind::kFunction) {
    return Malformed("it calls something that is no function");
  }
  const Values& args = tuple(packed);
  if (callee.text == kOrderedDict) {
    if (!args.empty()) return Unsupported("an OrderedDict is made from arguments");
    dicts_.emplace_back();
    return Push(Kind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
  }
  if (callee.text == kRebuildParameter) {
    if (args.size() != 3 || args[0].kind != Kind::kTensor) {
      return Malformed("a parameter is not made from a tensor");
    }
    stack_.push_back(args[0]);
    return true;
  }
  OCTET_ASSIGN(const Value tensor, RebuildTensor(args));
  stack_.push_back(tensor);
  return true;
}

// BUILD: a state_dict carries the attribute _metadata, which nobody here needs.
Result<bool> Machine::Build() {
  OCTET_ASSIGN(const Value state, Pop());
  if (stack_.size() <= floor() || stack_.back().kind != Kind::kDict || state.kind != Kind::kDict) {
    return Unsupported("sets the state of an object; refusing to execute code");
  }
  return true;
}

Result<bool> Machine::Call(uint8_t op) {
  switch (op) {
    case 'c':    // GLOBAL
    case 'i': {  // INST: names a class and makes an object of it
      OCTET_ASSIGN(const std::string_view module, TakeLine());
      OCTET_ASSIGN(const std::string_view name, TakeLine());
      OCTET_ASSIGN(const bool known, PushGlobal(module, name));
      if (op == 'i') return false;
      return known;
    }
    case 0x93: {  // STACK_GLOBAL
      OCTET_ASSIGN(const Value name, Pop());
      OCTET_ASSIGN(const Value module, Pop());
      if (name.kind != Kind::kString || module.kind != Kind::kString) {
        return Malformed("a function's name is not a string");
      }
      return PushGlobal(module.text, name.text);
    }
    case 'R':  // REDUCE
      return Reduce();
    case 'b':  // BUILD
      return Build();
    case 'Q':  // BINPERSID
      return MakeStorage();
    default:
      return false;
  }
}

Result<Value> Machine::Run() {
  OCTET_ASSIGN(const std::string_view head, Take(2));
  const int protocol = static_cast<uint8_t>(head[1]);
  if (head[0] != '\x80') return Malformed("it does not start with its protocol");
  if (protocol < 2 || protocol > kMaxProtocol) {
    return Unsupported(fmt::format("pickle protocol {}", protocol));
  }
  for (;;) {
    OCTET_ASSIGN(const uint64_t next, TakeUnsigned(1));
    if (next == '.') return Pop();
    const auto op = static_cast<uint8_t>(next);
    bool done = false;
    for (const auto handler : {&Machine::Constant, &Machine::Text, &Machine::Container,
                               &Machine::Memo, &Machine::Call}) {
      OCTET_ASSIGN(done, (this->*handler)(op));
      if (done) break;
    }
    if (!done) return Unsupported(fmt::format("pickle opcode {:#04x} is not understood", op));
  }
}

// Walks nested dictionaries. The limits matter: a small pickle can reach one dictionary along
// exponentially many paths, or from within itself.
class Collector {
 public:
  explicit Collector(const Machine& machine) : machine_(machine) {}

  Status Walk(const Value& dict, const std::string& prefix, int level) {
    if (level > kMaxLevels) return TooLarge("dictionaries are nested too deeply");
    for (const auto& [key, value] : machine_.dict(dict)) {
      if (++entries_ > kMaxEntries) return TooLarge("the pickle holds too many entries");
      if (value.kind != Kind::kDict && value.kind != Kind::kTensor) continue;
      if (key.kind != Kind::kString && key.kind != Kind::kInt) {
        return Unsupported("a dictionary's key is neither a string nor an integer");
      }
      std::string name = prefix;
      name += key.kind == Kind::kInt ? std::to_string(key.number) : std::string(key.text);
      if (name.size() > kMaxName) return TooLarge("a tensor's name is too long");
      if (value.kind == Kind::kDict) {
        OCTET_TRY(Walk(value, name + ".", level + 1));
      } else {
        OCTET_TRY(Add(std::move(name), value));
      }
    }
    return {};
  }
  std::vector<PickledTensor> Take() { return std::move(found_); }

 private:
  Status Add(std::string name, const Value& value) {
    if (!IsUtf8(name)) {
      return Corrupt(fmt::format("the name of tensor {} is not UTF-8", Printable(name)));
    }
    if (!names_.insert(name).second) {
      return Corrupt(fmt::format("two tensors are named {:.200}", name));
    }
    found_.push_back(machine_.tensor(value));
    found_.back().name = std::move(name);
    return {};
  }

  const Machine& machine_;
  int entries_ = 0;
  std::unordered_set<std::string> names_;
  std::vector<PickledTensor> found_;
};

}  // namespace

Result<std::vector<PickledTensor>> ParsePickle(std::span<const std::byte> pickle) {
  if (pickle.size() > kMaxPickle) {
    return TooLarge(fmt::format("a pickle of {} bytes, more than 4 MiB", pickle.size()));
  }
  Machine machine({reinterpret_cast<const char*>(pickle.data()), pickle.size()});
  OCTET_ASSIGN(const Value root, machine.Run());
  if (root.kind != Kind::kDict)
    return Unsupported("the pickle does not hold a dictionary of tensors");
  Collector collector(machine);
  OCTET_TRY(collector.Walk(root, "", 1));
  return collector.Take();
}

}  // namespace octet
