#pragma once

// The processes that run the tests of this folder together.

#include "tapegrad/mpi/communicator.h"

namespace tapegrad::testing {

/// One for the program, as MPI begins once in a process.
Communicator& world();

}  // namespace tapegrad::testing
