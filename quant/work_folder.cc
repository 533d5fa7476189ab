#include "quant/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "exec/quantized_format.h"
#include "io/file_writer.h"
#include "io/safetensors.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxProgress = int64_t{64} << 20;
constexpr const char* kProgress = "progress.json";
constexpr const char* kEnds = "ends.safetensors";
constexpr const char* kBlocks = "backbone.layers.";

using Tensors = std::vector<std::pair<std::string, Weight>>;

std::string TensorPrefix(int layer) {
  return fmt::format("{}{}.", kBlocks, layer);
}

std::string BlockFile(int layer) {
  return fmt::format("block.{}.safetensors", layer);
}

WeightMap WithPrefix(const WeightMap& weights, const std::string& prefix) {
  WeightMap some;
  for (const auto& [name, w] : weights.all()) {
    if (name.starts_with(prefix)) some.Set(name, w);
  }
  return some;
}

// A block's weights, scales and static encodings.
Tensors TensorsOfBlock(int layer, const Graph& graph, const std::vector<StateScales>& state_scales,
                       const WeightMap& block) {
  Graph encoded;  // StoredTensors looks at nothing else
  encoded.layers = graph.layers;
  encoded.encodings = graph.encodings;
  if (!state_scales.empty()) {
    encoded.state_scales = std::make_shared<const std::vector<StateScales>>(state_scales);
  }
  Tensors tensors = StoredTensors(encoded, block);
  const std::string sites = fmt::format("encodings.layers.{}.", layer);
  std::erase_if(tensors, [&](const auto& t) {
    return t.first.starts_with("encodings.") && !t.first.starts_with(sites);
  });
  return tensors;
}

// A bias that a pass added to a Linear has the name of its matrix. One that the checkpoint has is
// where the architecture wants it: Mamba's dt_proj.bias belongs to the softplus behind.
void AttachBiases(int blocks, const WeightMap& before, const WeightMap& weights, Graph* graph) {
  constexpr std::string_view kWeight = "weight";
  for (Node& n : graph->nodes) {
    if (n.op != Op::kLinear || n.layer < 0 || n.layer >= blocks || !n.weights[1].empty()) continue;
    std::string name = n.weights[0];
    if (!name.ends_with(kWeight)) continue;
    name.replace(name.size() - kWeight.size(), kWeight.size(), "bias");
    if (weights.Find(name) != nullptr && before.Find(name) == nullptr) n.weights[1] = name;
  }
}

// Whether a run leaves a file of that name.
bool IsOwn(std::string_view name) {
  constexpr std::string_view kUnfinished = ".partial", kTensors = ".safetensors";
  if (name.ends_with(kUnfinished)) name.remove_suffix(kUnfinished.size());
  if (name == "progress.json" || name == "ends.safetensors") return true;
  if (name.ends_with(kTensors)) name.remove_suffix(kTensors.size());
  for (const std::string_view stem : {"block.", "float.", "quantized."}) {
    if (!name.starts_with(stem)) continue;
    const std::string_view number = name.substr(stem.size());
    return !number.empty() &&
           std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
  }
  return false;
}

// Whether `path` is the file that is open as `fd`, and not removed since.
bool IsAt(int fd, const std::string& path) {
  struct stat open = {}, named = {};
  return fstat(fd, &open) == 0 && stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

// The first member in which two descriptions of a run differ.
std::string Difference(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return "everything";
  for (const auto& [key, value] : a.AsObject()) {
    const Json* other = b.Find(key);
    if (other == nullptr || *other != value) return key;
  }
  return "everything";
}

}  // namespace

