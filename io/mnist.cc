#include "io/mnist.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "io/idx.h"

namespace octet {
namespace {

constexpr int kClasses = 10;

struct Found {
  std::string path;
  IdxArray array;
};

Result<Found> Find(const std::string& folder, const std::string& stem, IdxKind kind) {
  const std::string type = fmt::format("idx{}-ubyte", static_cast<int>(kind));
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      const std::string name = fmt::format("{}{}{}{}", stem, separator, type, ending);
      const std::string path = (std::filesystem::path(folder) / name).string();
      Result<IdxArray> array = ReadIdx(path, kind);
      if (array.ok()) return Found{path, *std::move(array)};
      // Some archives of MNIST unpack each file into a folder of the file's name.
      std::error_code ignored;
      const bool passed_over =
          array.status().code() == Code::kNotFound || std::filesystem::is_directory(path, ignored);
      if (!passed_over) return array.status();
    }
  }
  return NotFound(fmt::format("{}: holds neither {}-{} nor {}.{}, plain or .gz", folder, stem, type,
                              stem, type));
}

}  // namespace

Result<LabeledImages> ReadMnist(const std::string& folder, MnistSplit split) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return NotFound(folder + ": there is no such folder");
  }
  const std::string name = split == MnistSplit::kTrain ? "train" : "t10k";
  OCTET_ASSIGN(Found labels, Find(folder, name + "-labels", IdxKind::kLabels));
  OCTET_ASSIGN(Found images, Find(folder, name + "-images", IdxKind::kImages));
  const std::vector<int64_t>& shape = images.array.shape;
  if (labels.array.shape[0] != shape[0]) {
    return Corrupt(fmt::format("{}: {} labels for the {} images of {}", labels.path,
                               labels.array.shape[0], shape[0], images.path));
  }
  const Status checked = CheckLabels(labels.array.bytes, kClasses);
  if (!checked.ok()) return checked.Annotate(labels.path);
  LabeledImages out;
  out.count = shape[0];
  out.rows = shape[1];
  out.cols = shape[2];
  out.channels = 1;
  out.pixels = std::move(images.array.bytes);
  out.labels = std::move(labels.array.bytes);
  return out;
}

}  // namespace octet
