// Linked into every test of this folder: OCTET_ISA restricts each test as it restricts the
// programs, so that ./test can run the folder once per instruction set. A test may force another
// one for itself; the next test starts from OCTET_ISA again.
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "kernels/isa.h"

namespace octet {
namespace {

class ForcedIsa : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    const Status status = ForceIsaFromEnvironment();
    if (status.ok()) return;
    // Nothing may pass on an instruction set that it was not asked to run on.
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
};

[[maybe_unused]] const bool kInstalled = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new ForcedIsa);  // which owns it
  return true;
}();

}  // namespace
}  // namespace octet
