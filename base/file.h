// Reading a file that somebody else may have made.
#ifndef OCTET_BASE_FILE_H_
#define OCTET_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace octet {

// The bytes of a regular file of at most `max_bytes`. Never waits, not even for a pipe's writer,
// and allocates nothing before the size is known. Errors start with the path: kNotFound;
// kInvalidArgument for what is no regular file (a folder, pipe or device); kTooLarge; kIo.
Result<std::string> ReadWholeFile(const std::string& path, int64_t max_bytes);

// Tells the system that these bytes of a mapped file will not be read soon: they leave the
// process's memory and are read again where they are needed after all. Only for mapped files; the
// contents of other memory would be lost.
void ForgetPages(std::span<const std::byte> mapped);

}  // namespace octet
#endif  // OCTET_BASE_FILE_H_
