// Contracts:
// - "ref" is always available, and last; the best name is the one in force without a restriction.
// - ForceIsa restricts AllowedIsas and CurrentIsa, "" and "native" lift it; an unknown name is
//   kInvalidArgument, one the machine lacks kUnsupported, and neither changes anything.
// - A reference kernel of every op here accepts every problem: "ref" can run everything.
// - OCTET_ISA is read by ForceIsaFromEnvironment.
#include "kernels/isa.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "kernels/conv1d.h"
#include "kernels/hadamard.h"
#include "kernels/linear.h"
#include "kernels/quantize.h"
#include "kernels/rmsnorm.h"

namespace octet {
namespace {

TEST(Isa, NamesAndRestriction) {
  const std::vector<std::string> names = AvailableIsas();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "ref");
  EXPECT_EQ(CurrentIsa(), names.front());
  EXPECT_EQ(AllowedIsas(), kAllIsas);
  for (const std::string& name : names) {
    ASSERT_TRUE(ForceIsa(name).ok());
    EXPECT_EQ(CurrentIsa(), name);
    EXPECT_NE(AllowedIsas() & MaskOf(Isa::kScalar), 0u);
    EXPECT_EQ((AllowedIsas() & MaskOf(Isa::kHwy)) != 0, name != "ref");
    EXPECT_EQ(AvailableIsas(), names) << "a restriction must not hide what the machine has";
  }
  EXPECT_EQ(AllowedIsas(), kReferenceOnly);
  EXPECT_EQ(ForceIsa("no such thing").code(), Code::kInvalidArgument);
  EXPECT_EQ(CurrentIsa(), "ref");
  EXPECT_TRUE(ForceIsa("native").ok());
  EXPECT_EQ(AllowedIsas(), kAllIsas);
}

TEST(Isa, WhatTheMachineLacksIsUnsupported) {
#if defined(__x86_64__)
  EXPECT_EQ(ForceIsa("neon").code(), Code::kUnsupported);
#else
  EXPECT_EQ(ForceIsa("avx2").code(), Code::kUnsupported);
#endif
  EXPECT_EQ(AllowedIsas(), kAllIsas);
}

TEST(Isa, Environment) {
  setenv("OCTET_ISA", "ref", 1);
  EXPECT_TRUE(ForceIsaFromEnvironment().ok());
  EXPECT_EQ(CurrentIsa(), "ref");
  setenv("OCTET_ISA", "sse9", 1);
  const Status s = ForceIsaFromEnvironment();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_NE(s.message().find("OCTET_ISA"), std::string::npos);
  unsetenv("OCTET_ISA");
  ASSERT_TRUE(ForceIsa("").ok());
  EXPECT_TRUE(ForceIsaFromEnvironment().ok());
  EXPECT_EQ(AllowedIsas(), kAllIsas);
}

template <class Args>
bool HasReference() {
  int references = 0;
  for (const Kernel<Args>* k : Kernels<Args>().all()) {
    references += k->isa == Isa::kScalar && k->why_not(Args{}) == nullptr;
  }
  return references == 1;
}

TEST(Isa, EveryOpHasOneReference) {
  EXPECT_TRUE(HasReference<Conv1dArgs>());
  EXPECT_TRUE(HasReference<HadamardArgs>());
  EXPECT_TRUE(HasReference<LinearArgs>());
  EXPECT_TRUE(HasReference<QuantizeArgs>());
  EXPECT_TRUE(HasReference<RmsnormArgs>());
}

}  // namespace
}  // namespace octet
