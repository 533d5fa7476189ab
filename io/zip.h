// The files inside a zip archive that does not compress, such as torch.save writes.
#ifndef OCTET_IO_ZIP_H_
#define OCTET_IO_ZIP_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace octet {

struct ZipEntry {
  std::string name;                 // as stored, never empty; not a path to open
  std::span<const std::byte> data;  // inside the archive
};

// Lists the archive `file` (zip or zip64) in the order of its directory, without copying data and
// without checking the data's CRC. kCorrupt when a record is malformed, lies outside the archive,
// two entries share bytes or a name; kUnsupported for compressed, encrypted or split archives.
Result<std::vector<ZipEntry>> ReadZip(std::span<const std::byte> file);

}  // namespace octet
#endif  // OCTET_IO_ZIP_H_
