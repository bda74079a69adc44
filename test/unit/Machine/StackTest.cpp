#include "mpopt/Machine/Stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace mpopt;
using namespace mpopt::machine;
using testing::HasSubstr;

namespace {

void expectError(const std::string &toml, std::initializer_list<const char *> parts) {
  Result<Stack> stack = parseStack(toml, "my.toml");
  ASSERT_FALSE(stack.has_value());
  for (const char *part : parts)
    EXPECT_THAT(stack.error().message, HasSubstr(part));
}

TEST(Stack, EveryShippedStackLoadsAndRoundTrips) {
  EXPECT_THAT(shippedStacks(), testing::IsSupersetOf({"default", "llm-foundry", "megatron-2021", "megatron-core"}));
  for (const std::string &name : shippedStacks()) {
    Result<Stack> stack = loadStack(name);
    ASSERT_TRUE(stack.has_value()) << stack.error().message;
    EXPECT_EQ(stack->name, name);
    std::string text = toToml(*stack);
    Result<Stack> again = parseStack(text, name);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(toToml(*again), text);
  }
}

TEST(Stack, ProfilesReadBack) {
  Stack stack;
  stack.note = "a \"quoted\" note";
  stack.profile = {{1024, 16, 4096, 512, 2, 4, 0.0015, 0.003}};
  Result<Stack> again = parseStack(toToml(stack), "round trip");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->note, stack.note);
  ASSERT_EQ(again->profile.size(), 1u);
  EXPECT_EQ(again->profile[0].backwardSeconds, 0.003);
  EXPECT_EQ(again->profile[0].tp, 2);
}

TEST(Stack, ErrorsNameFileKeyValueAndRemedy) {
  expectError("matmul = 1.0", {"my.toml", "name", "missing"});
  expectError("name = 'x'\nmatmull = 1.0", {"my.toml", "matmull", "unknown key"});
  expectError("name = 'x'\nmatmul = 9.0", {"my.toml", "matmul", "9", "from 0.05 to 1.5"});
  expectError("name = 'x'\nfused_attention = 1", {"my.toml", "fused_attention", "true or false"});
  expectError("name = 'x'\n[[profile]]\nhidden = 0", {"my.toml", "profile[0].hidden", "at least 1"});
  expectError("name = ", {"my.toml:1", "not valid TOML"});
}

TEST(Stack, UnknownNameListsTheKnownOnes) {
  EXPECT_THAT(loadStack("nothing").error().message, HasSubstr("llm-foundry"));
  EXPECT_THAT(loadStack("/no/such.toml").error().message, HasSubstr("check the path"));
}

} // namespace
