#ifndef OCTET_BASE_VERSION_H_
#define OCTET_BASE_VERSION_H_

namespace octet {

// Written into every file that Octet produces.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace octet
#endif  // OCTET_BASE_VERSION_H_