Result<WorkFolder> WorkFolder::Open(const std::string& path, const Json& run) {
  OCTET_ASSIGN(std::optional<TemporaryFolder> created, TemporaryFolder::CreateNew(path));
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return IoError(path + ": " + std::strerror(errno));
  WorkFolder folder(path, fd, run);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !IsAt(fd, path)) {
    if (created) created->Keep();  // another process was faster, and it is that one's
    return InvalidArgument(path + ": another process is quantizing there");
  }
  if (created) folder.temporary_.emplace(*std::move(created));
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (IsOwn(name)) continue;
    return InvalidArgument(
        fmt::format("{}: holds {}, which quantizing did not write there", path, name));
  }
  if (error) return IoError(path + ": " + error.message());
  OCTET_TRY(folder.LoadProgress());
  if (!folder.temporary_ && folder.finished_ == 0 && folder.remembered_.is_null()) {
    OCTET_TRY(folder.Empty());
    OCTET_ASSIGN(TemporaryFolder taken, TemporaryFolder::Adopt(path));
    folder.temporary_.emplace(std::move(taken));
  }
  return folder;
}

WorkFolder::WorkFolder(std::string path, int lock, Json run)
    : path_(std::move(path)), lock_(lock), run_(std::move(run)) {}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      temporary_(std::move(other.temporary_)),
      run_(std::move(other.run_)),
      remembered_(std::move(other.remembered_)),
      edits_(std::move(other.edits_)),
      finished_(other.finished_),
      discarded_(std::move(other.discarded_)) {}

WorkFolder::~WorkFolder() {
  temporary_.reset();  // while it is locked
  if (lock_ >= 0) close(lock_);
}

std::string WorkFolder::PathOf(const std::string& file) const {
  return (fs::path(path_) / file).string();
}

Status WorkFolder::LoadProgress() {
  const Result<Json> progress = Json::ParseFile(PathOf(kProgress), kMaxProgress);
  const Code code = progress.status().code();
  if (code == Code::kNotFound) return {};  // new, or killed before anything counted
  if (!progress.ok() && code != Code::kCorrupt) return progress.status();
  const Json* run = progress.ok() ? progress->Find("run") : nullptr;
  const Json* finished = progress.ok() ? progress->Find("finished") : nullptr;
  const Json* edits = progress.ok() ? progress->Find("edits") : nullptr;
  const Json* remembered = progress.ok() ? progress->Find("remembered") : nullptr;
  if (run == nullptr || finished == nullptr || !finished->is_int() || finished->AsInt() < 0 ||
      finished->AsInt() > std::numeric_limits<int>::max() || edits == nullptr ||
      remembered == nullptr) {
    discarded_ = "progress.json is damaged";
    return {};
  }
  if (*run != run_) {
    discarded_ = Difference(run_, *run) + " differs";
    return {};
  }
  finished_ = static_cast<int>(finished->AsInt());
  if (finished_ > 0) edits_ = *edits;  // Restore checks them
  remembered_ = *remembered;
  return {};
}

Status WorkFolder::Empty() const {
  std::error_code error;
  fs::remove(PathOf(kProgress), error);  // first: without it nothing counts
  if (error) return IoError(PathOf(kProgress) + ": " + error.message());
  for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    fs::remove(it->path(), error);
  }
  return error ? IoError(path_ + ": " + error.message()) : Status();
}

Status WorkFolder::SaveProgress() {
  Json progress = Json::MakeObject();
  progress.Set("run", run_);
  progress.Set("remembered", remembered_);
  progress.Set("finished", finished_);
  progress.Set("edits", edits_);
  const std::string text = progress.Dump(1) + "\n";
  OCTET_ASSIGN(FileWriter writer, FileWriter::Create(PathOf(kProgress)));
  OCTET_TRY(writer.Write(std::as_bytes(std::span(text))));
  if (fsync(lock_) != 0) return IoError(path_ + ": " + std::strerror(errno));
  OCTET_TRY(writer.Commit());
  if (temporary_) temporary_->Keep();
  return {};
}

Status WorkFolder::Remember(Json decision) {
  remembered_ = std::move(decision);
  return SaveProgress();
}

