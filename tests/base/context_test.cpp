#include "tapegrad/base/context.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace tapegrad::detail {
namespace {

const Scope* innermost() {
  return innermost_scope(context());
}

TEST(Scopes, NestAndEndInAnyOrder) {
  EXPECT_EQ(innermost(), nullptr);
  const auto a = open_scope(nullptr), b = open_scope(nullptr), c = open_scope(nullptr);
  EXPECT_EQ(innermost(), c.get());
  close_scope(*b);
  EXPECT_EQ(innermost(), c.get());
  close_scope(*c);
  EXPECT_EQ(innermost(), a.get());
  close_scope(*a);
  EXPECT_EQ(innermost(), nullptr);
  EXPECT_EQ(context().scope, nullptr) << "none is left in the list";
}

TEST(Scopes, EndOnAnotherThread) {
  const auto outer = open_scope(nullptr);
  auto inner = open_scope(nullptr);
  std::thread([&] {
    const auto own = open_scope(nullptr);
    close_scope(*inner);
    EXPECT_EQ(innermost(), own.get());
    inner.reset();
    close_scope(*own);
  }).join();
  EXPECT_EQ(innermost(), outer.get());
  close_scope(*outer);
  EXPECT_EQ(context().scope, nullptr);
}

TEST(Scopes, OutliveTheirThread) {
  std::shared_ptr<Scope> scope;
  std::thread([&] { scope = open_scope(nullptr); }).join();
  EXPECT_EQ(scope.use_count(), 1) << "the thread's list is gone";
  EXPECT_EQ(innermost(), nullptr);
  close_scope(*scope);
}

TEST(Context, IsOfOneThread) {
  context().thread_count = 3;
  std::thread([] { EXPECT_EQ(context().thread_count, 0); }).join();
  EXPECT_EQ(context().thread_count, 3);
  context().thread_count = 0;
}

}  // namespace
}  // namespace tapegrad::detail
