// Runs all tests on all processes; those of process 0 are shown, and failures of all.
#include <gtest/gtest.h>

#include <optional>

#include "mpi/world.h"

namespace {

std::optional<tapegrad::Communicator> communicator;

}  // namespace

tapegrad::Communicator& tapegrad::testing::world() {
  return *communicator;
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  communicator.emplace(tapegrad::CommunicatorOptions{.time_limit = 60});
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (!communicator->is_first()) delete listeners.Release(listeners.default_result_printer());
  struct Failures : ::testing::EmptyTestEventListener {
    void OnTestPartResult(const ::testing::TestPartResult& part) override {
      if (part.failed() && !communicator->is_first())
        fprintf(stderr, "process %d: %s:%d: %s\n", communicator->process(), part.file_name(),
                part.line_number(), part.message());
    }
  };
  listeners.Append(new Failures);
  const int result = RUN_ALL_TESTS();
  const bool failed = communicator->any(result != 0);
  communicator.reset();
  return failed ? 1 : 0;
}