Status WorkFolder::KeepEnds(const WeightMap& source, WeightMap* weights) {
  Tensors ends;
  for (const auto& [name, w] : weights->all()) {
    const Weight* old = source.Find(name);
    if (name.starts_with(kBlocks) || (old != nullptr && old->data == w.data)) continue;
    ends.emplace_back(name, w);
  }
  if (ends.empty()) return {};
  OCTET_TRY(WriteSafetensors(PathOf(kEnds), ends, {}));
  OCTET_ASSIGN(const WeightMap mapped, ReadSafetensors(PathOf(kEnds)));
  for (auto& [name, w] : ends) {
    const Weight& stored = *mapped.Find(name);
    w.data = stored.data;  // dtype, shape and scales are its own: a file knows no 4 bits
    w.owner = stored.owner;
    weights->Set(name, std::move(w));
  }
  return {};
}

Status WorkFolder::FinishBlock(int layer, const Graph& graph,
                               const std::vector<StateScales>& state_scales, WeightMap* weights) {
  const std::string file = PathOf(BlockFile(layer));
  const WeightMap block = WithPrefix(*weights, TensorPrefix(layer));
  OCTET_TRY(WriteSafetensors(file, TensorsOfBlock(layer, graph, state_scales, block), {}));
  OCTET_ASSIGN(const WeightMap mapped, ReadSafetensors(file));
  for (const auto& [name, w] : block.all()) {
    const Weight& stored = *mapped.Find(name);
    Weight moved = w;
    moved.data = stored.data;
    moved.owner = stored.owner;
    weights->Set(name, std::move(moved));
  }
  Json int4 = edits_.is_null() ? Json::MakeObject() : *edits_.Find("int4");
  edits_ = DescribeQuantization(graph, block);
  for (const auto& [name, shape] : edits_.Find("int4")->AsObject()) {
    int4.Set(name, shape);
  }
  edits_.Set("int4", std::move(int4));
  edits_.Set("forks", Json::MakeObject());  // made when passes prepare
  finished_ = layer + 1;
  return SaveProgress();
}

Status WorkFolder::RestoreBlocks(Graph* graph, WeightMap* weights,
                                 std::vector<StateScales>* state_scales) const {
  if (finished_ > graph->layers) return Corrupt("more blocks are finished than the model has");
  WeightMap stored, encodings;
  for (int layer = 0; layer < finished_; ++layer) {
    OCTET_ASSIGN(const WeightMap block, ReadSafetensors(PathOf(BlockFile(layer))));
    for (const auto& [name, w] : block.all()) {
      stored.Set(name, w);
    }
  }
  OCTET_ASSIGN(const WeightMap attached, AttachScales(edits_, stored, &encodings));
  AttachBiases(finished_, *weights, attached, graph);
  for (const auto& [name, w] : attached.all()) {
    weights->Set(name, w);
  }
  for (int layer = 0; layer < finished_ && !state_scales->empty(); ++layer) {
    OCTET_ASSIGN((*state_scales)[static_cast<size_t>(layer)], ReadStateScales(encodings, layer));
    encodings.Erase(StateSite(layer) + ".scale");
    encodings.Erase(StateSite(layer) + ".rows");
  }
  return ApplyQuantization(edits_, encodings, graph);
}

Status WorkFolder::Restore(Graph* graph, WeightMap* weights,
                           std::vector<StateScales>* state_scales) {
  if (finished_ == 0) return {};
  Status s = RestoreBlocks(graph, weights, state_scales);
  if (s.ok() || s.code() == Code::kIo) return s;
  return Corrupt(fmt::format("{}: cannot be gone on with ({}); start again", path_, s.message()));
}

Status WorkFolder::Remove() {
  OCTET_TRY(Empty());
  std::error_code error;
  fs::remove(path_, error);
  if (temporary_) temporary_->Keep();  // it is gone
  finished_ = 0;
  return error ? IoError(path_ + ": " + error.message()) : Status();
}

}  // namespace octet
